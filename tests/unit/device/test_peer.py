"""What a device shows to its neighbours: got with what it is at home, kept good, and never more than that."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from tests.fixtures.est_door import Asked, Reply, est_door
from tests.unit.device.home import Home
from tests.unit.device.neighbourhood import DAY, PATIENCE_S, Neighbourhood
from tests.unit.device.test_power_cut import tear, watching

from troth.device.agent import Agent
from troth.device.endpoint import Address, Endpoint
from troth.device.events import Event
from troth.device.identity import Settings, write_settings
from troth.device.peer import FOLDER, PeerKeeper, find_peer, ready_peer, renew_peer
from troth.device.slots import Slots
from troth.errors import Fault, Kind
from troth.keys.file import read_key
from troth.protocols.est import CERTIFICATES_TYPE, parse_body, render_certificates
from troth.testing.clock import FakeClock
from troth.x509.algorithms import PublicKey
from troth.x509.certificates import certificate_id
from troth.x509.requests import parse_request
from troth.x509.subjects import thing_host, thing_subject

Gives = Callable[[PublicKey], x509.Certificate]
_HEADERS = {"Content-Type": CERTIFICATES_TYPE, "Content-Transfer-Encoding": "base64"}


@pytest.fixture(scope="module")
def here(home: Home) -> Neighbourhood:
    return Neighbourhood(home)


def peers(here: Neighbourhood) -> Gives:
    def give(key: PublicKey) -> x509.Certificate:
        maker, san = here.maker, [x509.DNSName(thing_host("lamp"))]
        template = maker.template(
            maker.profiles["peer"], thing_subject("lamp"), maker.throwaway, here.peers.certificate, san=san
        )
        return maker.sign(replace(template, public_key=key), here.peers.key)

    return give


@contextmanager
def at_home(here: Neighbourhood, path: Path, gives: Gives | None) -> Iterator[list[Asked]]:
    """Let the identity's home answer: with these certificates, or (None) that there is no such enrollment."""

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/cacerts"):
            return Reply(200, render_certificates([*here.home.issuers, here.peers.certificate]), _HEADERS)
        if gives is None or (asked.method, asked.path) != ("POST", "/.well-known/est/peers/simpleenroll"):
            return Reply(404)
        assert "authorization" not in asked.headers
        key = parse_request(parse_body(asked.body)).public_key
        return Reply(200, render_certificates([gives(key)]), _HEADERS)

    with est_door(here.home.server.chain_file, here.home.server.key_file, answer) as door:
        address = Address("localhost", door.port)
        write_settings(path, Settings("lamp", Endpoint(address, address)))
        yield door.asked


@pytest.fixture
def lamp(here: Neighbourhood, tmp_path: Path) -> Path:
    return here.identity(tmp_path / "lamp", "lamp", here.peer("lamp"))


def test_it_is_got_for_the_same_thing_with_a_key_of_its_own(here: Neighbourhood, lamp: Path) -> None:
    before = find_peer(lamp)
    with at_home(here, lamp, peers(here)):
        peer = renew_peer(lamp, FakeClock(datetime.now(UTC)))
    assert before is not None
    assert peer == find_peer(lamp)
    assert (before.slot.name, peer.slot.name) == ("a", "b")
    assert [each.subject for each in peer.chain[1:]] == [here.peers.certificate.subject]
    assert peer.certificate.public_key() != before.certificate.public_key()
    assert peer.slot.key_file.stat().st_mode & 0o777 == 0o600
    assert not peer.slot.request_file.exists()


def test_what_is_not_for_neighbours_is_not_shown_and_not_asked_for_again(here: Neighbourhood, lamp: Path) -> None:
    before, clock = find_peer(lamp), FakeClock(datetime.now(UTC))
    for wrong in (
        lambda key: here.home.issue(key, "lamp"),
        here.home.issue_server,
    ):
        with at_home(here, lamp, wrong) as asked:
            for _ in range(2):
                with pytest.raises(Fault) as caught:
                    renew_peer(lamp, clock)
                assert caught.value.kind is Kind.UNAUTHENTICATED
        # A home that was put right is not kept to the answer that it gave before.
        posted = [each.body for each in asked if each.method == "POST"]
        assert len(set(posted)) == 2
        assert find_peer(lamp) == before
    with at_home(here, lamp, peers(here)):
        renew_peer(lamp, clock)


