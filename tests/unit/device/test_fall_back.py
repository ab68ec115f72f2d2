"""Two whole credentials, and a home that takes one of them: the device goes by that one, and writes over the other."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.est_door import Asked, Reply, est_door
from tests.unit.device.home import Home

from troth.clock import Clock, SystemClock
from troth.device.connection import ConnectionFault
from troth.device.endpoint import Address
from troth.device.enroll import enroll_by
from troth.device.identity import Identity, open_identity, read_chain
from troth.device.network import INTERNET, Streams
from troth.device.renew import ask_hint, fall_back, go_back, renew
from troth.device.slots import Slots
from troth.errors import Fault, Kind
from troth.protocols import problem
from troth.protocols.est import CERTIFICATES_TYPE, parse_body, render_certificates
from troth.protocols.roughtime.servers import TimeServer
from troth.tls.client import Refusal, Stream
from troth.x509.certificates import certificate_id
from troth.x509.requests import parse_request

CLOCK = SystemClock()
NOBODY = Fault(Kind.UNAUTHENTICATED, "not proven")


class Choosy:
    """A network behind which the home refuses some certificates: by an alert, or in words."""

    def __init__(self, alert: str | None) -> None:
        self.alert = alert
        self.refused: set[str] = set()
        self.shown = ""

    def dial(self, address: Address, *args: Any, **kwargs: Any) -> Stream:
        """Connect, if this certificate is taken."""
        own = args[2] if len(args) > 2 else None
        self.shown = certificate_id(read_chain(own.chain_file)[0]) if own is not None else ""
        if self.alert is not None and self.shown in self.refused:
            raise ConnectionFault(address, Refusal(self.alert, ""))
        return INTERNET.dial(address, *args, **kwargs)

    async def open_streams(self, identity: Identity) -> Streams:
        """Connect."""
        return await INTERNET.open_streams(identity)

    def judge_of(self, servers: Sequence[TimeServer]) -> Clock | None:
        """Ask nobody."""
        return INTERNET.judge_of(servers)


@pytest.fixture(params=["alert:certificate_expired", "alert:unknown_ca", None])
def network(request: pytest.FixtureRequest) -> Choosy:
    return Choosy(request.param)


@pytest.fixture
def path(home: Home, network: Choosy, tmp_path: Path) -> Iterator[Path]:
    """An identity with two credentials: renewed, and never connected since."""

    def says(asked: Asked) -> Reply:
        if network.shown in network.refused:
            shown = problem.render(NOBODY)
            return Reply(shown.status, shown.body, shown.headers)
        operation = asked.path.rpartition("/")[2]
        if operation == "renewal-info":
            start = datetime.now(UTC) + timedelta(days=30)
            window = {"start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()}
            return Reply(200, json.dumps({"suggestedWindow": window}).encode())
        made = home.issuers
        if operation == "simplereenroll":
            made = (home.issue(parse_request(parse_body(asked.body)).public_key),)
        return Reply(200, render_certificates(made), {"Content-Type": CERTIFICATES_TYPE})

    with est_door(home.server.chain_file, home.server.key_file, says) as door:
        path = tmp_path / "identity"
        enroll_by(path, home.wanted(est=Address("localhost", door.port)), home.answer, CLOCK)
        renew(path, CLOCK, network=network)
        yield path


def own(path: Path) -> str:
    return certificate_id(open_identity(path).certificate)


def before(path: Path) -> str:
    previous = Slots(path).previous()
    assert previous is not None
    return certificate_id(read_chain(previous.chain_file)[0])


def test_the_one_that_is_taken_is_gone_back_to(path: Path, network: Choosy) -> None:
    new, old = own(path), before(path)
    network.refused = {new}
    ask_hint(path, CLOCK, network)
    assert (own(path), before(path)) == (old, new)


def test_a_renewal_writes_over_the_one_that_is_refused(path: Path, network: Choosy) -> None:
    new, old = own(path), before(path)
    network.refused = {new}
    renew(path, CLOCK, network=network)
    assert before(path) == old
    assert own(path) not in {new, old}


def test_of_two_that_are_taken_the_new_one_stays(path: Path, network: Choosy) -> None:
    new = own(path)
    assert not fall_back(path, CLOCK, network)
    renew(path, CLOCK, network=network)
    assert before(path) == new


def test_of_two_that_are_refused_neither_is_written_over(path: Path, network: Choosy) -> None:
    new, old = own(path), before(path)
    network.refused = {new, old}
    with pytest.raises(Fault) as caught:
        renew(path, CLOCK, network=network)
    assert caught.value.kind in {Kind.UNAUTHENTICATED, Kind.EXPIRED}
    assert (own(path), before(path)) == (new, old)


def test_what_was_renewed_meanwhile_is_not_gone_back_from(path: Path, network: Choosy) -> None:
    # Somebody saw this one refused, and comes to go back from it when it is not in use any more.
    refused = open_identity(path).certificate
    renew(path, CLOCK, network=network)
    new, previous = own(path), Slots(path).previous()
    assert previous is not None
    with pytest.raises(Fault) as caught:
        go_back(path, previous, refused)
    assert caught.value.kind is Kind.NOT_FOUND
    assert own(path) == new
    go_back(path, previous, open_identity(path).certificate)
    assert own(path) != new


def test_a_home_that_does_not_answer_decides_nothing(path: Path, network: Choosy) -> None:
    new, old = own(path), before(path)
    network.alert, network.refused = "reset", {new}
    with pytest.raises(ConnectionFault):
        renew(path, CLOCK, network=network)
    assert (own(path), before(path)) == (new, old)
