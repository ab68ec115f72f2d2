"""A key, its certificate's id and readings, shared by the tests of this folder."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

from troth.evidence.judging import ALWAYS, Signer, Standing
from troth.evidence.reading import Reading, sign_reading
from troth.keys.file import generate
from troth.keys.signing import SigningKey
from troth.x509.algorithms import KeyAlgorithm

KEY = generate(KeyAlgorithm.P256)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
READING = Reading(bytes(range(32)), "meter-7", "home/meter-7/power", NOON, 1, b'{"watts": 412}')
SIGNED = sign_reading(READING, KEY)


def signer(reading: Reading = READING, key: SigningKey = KEY, *history: tuple[datetime, Standing]) -> Signer:
    """Return who signed `reading`: in force always, unless a history is given."""
    return Signer(
        reading.certificate_id,
        reading.thing,
        key.public_key,
        NOON - timedelta(days=1),
        NOON + timedelta(days=1),
        history or ((ALWAYS, Standing.IN_FORCE),),
    )


def row(reading: Reading = READING, begin: int = 1) -> Iterator[bytes]:
    """Yield readings with growing numbers, signed."""
    for number in count(begin):
        yield sign_reading(replace(reading, sequence=number), KEY)
