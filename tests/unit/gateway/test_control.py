"""What changes reaches whom it touches, also after trouble, and nobody trusts what cannot be known."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from troth.gateway.admission import Admission
from troth.gateway.control import Control
from troth.gateway.principals import Known, Principals
from troth.gateway.refusal import Reason, Refusal
from troth.gateway.report import Who
from troth.gateway.roster import Roster
from troth.journal.change import change
from troth.journal.tail import POLL_S
from troth.limits import DEFAULT
from troth.names import Realm
from troth.registry.attachments import detach_principal
from troth.registry.certificates import CertificateState
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock

GRACE = timedelta(seconds=30)


class Visitor:
    """A connection that notes what is done to it."""

    def __init__(self, certificate_id: str, thing: str) -> None:
        self.certificate_id = certificate_id
        self.reviews: list[Known | None] = []
        self.ends: list[Reason] = []
        self.silenced = False
        self.who = Who("c", "192.0.2.1:1", certificate_id, thing, thing)
        self.told = asyncio.Event()

    def review(self, known: Known | None) -> None:
        self.reviews.append(known)
        self.told.set()

    def end(self, reason: Reason) -> None:
        self.ends.append(reason)
        self.told.set()

    def silence_will(self) -> None:
        assert not self.ends
        self.silenced = True

    def abort(self) -> None: ...

    def tick(self, now_s: float, at: datetime) -> None: ...


class Post:
    """A control at work."""

    def __init__(self, authority: TestAuthority, poll_s: float = POLL_S) -> None:
        self.principals = Principals(authority.db, DEFAULT)
        self.roster = Roster(self.principals)
        self.control = Control(authority.db, authority.clock, self.principals, self.roster, GRACE, poll_s)
        self.admission = Admission(self.principals, authority.clock, Realm(), DEFAULT, self.control.is_up_to_date)

    async def receive(self, certificate_id: str) -> Visitor:
        known = await self.principals.get(certificate_id)
        assert known is not None
        visitor = Visitor(certificate_id, known.things[0].name)
        self.roster.enter(visitor)
        self.roster.bind(visitor)
        return visitor


@pytest.fixture
def post(authority: TestAuthority) -> Iterator[Post]:
    made = Post(authority)
    yield made
    made.principals.close()


@pytest.fixture
def dozing(authority: TestAuthority) -> Iterator[Post]:
    """One that does not look at the journal by itself while a test lasts."""
    made = Post(authority, poll_s=3600)
    yield made
    made.principals.close()


def at_work(post: Post, part: Callable[[], Awaitable[None]]) -> None:
    async def work() -> None:
        await post.control.start()
        running = asyncio.create_task(post.control.run())
        try:
            async with asyncio.timeout(10):
                await part()
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    asyncio.run(work())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing in the product waits for this
        await asyncio.sleep(0.005)


def detach(authority: TestAuthority, thing: str, certificate_id: str) -> None:
    with change(authority.db, authority.clock, "operator:test") as changing:
        detach_principal(changing, thing, certificate_id)


def test_a_change_is_reviewed_by_whom_it_touches_alone(authority: TestAuthority, post: Post) -> None:
    one, other = authority.device("lamp-1"), authority.device("lamp-2")

    async def part() -> None:
        first, second = await post.receive(one.certificate_id), await post.receive(other.certificate_id)
        await asyncio.to_thread(detach, authority, "lamp-1", one.certificate_id)
        await first.told.wait()
        (known,) = first.reviews
        assert known is not None
        assert known.things == ()
        assert (second.reviews, second.ends) == ([], [])

    at_work(post, part)


def test_a_revocation_ends_it_at_once(authority: TestAuthority, post: Post) -> None:
    lamp = authority.device("lamp-1")

    async def part() -> None:
        visitor = await post.receive(lamp.certificate_id)
        await asyncio.to_thread(authority.revoke, lamp)
        await visitor.told.wait()
        assert visitor.ends == [Reason.CERTIFICATE_REVOKED]

    at_work(post, part)


def test_who_comes_right_after_a_revocation_is_refused(authority: TestAuthority, dozing: Post) -> None:
    """What is kept says that it is in force; the database is asked before that is believed."""
    lamp, twin = authority.device("lamp-1"), authority.device("lamp-2")

    async def part() -> None:
        for each in (lamp, twin):
            assert (await dozing.admission.principal(each.certificate_id)).state is CertificateState.ACTIVE
        await asyncio.to_thread(authority.revoke, lamp)
        assert dozing.principals.find(lamp.certificate_id) is not None
        coming = [dozing.admission.principal(each.certificate_id) for each in (lamp, lamp, twin)]
        first, second, other = await asyncio.gather(*coming, return_exceptions=True)
        for refused in (first, second):
            assert isinstance(refused, Refusal)
            assert refused.reason is Reason.CERTIFICATE_REVOKED
        assert isinstance(other, Known)

    at_work(dozing, part)


def test_who_comes_when_the_database_has_just_gone_is_refused(authority: TestAuthority, dozing: Post) -> None:
    lamp = authority.device("lamp-1")
    path = authority.db.path
    assert path is not None

    async def part() -> None:
        await dozing.admission.principal(lamp.certificate_id)
        hidden = path.rename(path.with_suffix(".hidden"))
        assert dozing.control.is_state_known()
        with pytest.raises(Refusal) as caught:
            await dozing.admission.principal(lamp.certificate_id)
        assert caught.value.reason is Reason.STATE_UNKNOWN
        hidden.rename(path)
        assert isinstance(await dozing.admission.principal(lamp.certificate_id), Known)

    at_work(dozing, part)


def test_a_revocation_does_not_wait_behind_a_long_review(
    authority: TestAuthority, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp, other = authority.device("lamp-1"), authority.device("lamp-2")
    real = post.principals.look_up
    reviewing, enough = asyncio.Event(), asyncio.Event()

    async def slow(certificate_ids: Sequence[str]) -> dict[str, Known | None]:
        reviewing.set()
        await enough.wait()
        return await real(certificate_ids)

    async def part() -> None:
        first, second = await post.receive(lamp.certificate_id), await post.receive(other.certificate_id)
        monkeypatch.setattr(post.principals, "look_up", slow)
        await asyncio.to_thread(detach, authority, "lamp-1", lamp.certificate_id)
        await reviewing.wait()
        await asyncio.to_thread(authority.revoke, other)
        await second.told.wait()
        assert (second.ends, first.reviews) == ([Reason.CERTIFICATE_REVOKED], [])
        enough.set()
        await first.told.wait()

    at_work(post, part)


def test_what_could_not_be_looked_up_is_looked_up_when_it_can(
    authority: TestAuthority, post: Post, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away between the entry and the look-up that it calls for."""
    lamp = authority.device("lamp-1")
    path = authority.db.path
    assert path is not None
    hidden = path.with_suffix(".hidden")
    real = post.principals.apply

    def apply(entries: object) -> set[str]:
        touched = real(entries)  # type: ignore[arg-type]
        authority.db.dispose()
        path.rename(hidden)
        monkeypatch.setattr(post.principals, "apply", real)
        return touched

    async def part() -> None:
        visitor = await post.receive(lamp.certificate_id)
        monkeypatch.setattr(post.principals, "apply", apply)
        await asyncio.to_thread(detach, authority, "lamp-1", lamp.certificate_id)
        await until(lambda: not post.control.is_state_known())
        assert visitor.reviews == []
        post.control.tick()
        assert visitor.ends == []
        clock.advance(GRACE + timedelta(seconds=1))
        post.control.tick()
        assert visitor.ends == [Reason.STATE_UNKNOWN]
        hidden.rename(path)
        await until(post.control.is_state_known)
        (known,) = visitor.reviews
        assert known is not None
        assert known.things == ()

    at_work(post, part)


