"""Soon after a revocation its CRLs say so, and no others are made."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps

import pytest
from tests.fixtures.issuance import entries
from tests.unit.authority.status.conftest import Find, Publish

from troth.authority.revoke import revoke_issuer
from troth.authority.status.publish import CRLDoor, scopes_of
from troth.authority.status.serve import Publisher
from troth.authority.status.stored import CRLKind
from troth.journal.change import change
from troth.journal.entries import head
from troth.journal.tail import Follower
from troth.registry.issuers import Issuer
from troth.registry.states import hold, release
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.crl import Reason, list_entries
from troth.x509.serials import shard_of

pytestmark = pytest.mark.slow

PATIENCE_S = 20.0


def in_loop(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(**fixtures: object) -> None:
        asyncio.run(test(**fixtures))

    return run


@asynccontextmanager
async def publishing(authority: TestAuthority, door: CRLDoor) -> AsyncIterator[None]:
    task = asyncio.create_task(Publisher(authority.db, authority.clock, door, pause_s=0.01).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def published(authority: TestAuthority, position: int) -> list[object]:
    """Return what the first publication after a journal entry has made."""
    async with asyncio.timeout(PATIENCE_S):
        async for batch in Follower(authority.db, authority.clock, position, poll_s=0.01).entries():
            for entry in batch:
                if entry.kind == "crl.published":
                    return [(each["shard"], each["kind"]) for each in entry.data["crls"]]
    raise AssertionError


def position(authority: TestAuthority) -> int:
    with read(authority.db) as connection:
        return head(connection)


@in_loop
async def test_a_revocation_a_hold_and_its_end_are_published_by_themselves(
    authority: TestAuthority, devices: Issuer, door: CRLDoor, publish: Publish, in_force: Find
) -> None:
    lamp = authority.device("lamp-1")
    own = shard_of(lamp.certificate.serial_number)
    publish(scopes_of(devices))
    expected = [(shard, kind) for shard in (None, own) for kind in ("complete", "delta")]
    async with publishing(authority, door):
        for step, listed in ((hold, 1), (release, 0)):
            before = position(authority)
            with change(authority.db, authority.clock, "test") as changing:
                step(changing, lamp.certificate_id)
            assert await published(authority, before) == expected
            for shard in (None, own):
                assert len(list_entries(in_force(CRLKind.COMPLETE, shard).der)) == listed
        before = position(authority)
        authority.revoke(lamp)
        assert await published(authority, before) == expected


@in_loop
async def test_what_was_revoked_while_nobody_published_is_made_up_for(
    authority: TestAuthority, devices: Issuer, door: CRLDoor, publish: Publish, in_force: Find
) -> None:
    lamp = authority.device("lamp-1")
    publish(scopes_of(devices))
    authority.revoke(lamp)
    before = position(authority)
    async with publishing(authority, door):
        await published(authority, before)
    assert len(list_entries(in_force().der)) == 1


@in_loop
async def test_a_ca_that_is_revoked_is_on_its_parents_crl_where_the_key_is_at_hand(
    authority: TestAuthority, devices: Issuer, door: CRLDoor
) -> None:
    root = authority.hierarchy.root
    door.publish(authority.db, authority.clock, "test", root, scopes_of(root))
    async with publishing(authority, door):
        before = position(authority)
        with change(authority.db, authority.clock, "test") as changing:
            revoke_issuer(changing, devices, Reason.CA_COMPROMISE)
        await published(authority, before)
    told = entries(authority.db, "crl.published")[-1]
    assert told.subject == root.issuer_id
    assert {each["entries"] for each in told.data["crls"]} == {1}


@in_loop
async def test_a_key_that_fails_is_asked_again(
    authority: TestAuthority, devices: Issuer, publish: Publish, clock: FakeClock
) -> None:
    class Recovering:
        def __init__(self) -> None:
            self.key = authority.cabinet.keys[devices.key_name]
            self.algorithm, self.public_key, self.asked = self.key.algorithm, self.key.public_key, 0

        def sign(self, data: bytes) -> bytes:
            self.asked += 1
            if self.asked == 1:
                raise OSError("the token was pulled out")
            return self.key.sign(data)

    lamp = authority.device("lamp-1")
    publish()
    key = Recovering()
    async with publishing(authority, CRLDoor({devices.issuer_id: key}, authority.public_url)):
        before = position(authority)
        authority.revoke(lamp)
        await published(authority, before)
    assert key.asked > 1
