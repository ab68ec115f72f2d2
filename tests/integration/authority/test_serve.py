"""The authority's loop with a real bell, a real journal and real databases."""

import asyncio
import stat
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.issuance import certificates, entries, intend, intend_all, reread

from troth.authority.bell import answers, hang, ring, silence
from troth.authority.door import Door
from troth.authority.intents import Intent, IntentState
from troth.authority.serve import serve
from troth.errors import Fault, Kind
from troth.journal.entries import head
from troth.journal.tail import Follower
from troth.keys.file import FileKey
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock

WAIT_S = 20.0


async def concluded(authority: TestAuthority, intents: list[Intent]) -> None:
    """Return when the journal shows a conclusion of every one of these intents."""
    left = {intent.intent_id for intent in intents}
    async with asyncio.timeout(WAIT_S), aclosing(Follower(authority.db, FakeClock(), 0).entries()) as batches:
        async for batch in batches:
            left -= {entry.data.get("intent") for entry in batch if entry.kind != "certificate.intended"}
            if not left:
                return


def in_loop(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def test_what_was_intended_before_it_started_is_concluded(any_authority: TestAuthority, tmp_path: Path) -> None:
    intents = intend_all(any_authority, ["lamp-1", "lamp-2"])

    async def work() -> None:
        async with any_authority.serving(tmp_path / "bell"):
            await concluded(any_authority, intents)

    in_loop(work)
    assert all(reread(any_authority.db, intent).state is IntentState.ISSUED for intent in intents)
    assert len(entries(any_authority.db, "certificate.issued")) == 2


def test_without_a_ring_the_journal_tells(any_authority: TestAuthority, tmp_path: Path) -> None:
    async def work() -> None:
        async with any_authority.serving(tmp_path / "bell"):
            for name in ("lamp-1", "lamp-2"):
                await concluded(any_authority, [await asyncio.to_thread(intend, any_authority, name)])

    in_loop(work)


def test_a_ring_is_enough(authority: TestAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a journal that never stirs, the bell alone wakes the authority."""

    async def deaf(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("troth.authority.serve._follow", deaf)

    async def work() -> None:
        async with authority.serving(tmp_path / "bell"):
            intent = await asyncio.to_thread(intend, authority)
            assert ring(tmp_path / "bell")
            await concluded(authority, [intent])

    in_loop(work)


class SlowToWake:
    """A key that is not there at first."""

    def __init__(self, inner: FileKey) -> None:
        self.inner = inner
        self.algorithm = inner.algorithm
        self.public_key = inner.public_key
        self.asked = 0

    def sign(self, data: bytes) -> bytes:
        self.asked += 1
        if self.asked == 1:
            raise Fault(Kind.UNAVAILABLE, "the token is not plugged in")
        return self.inner.sign(data)


def test_what_could_not_be_signed_is_tried_again(authority: TestAuthority, tmp_path: Path) -> None:
    intent = intend(authority)
    key = SlowToWake(authority.cabinet.open("keys/devices-1.key"))

    async def work() -> None:
        async with authority.serving(tmp_path / "bell", Door({intent.issuer_id: key}, authority.public_url)):
            await concluded(authority, [intent])

    in_loop(work)
    assert key.asked == 2
    assert len(certificates(authority.db, "lamp-1")) == 1


def test_it_does_not_start_where_its_bell_cannot_hang(authority: TestAuthority, tmp_path: Path) -> None:
    async def work() -> None:
        await serve(
            authority.db,
            authority.clock,
            authority.door(),
            tmp_path / "no such folder" / "bell",
            asyncio.Event(),
            lambda: None,
        )

    with pytest.raises(Fault) as caught:
        in_loop(work)
    assert caught.value.kind is Kind.MISCONFIGURED


def test_it_stops_when_told_to_and_takes_its_bell_down(authority: TestAuthority, tmp_path: Path) -> None:
    bell = tmp_path / "bell"

    async def work() -> None:
        async with authority.serving(bell):
            assert answers(bell)
        assert not bell.exists()

    in_loop(work)
    assert not answers(bell)
    assert not ring(bell)


def test_only_its_owner_can_ring_the_bell(tmp_path: Path) -> None:
    with hang(tmp_path / "bell"):
        mode = (tmp_path / "bell").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600


def test_a_bell_that_a_dead_authority_left_is_replaced(tmp_path: Path) -> None:
    left = tmp_path / "bell"
    left.write_text("not even a socket")
    with hang(left) as bell:
        assert ring(left)
        assert bell.recv(1) == b"\n"


def test_however_often_it_is_rung_it_never_blocks_who_rings(tmp_path: Path) -> None:
    with hang(tmp_path / "bell") as bell:
        assert all(ring(tmp_path / "bell") for _ in range(2000))
        silence(bell)
        with pytest.raises(BlockingIOError):
            bell.recv(1)


def test_a_home_may_stand_deeper_than_an_address_is_long(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with hang(deep / "bell") as bell:
        assert ring(deep / "bell")
        assert answers(deep / "bell")
        assert bell.recv(1) == b"\n"
    assert not answers(deep / "bell")


def test_eight_gateways_share_no_serial(any_authority: TestAuthority, tmp_path: Path) -> None:
    async def work() -> None:
        async with any_authority.serving(tmp_path / "bell"):
            asking: list[Awaitable[Intent]] = [
                asyncio.to_thread(intend, any_authority, f"lamp-{number}") for number in range(8)
            ]
            await concluded(any_authority, list(await asyncio.gather(*asking)))

    in_loop(work)
    serials = {entry.data["serial"] for entry in entries(any_authority.db, "certificate.issued")}
    assert len(serials) == 8
    with read(any_authority.db) as connection:
        assert head(connection) > 0
