"""The home's time counts where the device's cannot be right, and where nothing speaks against it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from tests.fixtures.est_door import Reply, est_door
from tests.unit.device.home import THING, TOKEN, Home, Honest
from tests.unit.tls.certificates import NOW, SERVER, authority, leaf

from troth.clock import SystemClock
from troth.device.connection import ConnectionFault
from troth.device.endpoint import Address
from troth.device.est import ESTServer
from troth.device.home_time import HomeTime
from troth.errors import Fault, Kind
from troth.testing.clock import FakeClock

YEAR = timedelta(days=365)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


def test_it_is_the_devices_own_until_it_is_corrected(home: Home) -> None:
    now = SystemClock().now().replace(microsecond=0)
    clock = FakeClock(datetime(1970, 1, 2, tzinfo=UTC))
    time = HomeTime(clock, [home.root])
    assert time.now() == clock.now()
    time.correct(date(now), home.maker.server().certificate)
    assert time.now() == now
    clock.advance(SECOND)
    assert time.now() == now + SECOND


def test_it_is_none_at_which_the_server_or_what_is_known_is_not_valid(home: Home) -> None:
    server = home.maker.server().certificate
    good = server.not_valid_before_utc
    time = HomeTime(FakeClock(), [home.root])
    for told in (
        server.not_valid_after_utc + SECOND,
        home.root.not_valid_before_utc - SECOND,
        good - timedelta(days=9),
    ):
        with pytest.raises(Fault) as caught:
            time.correct(date(told), server)
        assert caught.value.kind is Kind.EXPIRED
    for told_text in (None, "", "yesterday", "Thu, 99 Foo 2026 00:00:00 GMT"):
        with pytest.raises(Fault) as caught:
            time.correct(told_text, server)
        assert caught.value.kind is Kind.MALFORMED
    assert time.ahead is None
    time.correct(date(server.not_valid_after_utc), server)
    assert time.now() >= good


def test_nothing_is_sent_to_a_server_whose_certificate_is_over_for_both(tmp_path: Path) -> None:
    """It has expired by this device's clock and by the server's own: the token stays here."""
    root = authority("root")
    stolen = leaf("home", root, SERVER, names=("home.example",), not_after=NOW - timedelta(hours=1))
    chain, key = stolen.write(tmp_path / "server")
    with est_door(chain, key, lambda _: Reply(200)) as door:
        time = HomeTime(SystemClock(), [root.certificate])
        server = ESTServer(Address("localhost", door.port), "home.example", (root.certificate,), time)
        with pytest.raises(Fault, match="neither by this device's clock nor by its own") as caught:
            server.simple_enroll(b"", THING, TOKEN)
        assert caught.value.kind is Kind.EXPIRED
        assert door.asked == []


def test_a_server_that_is_not_ours_is_no_clock(home: Home, other_home: Home) -> None:
    with est_door(home.server.chain_file, home.server.key_file, Honest(home)) as door:
        address = Address("localhost", door.port)
        server = ESTServer(address, "home.example", (other_home.root,), HomeTime(FakeClock(), []))
        with pytest.raises(ConnectionFault):
            server.simple_enroll(b"", THING, TOKEN)
        assert door.asked == []