def test_a_bug_costs_everybody_a_review_and_nobody_the_truth(
    authority: TestAuthority, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries were taken from the journal and not acted on: nothing that is kept can be trusted."""
    lamp, other = authority.device("lamp-1"), authority.device("lamp-2")
    real = post.principals.apply

    def broken(entries: object) -> set[str]:
        monkeypatch.setattr(post.principals, "apply", real)
        raise RuntimeError("a bug")

    async def part() -> None:
        visitors = [await post.receive(each.certificate_id) for each in (lamp, other)]
        monkeypatch.setattr(post.principals, "apply", broken)
        await asyncio.to_thread(authority.revoke, lamp)
        for visitor in visitors:
            await visitor.told.wait()
        await until(post.control.is_state_known)
        states = [known.state for visitor in visitors for known in visitor.reviews if known is not None]
        assert states == [CertificateState.REVOKED, CertificateState.ACTIVE]

    at_work(post, part)


def test_before_it_begins_nothing_is_known(post: Post) -> None:
    assert not post.control.is_state_known()


def test_the_roster_keeps_whom_it_serves_and_lets_go(authority: TestAuthority, post: Post) -> None:
    lamp = authority.device("lamp-1")

    async def part() -> None:
        one, two = await post.receive(lamp.certificate_id), await post.receive(lamp.certificate_id)
        assert set(post.roster.bound_to(lamp.certificate_id)) == {one, two}
        post.roster.leave(one)
        assert (list(post.roster), len(post.roster)) == ([two], 2)
        assert post.roster.bound() == {lamp.certificate_id}
        post.roster.leave(two)
        post.roster.leave(two)
        assert post.roster.bound() == set()
        post.roster.depart(one)
        waiting = asyncio.create_task(post.roster.empty(10))
        await asyncio.sleep(0)
        post.roster.depart(two)
        await waiting
        assert len(post.roster) == 0

    asyncio.run(part())
