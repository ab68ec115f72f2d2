"""How ``troth device subscribe`` shows a message that came: as a row, and as a line for a terminal."""

import base64

from troth.protocols.mqtt import Publish


def message_row(message: Publish) -> dict[str, object]:
    """Return a message as ``--json`` has it; a payload that is no text in base64."""
    row: dict[str, object] = {"topic": message.topic, "qos": message.qos, "retain": message.retain}
    try:
        return row | {"payload": message.payload.decode()}
    except UnicodeDecodeError:
        return row | {"payload_base64": base64.b64encode(message.payload).decode()}


def printable(data: bytes) -> str:
    """Return what came as one line of text, so that no device writes to another's terminal as it likes."""
    text = data.decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
