"""What is kept of principals is never older than the journal that has been followed."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.fixtures.mqtt import allow, policy
from tests.fixtures.strangers import Maker, register

from troth.errors import Fault, Kind
from troth.gateway.principals import Principals
from troth.journal.change import Change, change
from troth.journal.entries import head
from troth.journal.record import Entry
from troth.journal.tail import read_after
from troth.limits import DEFAULT, Limits
from troth.policy.attachment import TargetKind
from troth.registry.attachments import detach_principal
from troth.registry.certificates import CertificateState
from troth.registry.foreign_certificates import register_certificate
from troth.registry.foreign_issuers import ForeignPurpose
from troth.registry.policies import attach_policy, create_policy, detach_policy
from troth.store.read import read
from troth.store.write import write
from troth.testing.authority import TestAuthority
from troth.x509.certificates import certificate_id
from troth.x509.profiles import Purpose

ACTOR = "operator:test"


@pytest.fixture
def principals(authority: TestAuthority) -> Iterator[Principals]:
    made = Principals(authority.db, DEFAULT)
    yield made
    made.close()


def changing(authority: TestAuthority) -> Any:
    return change(authority.db, authority.clock, ACTOR)


def attach(step: Change, name: str, thing: str) -> None:
    create_policy(step, name, policy(allow("iot:*", "*")))
    attach_policy(step, name, thing=thing)


def journal(authority: TestAuthority, after: int) -> list[Entry]:
    return read_after(authority.db, after)


def end(authority: TestAuthority) -> int:
    with read(authority.db) as connection:
        return head(connection)


def test_a_principal_is_read_with_all_that_decides(authority: TestAuthority, principals: Principals) -> None:
    lamp = authority.device("lamp-1")
    with changing(authority) as step:
        attach(step, "p", "lamp-1")
    known = asyncio.run(principals.get(lamp.certificate_id))
    assert known is not None
    assert (known.state, known.purpose) == (CertificateState.ACTIVE, Purpose.DEVICES)
    assert [(each.name, each.exclusive) for each in known.things] == [("lamp-1", True)]
    assert known.policies is not None
    assert [(each.name, each.target_kind, each.target) for each in known.policies] == [
        ("p", TargetKind.THING, "lamp-1")
    ]
    assert known.not_after == lamp.certificate.not_valid_after_utc
    assert known.position == end(authority)
    assert principals.find(lamp.certificate_id) is known


@pytest.mark.parametrize(
    ("issuer", "purpose"), [("customer", Purpose.DEVICES), ("manufacturer", None), ("nobody", None)]
)
def test_of_cas_elsewhere_a_registered_customers_alone_certifies_devices(
    authority: TestAuthority, principals: Principals, tmp_path: Path, issuer: str, purpose: Purpose | None
) -> None:
    maker = Maker.new(tmp_path, authority.clock.now())
    leaf, issuer_id = maker.device().certificate, certificate_id(maker.certificate)
    if issuer != "nobody":
        register(authority, maker, "acme", ForeignPurpose(issuer))
    with changing(authority) as step:
        row = register_certificate(step, leaf, issuer_id=issuer_id, method="jitr")
    known = asyncio.run(principals.get(row.certificate_id))
    assert known is not None
    assert (known.state, known.purpose) == (CertificateState.PENDING_ACTIVATION, purpose)


def test_an_unknown_certificate_is_nobody(principals: Principals) -> None:
    assert asyncio.run(principals.get("0" * 64)) is None
    assert principals.find("0" * 64) is None


def test_two_who_share_a_policy_share_its_document(authority: TestAuthority, principals: Principals) -> None:
    one, other = authority.device("lamp-1"), authority.device("lamp-2")
    with changing(authority) as step:
        attach(step, "p", "lamp-1")
        attach_policy(step, "p", thing="lamp-2")
    found = asyncio.run(principals.look_up([one.certificate_id, other.certificate_id]))
    documents = {id(known.policies[0].document) for known in found.values() if known and known.policies}
    assert len(documents) == 1


def test_entries_drop_whom_they_touch_and_nobody_else(authority: TestAuthority, principals: Principals) -> None:
    one, other = authority.device("lamp-1"), authority.device("lamp-2")
    with changing(authority) as step:
        attach(step, "p", "lamp-1")
    touches: list[Callable[[Change], None]] = [
        lambda step: attach_policy(step, "p", certificate_id=one.certificate_id),
        lambda step: detach_policy(step, "p", thing="lamp-1"),
        lambda step: detach_principal(step, "lamp-1", one.certificate_id),
    ]
    for touch in touches:
        asyncio.run(principals.look_up([one.certificate_id, other.certificate_id]))
        before = end(authority)
        with changing(authority) as step:
            touch(step)
        assert principals.apply(journal(authority, before)) == {one.certificate_id}
        assert principals.position == end(authority)
        assert principals.find(one.certificate_id) is None
        assert principals.find(other.certificate_id) is not None
    before = end(authority)
    authority.revoke(other)
    assert principals.apply(journal(authority, before)) == {other.certificate_id}


def test_what_was_read_before_an_entry_was_followed_is_read_again(
    authority: TestAuthority, principals: Principals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look-up is under way while the follower moves on: its snapshot must not be kept."""
    lamp = authority.device("lamp-1")
    snapshots = 0
    real = principals._read

    def slow(certificate_ids: tuple[str, ...]) -> Any:
        nonlocal snapshots
        snapshots += 1
        found = real(certificate_ids)
        if snapshots == 1:
            before = end(authority)
            authority.revoke(lamp)
            principals.apply(journal(authority, before))
        return found

    monkeypatch.setattr(principals, "_read", slow)
    known = asyncio.run(principals.get(lamp.certificate_id))
    assert snapshots == 2
    assert known is not None
    assert known.state is CertificateState.REVOKED


def test_a_registry_that_is_never_as_new_as_the_journal_is_unavailable(
    authority: TestAuthority, principals: Principals
) -> None:
    principals.position = 1_000_000
    with pytest.raises(Fault) as caught:
        asyncio.run(principals.get(authority.device("lamp-1").certificate_id))
    assert caught.value.kind is Kind.UNAVAILABLE


def test_those_in_use_are_kept_and_of_others_the_last_met(authority: TestAuthority) -> None:
    principals = Principals(authority.db, Limits(principals_kept_max=2))
    lamps = [authority.device(f"lamp-{each}").certificate_id for each in range(5)]
    for lamp in lamps[:2]:
        asyncio.run(principals.get(lamp))
        principals.use(lamp)
    asyncio.run(principals.get(lamps[2]))
    asyncio.run(principals.get(lamps[3]))
    assert principals.find(lamps[2]) is not None
    asyncio.run(principals.get(lamps[4]))
    assert [principals.find(each) is not None for each in lamps] == [True, True, True, False, True]
    principals.use(lamps[0])
    principals.release(lamps[0])
    principals.release(lamps[1])
    assert [principals.find(each) is not None for each in lamps] == [True, True, False, False, True]
    principals.forget_all()
    assert not any(principals.find(each) for each in lamps)
    principals.release(lamps[0])
    principals.close()


def test_a_policy_that_cannot_be_read_leaves_no_policies(authority: TestAuthority, principals: Principals) -> None:
    lamp = authority.device("lamp-1")
    with changing(authority) as step:
        attach(step, "p", "lamp-1")
    with write(authority.db) as connection:
        connection.execute(text("UPDATE policy_versions SET document = 'no JSON'"))
    known = asyncio.run(principals.get(lamp.certificate_id))
    assert known is not None
    assert known.policies is None
