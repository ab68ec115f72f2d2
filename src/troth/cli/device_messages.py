"""``troth device publish`` and ``subscribe``: one message, messages as they come, and readings for the queue."""

import base64
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from troth.cli.device_options import (
    IDENTITY,
    STANDARD,
    ClientIdOption,
    IdentityOption,
    JsonOption,
    read_file,
)
from troth.cli.output import answer, say
from troth.clock import SystemClock, parse_duration
from troth.device.connection import ConnectionFault
from troth.device.identity import Identity, open_identity
from troth.device.mqtt import Client, connect
from troth.device.queue import Queue, Seal
from troth.device.reading_time import ReadingTime
from troth.device.readings import send_waiting, signing
from troth.device.waiting import Wait
from troth.errors import Fault, Kind
from troth.evidence.reading import looks_signed
from troth.limits import DEFAULT
from troth.protocols.mqtt import SUBSCRIPTION_REFUSED, Publish


def publish(
    topic: Annotated[str, typer.Option("--topic", help="The topic to send to.")],
    message: Annotated[str | None, typer.Option("--message", help="The message, as text.")] = None,
    file: Annotated[str | None, typer.Option("--file", help="The file with the message; - is stdin.")] = None,
    qos: Annotated[int, typer.Option("--qos", min=0, max=1, help="1: return when the home has taken it over.")] = 1,
    retain: Annotated[bool, typer.Option("--retain", help="Keep it at home as the topic's last message.")] = False,
    queue: Annotated[
        bool, typer.Option("--queue", help="Put it on the disk; `troth device run` sends it when the home is there.")
    ] = False,
    signed: Annotated[
        bool, typer.Option("--signed", help="Sign it with this device's key, with its number, time, topic and thing.")
    ] = False,
    lines: Annotated[
        bool, typer.Option("--lines", help="Each line of standard input is a message, until its end; with --queue.")
    ] = False,
    client_id: ClientIdOption = None,
    identity: IdentityOption = IDENTITY,
    as_json: JsonOption = False,
) -> None:
    """Send one message over mutual TLS, or queue it."""
    if lines:
        _queue_lines(identity, topic, retain=retain, queue=queue, signed=signed, as_json=as_json)
        return
    if (message is None) == (file is None):
        raise Fault(Kind.MALFORMED, "say what to send", hint="give either --message TEXT or --file FILE (- is stdin)")
    payload = message.encode() if message is not None else read_file(file or STANDARD, DEFAULT.packet_bytes)
    opened = open_identity(identity)
    if queue:
        with Queue(opened.path) as waiting:
            at = ReadingTime.of(opened, SystemClock()).find()
            _queue(waiting, at, topic, payload, retain=retain, seal=_seal(opened, signed), as_json=as_json)
        return
    if signed:
        _publish_signed(opened, topic, payload, retain=retain, client_id=client_id, as_json=as_json)
        return
    with connect(opened, SystemClock(), client_id=client_id) as client:
        try:
            client.publish(topic, payload, qos=qos, retain=retain)
            if not qos:
                # Nobody answers a message of QoS 0; an answered ping says that we were not thrown out for it.
                client.ping()
        except ConnectionFault as fault:
            raise _thrown_out(fault, f"publish to {topic!r}") from fault
    value = {"topic": topic, "bytes": len(payload), "qos": qos, "retain": retain}
    answer(value, f"published {len(payload)} bytes to {topic}", as_json=as_json)


def subscribe(
    filters: Annotated[list[str], typer.Option("--filter", metavar="F", help="A topic filter; may be repeated.")],
    count: Annotated[int | None, typer.Option("--count", min=1, help="Stop after so many messages.")] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="Stop after so long: 30s; too few are then a fault.")
    ] = None,
    qos: Annotated[int, typer.Option("--qos", min=0, max=1, help="The highest QoS to receive with.")] = 1,
    client_id: ClientIdOption = None,
    identity: IdentityOption = IDENTITY,
    as_json: JsonOption = False,
) -> None:
    """Print messages as they come.

    One a line, as TOPIC PAYLOAD, with what cannot be printed escaped; with --json as one object a line.
    """
    clock = SystemClock()
    wait_s = parse_duration(timeout).total_seconds() if timeout else None
    opened = open_identity(identity)
    with connect(opened, clock, client_id=client_id) as client:
        try:
            _subscribe(client, filters, qos)
            came = _print_messages(client, Wait(clock, wait_s), count, as_json=as_json)
        except ConnectionFault as fault:
            raise _thrown_out(fault, f"receive from {', '.join(filters)}") from fault
    if count is not None and came < count:
        raise Fault(Kind.UNAVAILABLE, f"{came} of {count} messages came within {timeout}")


