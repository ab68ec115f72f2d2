"""``pkcs11:`` URIs: which key of which token is meant. RFC 7512, less what would let a database say whose code is run.

Pure: reads no token. The module and the PIN are settings of the machine, and are refused in a URI.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from troth.errors import Fault, Kind
from troth.limits import PKCS11_URI_CHARS_MAX

SCHEME: Final = "pkcs11:"
_SAME_WORDS: Final = ("token", "serial", "manufacturer", "model")
_TEXTS: Final = {**{word: word for word in _SAME_WORDS}, "object": "label"}
_SETTINGS: Final = frozenset({"module-name", "module-path", "pin-source", "pin-value"})
_ESCAPES: Final = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*", re.ASCII)
# pk11-res-avail of RFC 7512, 2.3, beside what `quote` never escapes.
_SAFE: Final = ":[]@!$'()*+,"


@dataclass(frozen=True, slots=True)
class TokenURI:
    """A key in a token. What is None is not looked at."""

    token: str | None = None
    """The token's label."""
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    slot_id: int | None = None
    label: str | None = None
    """The key's label, ``object`` in the URI."""
    key_id: bytes | None = field(default=None)
    """The key's CKA_ID, ``id`` in the URI."""

    def __str__(self) -> str:
        texts = [(name, getattr(self, attribute)) for name, attribute in _TEXTS.items()]
        parts = [f"{name}={quote(text, safe=_SAFE)}" for name, text in texts if text is not None]
        if self.slot_id is not None:
            parts.append(f"slot-id={self.slot_id}")
        if self.key_id is not None:
            parts.append("id=" + "".join(f"%{octet:02x}" for octet in self.key_id))
        return SCHEME + ";".join([*parts, "type=private"])


def is_token_uri(text: str) -> bool:
    """Say whether this is meant as a key in a token."""
    return text[: len(SCHEME)].lower() == SCHEME


def parse_token_uri(text: str) -> TokenURI:
    """Return the key that a URI means.

    Raises `Fault`: malformed (no such URI, or one that names no token or no key), too large, unsupported (attributes
    that are settings of the machine, or of which Troth knows nothing).
    """
    if len(text) > PKCS11_URI_CHARS_MAX:
        raise Fault(Kind.TOO_LARGE, f"the key's URI has more than {PKCS11_URI_CHARS_MAX} characters")
    if not is_token_uri(text) or not text.isascii() or not text.isprintable() or " " in text:
        raise _malformed("is not a pkcs11: URI")
    path, _, query = text[len(SCHEME) :].partition("?")
    for part in query.split("&") if query else ():
        _refuse(part.partition("=")[0])
    values: dict[str, bytes] = {}
    for part in path.split(";") if path else ():
        name, equals, value = part.partition("=")
        if not equals or not _ESCAPES.fullmatch(value):
            raise _malformed(f"has {part[:40]!r}, which is no attribute")
        if name in values:
            raise _malformed(f"has {name!r} twice")
        values[name] = unquote_to_bytes(value)
    return _build(values)


def _build(values: dict[str, bytes]) -> TokenURI:
    if values.pop("type", b"private") != b"private":
        raise _malformed("names no private key", "write type=private, or leave the type out")
    texts = {_TEXTS[name]: _text(name, values.pop(name)) for name in list(values) if name in _TEXTS}
    slot = values.pop("slot-id", None)
    if slot is not None and not (slot.isdigit() and len(slot) <= 20):
        raise _malformed("has a slot-id that is no number")
    key_id = values.pop("id", None)
    for name in values:
        _refuse(name)
    uri = TokenURI(slot_id=None if slot is None else int(slot), key_id=key_id, **texts)
    if uri.token is None and uri.serial is None and uri.slot_id is None:
        raise _malformed("names no token", "add token=LABEL, serial=... or slot-id=...")
    if uri.label is None and uri.key_id is None:
        raise _malformed("names no key", "add object=LABEL or id=%01")
    return uri


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"has a {name!r} that is not UTF-8") from error


def _refuse(name: str) -> None:
    if name in _SETTINGS:
        raise Fault(
            Kind.UNSUPPORTED,
            f"{name!r} is not taken from a key's URI",
            hint="set [keys] module and pin_file in troth.toml: a database must not say which code is loaded",
        )
    raise Fault(Kind.UNSUPPORTED, f"the attribute {name[:40]!r} of a key's URI is not known")


def _malformed(what: str, hint: str | None = None) -> Fault:
    shown = hint or "write it as pkcs11:token=LABEL;object=LABEL"
    return Fault(Kind.MALFORMED, f"the key's URI {what}", hint=shown)
