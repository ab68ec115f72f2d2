"""Sites whose clock stands at the edges of how computers write time: correct encodings, and clear refusals beyond."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from tests.fixtures.issuance import intend

from troth.authority.intents import IntentState
from troth.authority.settle import settle
from troth.errors import Fault, Kind
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.der import GENERALIZED_TIME, SEQUENCE, UTC_TIME, Reader, constructed
from troth.x509.profiles import ExtendedUse, Purpose
from troth.x509.verify import verify_issued_by

pytestmark = pytest.mark.slow

FIRST_GENERALIZED = datetime(2050, 1, 1, tzinfo=UTC)
TIMES = (
    datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2050, 1, 1, 0, 30, tzinfo=UTC),
    datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC),
)
"""The epoch, the end of 32 signed bits, the end of UTCTime, the end of 32 unsigned bits."""


def encoded_times(certificate: x509.Certificate) -> list[tuple[int, bytes]]:
    content = Reader(certificate.tbs_certificate_bytes).inside(SEQUENCE)
    content.content(constructed(0))
    for _ in range(3):
        content.skip()
    validity = content.inside(SEQUENCE)
    return [(validity.tag or 0, validity.content(validity.tag or 0)) for _ in range(2)]


@pytest.mark.parametrize("time", TIMES, ids=str)
def test_every_time_is_written_as_its_year_wants_it(tmp_path: Path, time: datetime) -> None:
    clock = FakeClock(time)
    with TestAuthority(tmp_path, clock=clock) as authority:
        held = authority.device("lamp-1").certificate
        for certificate in (held, authority.issuer(Purpose.DEVICES), authority.root):
            ends = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
            for (tag, text), end in zip(encoded_times(certificate), ends, strict=True):
                if end < FIRST_GENERALIZED:
                    assert (tag, text) == (UTC_TIME, f"{end:%y%m%d%H%M%S}Z".encode())
                else:
                    assert (tag, text) == (GENERALIZED_TIME, f"{end:%Y%m%d%H%M%S}Z".encode())
        assert held.not_valid_before_utc == time - timedelta(hours=1)
        assert held.not_valid_after_utc == time + timedelta(days=90)
        verify_issued_by(held, authority.issuer(Purpose.DEVICES), at=time, use=ExtendedUse.CLIENT_AUTH)


@pytest.mark.parametrize("year", [1940, 9990])
def test_where_x509_has_no_time_nothing_is_born(tmp_path: Path, year: int) -> None:
    with pytest.raises(Fault) as caught:
        TestAuthority(tmp_path, clock=FakeClock(datetime(year, 6, 1, tzinfo=UTC)))
    assert caught.value.kind is Kind.REJECTED


def test_an_intent_of_another_time_is_refused_and_its_twin_is_not(authority: TestAuthority, clock: FakeClock) -> None:
    """A machine that wakes up in 1970 or in 2050 signs nothing that was asked for in between."""
    there = clock.now()
    for elsewhere in (datetime(1970, 1, 1, tzinfo=UTC), datetime(2050, 6, 1, tzinfo=UTC)):
        clock.set(there)
        intent = intend(authority, "lamp-1")
        clock.set(elsewhere)
        assert settle(authority.db, clock, authority.door(), intent.intent_id).refused().kind is Kind.EXPIRED
    clock.set(there)
    twin = intend(authority, "lamp-1")
    assert settle(authority.db, clock, authority.door(), twin.intent_id).state is IntentState.ISSUED