def test_a_home_without_such_an_enrollment_says_so(here: Neighbourhood, lamp: Path) -> None:
    with at_home(here, lamp, None), pytest.raises(Fault) as caught:
        renew_peer(lamp, FakeClock(datetime.now(UTC)))
    assert caught.value.kind is Kind.NOT_FOUND


def test_it_is_renewed_when_it_is_due_and_shown_while_it_is_good(
    here: Neighbourhood, lamp: Path, unused_port: int
) -> None:
    """The home is needed at no other time: with what is good, and not yet due, nobody is asked."""
    away = Address("localhost", unused_port)
    write_settings(lamp, Settings("lamp", Endpoint(away, away)))
    first, now = find_peer(lamp), datetime.now(UTC)
    assert first is not None
    young, due, over = (FakeClock(now + each) for each in (timedelta(hours=1), 0.9 * DAY, 2 * DAY))
    keeper = PeerKeeper(lamp, due, lambda: 0.5)
    # The home is away.
    assert ready_peer(lamp, young) == ready_peer(lamp, due) == first
    assert keeper.look().event is Event.PEER_NOT_RENEWED
    with pytest.raises(Fault) as caught:
        ready_peer(lamp, over)
    assert caught.value.kind is Kind.UNAVAILABLE
    assert PeerKeeper(lamp, young, lambda: 0.5).look().event is None
    with at_home(here, lamp, peers(here)):
        renewed = keeper.look()
    assert renewed.event is Event.PEER_RENEWED
    second = find_peer(lamp)
    assert second is not None
    assert certificate_id(second.certificate) != certificate_id(first.certificate)


def test_who_has_nothing_for_neighbours_gets_it_when_it_is_wanted(here: Neighbourhood, lamp: Path) -> None:
    (lamp / FOLDER / "current").unlink()
    assert find_peer(lamp) is None
    assert not PeerKeeper(lamp.parent, FakeClock(), lambda: 0.5).is_needed
    with at_home(here, lamp, peers(here)):
        peer = ready_peer(lamp, FakeClock(datetime.now(UTC)))
    assert Slots(lamp / FOLDER).current() == peer.slot


def test_the_agent_keeps_it_good(here: Neighbourhood, lamp: Path) -> None:
    before = find_peer(lamp)

    async def work() -> None:
        renewed = asyncio.Event()

        def tell(event: Event, **fields: object) -> None:
            if event is Event.PEER_RENEWED:
                renewed.set()

        running = asyncio.create_task(Agent(lamp, FakeClock(datetime.now(UTC) + 0.9 * DAY), tell).run())
        async with asyncio.timeout(PATIENCE_S):
            await renewed.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    with at_home(here, lamp, peers(here)):
        asyncio.run(work())
    assert find_peer(lamp) != before


@pytest.mark.slow
def test_a_power_cut_at_any_instant_leaves_something_to_show(here: Neighbourhood, lamp: Path, tmp_path: Path) -> None:
    folder, clock = lamp / FOLDER, FakeClock(datetime.now(UTC))
    with at_home(here, lamp, peers(here)):
        with watching(folder, tmp_path / "cuts", ()) as cuts:
            renew_peer(lamp, clock)
        assert len(cuts) > 10
        for cut in cuts:
            tear(cut.folder)
            shutil.rmtree(folder)
            shutil.copytree(cut.folder, folder, symlinks=True)
            for peer in (find_peer(lamp), renew_peer(lamp, clock)):
                assert peer is not None
                assert read_key(peer.slot.key_file, None).public_key == peer.certificate.public_key(), cut.before