def _publish_signed(
    opened: Identity, topic: str, payload: bytes, *, retain: bool, client_id: str | None, as_json: bool
) -> None:
    """Put it behind what waits, and send all of that: readings come in the order of their numbers, or not at all."""
    with Queue(opened.path) as waiting:
        at = ReadingTime.of(opened, SystemClock()).now()
        reading = waiting.add(topic, payload, at, retain=retain, seal=signing(opened.path))
        with connect(opened, SystemClock(), client_id=client_id) as client:
            try:
                sent = send_waiting(waiting, client, reading.sequence)
            except ConnectionFault as fault:
                raise _thrown_out(fault, f"publish to {topic!r}") from fault
    value = {"topic": topic, "bytes": len(reading.payload), "qos": 1, "retain": retain, "sequence": reading.sequence}
    text = f"published {len(reading.payload)} bytes to {topic}, signed as number {reading.sequence}"
    before = f", after {sent - 1} that waited" if sent > 1 else ""
    answer(value, text + before, as_json=as_json)


def _seal(opened: Identity, signed: bool) -> Seal | None:
    return signing(opened.path) if signed else None


def _queue_lines(identity: Path, topic: str, *, retain: bool, queue: bool, signed: bool, as_json: bool) -> None:
    if not queue:
        raise Fault(Kind.MALFORMED, "lines can be queued, and not sent at once", hint="add --queue")
    opened = open_identity(identity)
    seal, clock = _seal(opened, signed), ReadingTime.of(opened, SystemClock())
    with Queue(opened.path) as waiting:
        while line := sys.stdin.buffer.readline(DEFAULT.packet_bytes):
            _queue(waiting, clock.find(), topic, line.removesuffix(b"\n"), retain=retain, seal=seal, as_json=as_json)


def _queue(
    waiting: Queue, at: datetime | None, topic: str, payload: bytes, *, retain: bool, seal: Seal | None, as_json: bool
) -> None:
    reading = waiting.add(topic, payload, at, retain=retain, seal=seal)
    value = {"topic": topic, "bytes": len(payload), "retain": retain, "sequence": reading.sequence}
    answer(value, f"queued {len(payload)} bytes to {topic} as number {reading.sequence}", as_json=as_json)


def _subscribe(client: Client, filters: list[str], qos: int) -> None:
    codes = client.subscribe(filters, qos=qos)
    refused = [each for each, code in zip(filters, codes, strict=True) if code == SUBSCRIPTION_REFUSED]
    if len(refused) == len(filters):
        raise Fault(
            Kind.FORBIDDEN,
            f"the home does not let this device subscribe to {', '.join(refused)}",
            hint="its policy must allow iot:Subscribe on that topic filter",
        )
    for each in refused:
        say(f"refused: {each}")
    say(f"subscribed to {', '.join(each for each in filters if each not in refused)}")


def _print_messages(client: Client, wait: Wait, count: int | None, *, as_json: bool) -> int:
    came = 0
    while count is None or came < count:
        message = client.receive(wait.left_s())
        if message is None:
            break
        came += 1
        text = f"{printable(message.topic.encode())} {printable(message.payload)}"
        answer(message_row(message, SystemClock().now()), text, as_json=as_json)
    return came


def _thrown_out(fault: ConnectionFault, doing: str) -> Fault:
    """Say what a connection that was closed on us most likely means: MQTT 3.1.1 has no word for it."""
    if fault.refusal.word != "closed":
        return fault
    return Fault(
        Kind.FORBIDDEN,
        f"the home closed the connection when this device was to {doing}",
        detail=fault.detail,
        hint="its policy may not allow it, or its certificate was revoked; at home: troth decision list --denied",
    )


def message_row(message: Publish, received: datetime | None = None) -> dict[str, object]:
    """Return a message as ``--json`` has it; a payload that is no text, or a signed reading, in base64."""
    row: dict[str, object] = {"topic": message.topic, "qos": message.qos, "retain": message.retain}
    if received is not None:
        row["received"] = received
    if looks_signed(message.payload):
        return row | {"payload_base64": base64.b64encode(message.payload).decode()}
    try:
        return row | {"payload": message.payload.decode()}
    except UnicodeDecodeError:
        return row | {"payload_base64": base64.b64encode(message.payload).decode()}


def printable(data: bytes) -> str:
    """Return what came as one line of text, so that no device writes to another's terminal as it likes."""
    text = data.decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
