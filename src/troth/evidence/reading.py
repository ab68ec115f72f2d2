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
from troth.evidence.cose import BYTES, MAP, NEGATIVE, TEXT, UNSIGNED, Sign1, head, item, malformed, slice_of
from troth.keys.signing import SigningKey
from troth.limits import NAME_CHARS_MAX, READING_BYTES_MAX, READING_SEQUENCE_MAX, READING_TOPIC_BYTES_MAX
from troth.x509.algorithms import PublicKey

EXTERNAL: Final = b"troth-reading-1"
"""Signed with every reading and never sent: a signature over anything else is none over a reading."""

KEY_ID_BYTES: Final = 32
_ALG, _KID, _CLAIMS = 1, 4, 15
_SUB, _AUD, _IAT = 2, 3, 6
_SEQUENCE: Final = -65_537
"""Our own header parameter, of those for private use."""
_SEQUENCE_LABEL: Final = item(NEGATIVE, -1 - _SEQUENCE)
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
    claims = [item(UNSIGNED, _SUB), item(TEXT, len(thing)), thing] if thing else []
    claims += [item(UNSIGNED, _AUD), item(TEXT, len(topic)), topic, item(UNSIGNED, _IAT), item(UNSIGNED, seconds)]
    protected = [
        item(MAP, 4),
        *(item(UNSIGNED, _ALG), item(NEGATIVE, -1 - algorithm)),
        *(item(UNSIGNED, _KID), cose.byte_string(reading.key_id)),
        *(item(UNSIGNED, _CLAIMS), item(MAP, 3 if thing else 2), *claims),
        *(_SEQUENCE_LABEL, item(UNSIGNED, reading.sequence)),
    ]
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
    at = _expect(raw, 0, MAP, 4)
    at = _expect(raw, at, UNSIGNED, _ALG)
    number, at = head(raw, at, NEGATIVE)
    if -1 - number not in {cose.ES256, cose.ES384, cose.EDDSA}:
        raise PeerFault(Kind.UNSUPPORTED, f"readings are not signed by algorithm {-1 - number}")
    at = _expect(raw, at, UNSIGNED, _KID)
    key_id, at = slice_of(raw, _expect(raw, at, BYTES, KEY_ID_BYTES), KEY_ID_BYTES)
    at = _expect(raw, at, UNSIGNED, _CLAIMS)
    claims, at = head(raw, at, MAP)
    thing = None
    if claims == 3:
        thing, at = _text(raw, _expect(raw, at, UNSIGNED, _SUB), _NAME_BYTES_MAX, "thing")
    elif claims != 2:
        raise malformed("its claims are not thing, topic and time")
    topic, at = _text(raw, _expect(raw, at, UNSIGNED, _AUD), READING_TOPIC_BYTES_MAX, "topic")
    seconds, at = head(raw, _expect(raw, at, UNSIGNED, _IAT), UNSIGNED)
    if not raw.startswith(_SEQUENCE_LABEL, at):
        raise malformed("its sequence number is missing")
    sequence, at = head(raw, at + len(_SEQUENCE_LABEL), UNSIGNED)
    if at != len(raw) or seconds > _TIME_MAX or not 1 <= sequence <= READING_SEQUENCE_MAX:
        raise malformed("its header says more than it may, or a number is out of range")
    reading = Reading(key_id, thing, topic, _EPOCH + timedelta(seconds=seconds), sequence, sign1.payload)
    return SignedReading(reading, -1 - number, sign1)


def _expect(raw: bytes, at: int, major: int, argument: int) -> int:
    found, at = head(raw, at, major)
    if found != argument:
        raise malformed("its header parameters are not those of a reading")
    return at


def _text(raw: bytes, at: int, bytes_max: int, what: str) -> tuple[str, int]:
    size, at = head(raw, at, TEXT)
    if not 1 <= size <= bytes_max:
        raise malformed(f"its {what} has not 1 to {bytes_max} bytes")
    data, at = slice_of(raw, at, size)
    try:
        return data.decode(), at
    except UnicodeDecodeError as error:
        raise malformed(f"its {what} is not UTF-8") from error
