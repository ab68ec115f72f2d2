"""A home judged by a time that is told: each certificate of its chain, before a byte is sent, whatever clocks say."""

import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fixtures.est_door import est_door
from tests.unit.device.home import Home, Honest
from tests.unit.tls.certificates import DAY, NOW, SERVER, authority, leaf

from troth.device.connection import dial
from troth.device.endpoint import Address
from troth.device.est import ESTServer
from troth.errors import Fault, Kind
from troth.testing.clock import FakeClock

SECOND = timedelta(seconds=1)
DECADES = timedelta(days=365 * 30)


@dataclass
class Silent:
    """A judge that cannot be asked."""

    def now(self) -> datetime:
        raise Fault(Kind.UNAVAILABLE, "no time server answers")


def test_only_the_told_time_counts(home: Home) -> None:
    """The server's certificate is good by this machine's clock; by the judge's it is, is over, or has yet to begin."""
    own = home.maker.server().certificate
    begins, ends = own.not_valid_before_utc, own.not_valid_after_utc
    with est_door(home.server.chain_file, home.server.key_file, Honest(home)) as door:
        address = Address("localhost", door.port)
        shown = home.server
        assert shown is not None
        for at in (begins + SECOND, ends - DAY):
            ESTServer(address, "home.example", (home.root,), judge=FakeClock(at)).ca_certificates()
        heard = len(door.asked)
        for at in (begins - DECADES, ends + DECADES, datetime(1970, 1, 1, tzinfo=UTC)):
            with pytest.raises(Fault, match="not valid at the time") as caught:
                ESTServer(address, "home.example", (home.root,), judge=FakeClock(at)).ca_certificates()
            assert caught.value.kind is Kind.EXPIRED
        with pytest.raises(Fault, match="no time server answers"):
            ESTServer(address, "home.example", (home.root,), judge=Silent()).ca_certificates()
        assert len(door.asked) == heard


@pytest.mark.parametrize("what", ["leaf", "root"])
def test_what_is_over_anywhere_in_the_chain_is_not_taken(home: Home, tmp_path: Path, what: str) -> None:
    """A stolen server key whose certificate has expired convinces nobody, however far back the device's clock is."""
    root = authority("root")
    stolen = leaf("home", root, SERVER, names=("home.example",), not_after=NOW - timedelta(hours=1))
    chain, key = stolen.write(tmp_path / "server")
    at = NOW if what == "leaf" else root.certificate.not_valid_before_utc - SECOND
    with est_door(chain, key, Honest(home)) as door:
        address = Address("localhost", door.port)
        with pytest.raises(Fault) as caught:
            dial(address, "home.example", (root.certificate,), judge=FakeClock(at))
        assert caught.value.kind is Kind.EXPIRED
        good = dial(address, "home.example", (root.certificate,), judge=FakeClock(NOW - timedelta(hours=2)))
        assert isinstance(good, socket.socket)
        good.close()
        assert door.asked == []
