"""A reading: a payload that says who made it, when, as which of a row, and for which topic and thing; and is signed.

A COSE_Sign1 (RFC 9052) with one protected header, whose parameters are alg, kid, CWT claims (RFC 9597) and our own
sequence number, all of them and in this order. ``docs/readings.md`` is the specification. Pure: judges no key and keeps
no window (`troth.evidence.judging`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from troth.errors import Bug, Fault, Kind, PeerFault
from troth.evidence import cose
from troth.evidence.cose import EDDSA, ES256, ES384, TEXT, UNSIGNED, Sign1, head, item, malformed, slice_of
from troth.keys.signing import SigningKey
from troth.limits import NAME_CHARS_MAX, READING_BYTES_MAX, READING_SEQUENCE_MAX, READING_TOPIC_BYTES_MAX
from troth.x509.algorithms import PublicKey

EXTERNAL: Final = b"troth-reading-1"
"""Signed with every reading and never sent: a signature over anything else is none over a reading."""

KEY_ID_BYTES: Final = 32
# The protected header, as far as it is the same in every reading. A map of four: alg, and kid with its 32 bytes;
_BEGINNINGS: Final = {
    ES256: bytes.fromhex("a4 01 26 04 5820"),
    ES384: bytes.fromhex("a4 01 3822 04 5820"),
    EDDSA: bytes.fromhex("a4 01 27 04 5820"),
}
# the CWT claims, with sub, or without it;
_CLAIMS_OF_THING: Final = bytes.fromhex("0f a3 02")
_CLAIMS: Final = bytes.fromhex("0f a2")
# aud and iat; our own parameter -65537, of those for private use.
_AUD: Final = bytes.fromhex("03")
_IAT: Final = bytes.fromhex("06")
_SEQUENCE: Final = bytes.fromhex("3a 00010000")
_TIME_MAX: Final = (1 << 32) - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAME_BYTES_MAX: Final = 4 * NAME_CHARS_MAX
_PROTECTED_BYTES_MAX: Final = READING_TOPIC_BYTES_MAX + _NAME_BYTES_MAX + 128


@dataclass(frozen=True, slots=True)
class Reading:
    """What a device says of a payload when it signs it."""

    key_id: bytes
    """SHA-256 of the certificate whose key signs: the certificate id, as 32 bytes."""
    thing: str | None
    """The thing it is of; None where the certificate is no thing's."""
    topic: str
    at: datetime
    """When it was made, by the device's clock: whole seconds, UTC, from 1970 to 2106."""
    sequence: int
    """From 1; grows with every reading of one certificate."""
    payload: bytes

    @property
    def certificate_id(self) -> str:
        """The certificate's id as it is shown."""
        return self.key_id.hex()


@dataclass(frozen=True, slots=True)
class SignedReading:
    """A reading with its signature, which is not verified yet."""

    reading: Reading
    algorithm: int
    sign1: Sign1

    def is_signed_by(self, key: PublicKey) -> bool:
        """Say whether the private half of `key` has signed it."""
        return cose.is_signed(self.sign1, self.algorithm, EXTERNAL, key)


def looks_signed(payload: bytes) -> bool:
    """Say whether a payload begins as a signed reading does."""
    return payload.startswith(cose.MARK)


def sign_reading(reading: Reading, key: SigningKey) -> bytes:
    """Return the reading signed. Raises `Fault`: bad key, too large, or the key's own; `Bug` for what none can say."""
    topic, thing = reading.topic.encode(), (reading.thing or "").encode()
    seconds = (reading.at - _EPOCH) // timedelta(seconds=1)
    if len(reading.key_id) != KEY_ID_BYTES or not 0 <= seconds <= _TIME_MAX:
        raise Bug("a reading names its key by 32 bytes, and a time from 1970 to 2106")
    if not 1 <= reading.sequence <= READING_SEQUENCE_MAX or (reading.thing is not None and not thing):
        raise Bug("a reading has a number from 1, and a thing has a name")
    if not 1 <= len(topic) <= READING_TOPIC_BYTES_MAX or len(thing) > _NAME_BYTES_MAX:
        raise Fault(Kind.TOO_LARGE, f"the topic of a reading has 1 to {READING_TOPIC_BYTES_MAX} bytes")
    algorithm = cose.algorithm_for(key.public_key)
    protected = [_BEGINNINGS[algorithm], reading.key_id]
    protected += [_CLAIMS_OF_THING, item(TEXT, len(thing)), thing] if thing else [_CLAIMS]
    protected += [_AUD, item(TEXT, len(topic)), topic, _IAT, item(UNSIGNED, seconds)]
    protected += [_SEQUENCE, item(UNSIGNED, reading.sequence)]
    signed = cose.sign1(b"".join(protected), reading.payload, EXTERNAL, key)
    if len(signed) > READING_BYTES_MAX:
        raise Fault(Kind.TOO_LARGE, f"a signed reading has at most {READING_BYTES_MAX} bytes")
    return signed


def parse_reading(data: bytes) -> SignedReading:
    """Return the reading, its signature not verified.

    Raises `PeerFault`: too large above `READING_BYTES_MAX`; unsupported for what does not begin as a tagged COSE_Sign1,
    and for an algorithm that signs no readings; malformed.
    """
    if len(data) > READING_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"a signed reading has at most {READING_BYTES_MAX} bytes")
    sign1 = cose.parse_sign1(data, _PROTECTED_BYTES_MAX)
    raw = sign1.protected
    algorithm, at = _begin(raw)
    key_id, at = slice_of(raw, at, KEY_ID_BYTES)
    thing = None
    if raw.startswith(_CLAIMS_OF_THING, at):
        thing, at = _text(raw, at + len(_CLAIMS_OF_THING), _NAME_BYTES_MAX, "thing")
    else:
        at = _expect(raw, at, _CLAIMS)
    topic, at = _text(raw, _expect(raw, at, _AUD), READING_TOPIC_BYTES_MAX, "topic")
    seconds, at = head(raw, _expect(raw, at, _IAT), UNSIGNED)
    sequence, at = head(raw, _expect(raw, at, _SEQUENCE), UNSIGNED)
    if at != len(raw) or seconds > _TIME_MAX or not 1 <= sequence <= READING_SEQUENCE_MAX:
        raise malformed("its header says more than it may, or a number is out of range")
    reading = Reading(key_id, thing, topic, _EPOCH + timedelta(seconds=seconds), sequence, sign1.payload)
    return SignedReading(reading, algorithm, sign1)


def _begin(raw: bytes) -> tuple[int, int]:
    """Return the algorithm, and where the key id begins."""
    for algorithm, beginning in _BEGINNINGS.items():
        if raw.startswith(beginning):
            return algorithm, len(beginning)
    raise PeerFault(Kind.UNSUPPORTED, "it does not begin with an algorithm and a key id of readings")


def _expect(raw: bytes, at: int, what: bytes) -> int:
    if not raw.startswith(what, at):
        raise malformed("its header parameters are not those of a reading")
    return at + len(what)


def _text(raw: bytes, at: int, bytes_max: int, what: str) -> tuple[str, int]:
    size, at = head(raw, at, TEXT)
    if not 1 <= size <= bytes_max:
        raise malformed(f"its {what} has not 1 to {bytes_max} bytes")
    data, at = slice_of(raw, at, size)
    try:
        return data.decode(), at
    except UnicodeDecodeError as error:
        raise malformed(f"its {what} is not UTF-8") from error
