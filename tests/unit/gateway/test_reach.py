"""Each change reaches every connection that it touches, once, and no other."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from tests.fixtures.mqtt import allow, policy

from troth.authority.revoke import revoke_issuer
from troth.gateway.control import Control
from troth.gateway.principals import Known, Principals
from troth.gateway.refusal import Reason
from troth.gateway.report import Who
from troth.gateway.roster import Roster
from troth.gateway.touching import ENDINGS, TOUCHES, touched_by
from troth.journal.change import Change, change
from troth.journal.record import Entry
from troth.limits import DEFAULT
from troth.registry.attachments import attach_principal, detach_principal
from troth.registry.issuers import IssuerState, get_issuer, set_issuer_state
from troth.registry.kicks import kick
from troth.registry.policies import attach_policy, create_policy, delete_policy, detach_policy, update_policy
from troth.registry.sessions import Which
from troth.registry.states import deactivate, hold, revoke, supersede
from troth.registry.things import create_thing, update_thing
from troth.registry.types import create_type
from troth.testing.authority import TestAuthority
from troth.x509.crl import Reason as Why
from troth.x509.profiles import Purpose

pytestmark = pytest.mark.slow

LAMP, OTHER = "lamp-1", "lamp-2"


class Visitor:
    """A connection that counts what is done to it, and goes when it is ended."""

    def __init__(self, roster: Roster, known: Known) -> None:
        self.certificate_id = known.certificate_id
        thing = known.things[0].name
        self.who = Who("c", "192.0.2.1:1", known.certificate_id, thing, f"client-of-{thing}")
        self.reviews: list[Known | None] = []
        self.ends: list[Reason] = []
        self.silenced = False
        self._roster = roster
        roster.enter(self)
        roster.bind(self)

    def review(self, known: Known | None) -> None:
        self.reviews.append(known)

    def silence_will(self) -> None:
        assert not self.ends
        self.silenced = True

    def end(self, reason: Reason) -> None:
        self.ends.append(reason)
        self._roster.leave(self)

    def abort(self) -> None: ...

    def tick(self, now_s: float, at: datetime) -> None: ...


@dataclass(frozen=True)
class Case:
    """A change, and what it does to whom."""

    make: Callable[[Change, Mapping[str, str]], object]
    reviewed: frozenset[str] = frozenset()
    ended: Mapping[str, Reason] = field(default_factory=dict)
    silenced: bool = False


Make = Callable[[Change, Mapping[str, str]], object]


def reviews(make: Make, *things: str) -> Case:
    return Case(make, reviewed=frozenset(things))


def ends(make: Make, reason: Reason, *things: str, silenced: bool = False) -> Case:
    return Case(make, ended=dict.fromkeys(things, reason), silenced=silenced)


def withdraw_ca(step: Change, _: Mapping[str, str]) -> None:
    revoke_issuer(step, get_issuer(step.connection, Purpose.DEVICES))


def supersede_ca(step: Change, _: Mapping[str, str]) -> None:
    set_issuer_state(step, get_issuer(step.connection, Purpose.DEVICES).issuer_id, IssuerState.SUPERSEDED)


def retire_ca(step: Change, _: Mapping[str, str]) -> None:
    supersede_ca(step, _)
    for (issuer_id,) in step.connection.exec_driver_sql("SELECT issuer_id FROM issuers WHERE state = 'SUPERSEDED'"):
        set_issuer_state(step, issuer_id, IssuerState.RETIRED)


CASES = {
    "policy attached to a thing": reviews(lambda step, _: attach_policy(step, "more", thing=LAMP), LAMP),
    "policy attached to a certificate": reviews(
        lambda step, ids: attach_policy(step, "more", certificate_id=ids[LAMP]), LAMP
    ),
    "policy detached": reviews(lambda step, _: detach_policy(step, "shared", thing=LAMP), LAMP),
    "policy changed": reviews(
        lambda step, _: update_policy(step, "shared", policy(allow("iot:Connect", "*"))), LAMP, OTHER
    ),
    "policy changed that is attached to nobody": Case(
        lambda step, _: update_policy(step, "more", policy(allow("iot:Connect", "*")))
    ),
    "policy deleted": Case(lambda step, _: delete_policy(step, "more")),
    "policy created": Case(lambda step, _: create_policy(step, "new", policy(allow("iot:*", "*")))),
    "thing given attributes": reviews(lambda step, _: update_thing(step, LAMP, None, {"a": "b"}), LAMP),
    "thing given a type": reviews(lambda step, _: update_thing(step, LAMP, "lamp", {}), LAMP),
    "thing created": Case(lambda step, _: create_thing(step, "lamp-9")),
    "type created": Case(lambda step, _: create_type(step, "fan")),
    "certificate detached": reviews(lambda step, ids: detach_principal(step, LAMP, ids[LAMP]), LAMP),
    "another certificate attached": Case(lambda step, ids: attach_principal(step, LAMP, ids["spare"])),
    "certificate revoked": ends(
        lambda step, ids: revoke(step, ids[LAMP], Why.UNSPECIFIED), Reason.CERTIFICATE_REVOKED, LAMP
    ),
    "certificate deactivated": ends(lambda step, ids: deactivate(step, ids[LAMP]), Reason.CERTIFICATE_INACTIVE, LAMP),
    "certificate on hold": ends(lambda step, ids: hold(step, ids[LAMP]), Reason.CERTIFICATE_INACTIVE, LAMP),
    "certificate superseded": ends(
        lambda step, ids: supersede(step, ids[LAMP], ids["spare"]), Reason.CERTIFICATE_INACTIVE, LAMP
    ),
    "issuer revoked": ends(withdraw_ca, Reason.WRONG_ISSUER, LAMP, OTHER),
    "issuer retired": ends(retire_ca, Reason.WRONG_ISSUER, LAMP, OTHER),
    "issuer superseded": Case(supersede_ca),
    "client kicked": ends(lambda step, _: kick(step, Which(client_id=f"client-of-{LAMP}")), Reason.KICKED, LAMP),
    "thing kicked, and its will not": ends(
        lambda step, _: kick(step, Which(thing=LAMP), sends_will=False), Reason.KICKED, LAMP, silenced=True
    ),
    "certificate kicked": ends(lambda step, ids: kick(step, Which(certificate_id=ids[LAMP])), Reason.KICKED, LAMP),
    "nobody kicked": Case(lambda step, ids: kick(step, Which(client_id=LAMP, certificate_id=ids[OTHER]))),
}


class Post:
    """A control at work for two lamps that share a policy; the first of them is there twice."""

    def __init__(self, authority: TestAuthority) -> None:
        self.authority = authority
        self.ids = {name: authority.device(name).certificate_id for name in (LAMP, OTHER)}
        self.ids["spare"] = authority.device("spare").certificate_id
        self.make(self._furnish)
        self.principals = Principals(authority.db, DEFAULT)
        self.roster = Roster(self.principals)
        grace = timedelta(seconds=30)
        self.control = Control(authority.db, authority.clock, self.principals, self.roster, grace, 0.01)
        self.visitors: list[Visitor] = []

    def _furnish(self, step: Change) -> None:
        for name in ("shared", "more"):
            create_policy(step, name, policy(allow("iot:*", "*")))
        for thing in (LAMP, OTHER):
            attach_policy(step, "shared", thing=thing)
        create_type(step, "lamp")
        detach_principal(step, "spare", self.ids["spare"])

    def make(self, what: Callable[[Change], object]) -> int:
        with change(self.authority.db, self.authority.clock, "operator:test") as step:
            what(step)
        return step.last

    async def receive(self) -> None:
        for name in (LAMP, LAMP, OTHER):
            known = await self.principals.get(self.ids[name])
            assert known is not None
            self.visitors.append(Visitor(self.roster, known))

    async def settle(self, entry: int) -> None:
        while self.control.position < entry:  # noqa: ASYNC110 - nothing in the product waits for this
            await asyncio.sleep(0.002)


@pytest.fixture
def post(authority: TestAuthority) -> Iterator[Post]:
    made = Post(authority)
    yield made
    made.principals.close()


def at_work(post: Post, part: Callable[[], Awaitable[None]]) -> None:
    async def work() -> None:
        await post.control.start()
        await post.receive()
        running = asyncio.create_task(post.control.run())
        try:
            async with asyncio.timeout(10):
                await part()
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    asyncio.run(work())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_change_reaches_whom_it_touches_once_and_nobody_else(post: Post, case: Case) -> None:
    async def part() -> None:
        await post.settle(await asyncio.to_thread(post.make, lambda step: case.make(step, post.ids)))
        for visitor in post.visitors:
            thing = str(visitor.who.thing)
            assert len(visitor.reviews) == (thing in case.reviewed), f"{thing} is reviewed {visitor.reviews}"
            assert (
                visitor.ends == [case.ended[thing]] * (thing in case.ended) if thing in case.ended else not visitor.ends
            )
            assert visitor.silenced == (case.silenced and thing in case.ended)

    at_work(post, part)


def test_many_changes_at_once_are_one_review(post: Post) -> None:
    """A thousand entries about one policy are one look-up of each principal, not a thousand."""

    def many(step: Change) -> None:
        for number in range(50):
            update_thing(step, LAMP, None, {"number": str(number)})

    async def part() -> None:
        await post.settle(await asyncio.to_thread(post.make, many))
        lamp, twin, other = post.visitors
        assert (len(lamp.reviews), len(twin.reviews), len(other.reviews)) == (1, 1, 0)
        (known,) = lamp.reviews
        assert known is not None
        assert known.things[0].attributes == {"number": "49"}

    at_work(post, part)


def entry(kind: str, subject: str = "x", **data: object) -> Entry:
    return Entry(1, datetime(2026, 6, 1, tzinfo=UTC), "operator:test", kind, subject, data)


@pytest.mark.parametrize(
    ("happened", "keys"),
    [
        (entry("certificates.pruned", "c", certificate_ids=["c", "d"]), {("certificate", "c"), ("certificate", "d")}),
        (entry("policy.detached", "p", target_kind="certificate", target="c"), {("certificate", "c")}),
        (entry("principal.detached", "c", certificate_id="c", thing="t"), {("certificate", "c")}),
        (entry("token.spent", "k", thing="t"), set()),
        (
            entry("novelty.happened", "n", thing="t", policy="p", issuer_id="i"),
            {("novelty", "n"), ("thing", "t"), ("policy", "p"), ("issuer", "i")},
        ),
    ],
    ids=lambda each: each.kind if isinstance(each, Entry) else "",
)
def test_each_entry_touches_what_it_changes(happened: Entry, keys: set[tuple[str, str]]) -> None:
    assert set(touched_by(happened)) == keys


def test_what_ends_connections_touches_them() -> None:
    assert all(set(TOUCHES[kind](entry(kind, "s"))) for kind in ENDINGS)
