"""Policies, attachments, and all that decides what a connection may do."""

import json

import pytest
from tests.fixtures.certificates import make_certificate
from tests.fixtures.databases import StepClock

from troth.errors import Bug, Fault, Kind
from troth.journal.change import Change, change
from troth.journal.entries import head, list_after
from troth.limits import POLICIES_PER_TARGET_MAX, THINGS_PER_CERTIFICATE_MAX, Limits
from troth.policy.attachment import TargetKind
from troth.registry.attachments import Attachment, attach_principal, detach_principal, list_principals_of
from troth.registry.certificates import CertificateState, add_certificate
from troth.registry.policies import (
    Target,
    attach_policy,
    create_policy,
    detach_policy,
    get_policy,
    list_attached,
    list_policies,
    list_targets,
)
from troth.registry.principals import AttachedPolicy, AttachedThing, find_principal
from troth.registry.states import revoke
from troth.registry.things import create_thing
from troth.registry.types import create_type
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.crl import Reason


def document(client: str = "*") -> str:
    resource = f"arn:aws:iot:local:000000000000:client/{client}"
    statement = {"Effect": "Allow", "Action": "iot:Connect", "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def add(changing: Change, name: str = "lamp-1") -> str:
    row = add_certificate(
        changing, make_certificate(name), issuer_id="ab" * 32, profile="device", thing=name, method="token"
    )
    return row.certificate_id


def refused(db: Database, clock: StepClock, kind: Kind, act: object, *arguments: object, **named: object) -> None:
    assert callable(act)
    with pytest.raises(Fault) as caught, change(db, clock, "operator:cli") as changing:
        act(changing, *arguments, **named)
    assert caught.value.kind is kind
    assert caught.value.hint or kind is Kind.MALFORMED


def test_a_principal_is_all_that_a_certificate_is_attached_to(db: Database, clock: StepClock) -> None:
    with change(db, clock, "operator:cli") as changing:
        create_type(changing, "lamp")
        create_thing(changing, "lamp-1", "lamp", {"room": "hall"})
        create_thing(changing, "lamp-2")
        create_thing(changing, "other")
        one, other = add(changing), add(changing, "other")
        create_thing(changing, one)
        for name in ("of-certificate", "of-lamp-1", "of-both", "of-other"):
            create_policy(changing, name, document(name))
        attach_principal(changing, "lamp-2", one, exclusive=False)
        attach_principal(changing, "lamp-1", one, exclusive=False)
        attach_principal(changing, "other", other)
        attach_policy(changing, "of-certificate", certificate_id=one)
        attach_policy(changing, "of-lamp-1", thing="lamp-1")
        attach_policy(changing, "of-both", thing="lamp-1")
        attach_policy(changing, "of-both", thing="lamp-2")
        attach_policy(changing, "of-other", thing="other")
        # Nobody comes by another's policy through a thing that is named like its certificate, or the other way round.
        attach_policy(changing, "of-other", thing=one)
    with read(db) as connection:
        found = find_principal(connection, one)
        assert find_principal(connection, "0" * 64) is None
    assert found is not None
    assert (found.certificate.certificate_id, found.certificate.state) == (one, CertificateState.ACTIVE)
    assert found.things == (
        AttachedThing("lamp-1", "lamp", {"room": "hall"}, exclusive=False, groups=frozenset()),
        AttachedThing("lamp-2", None, {}, exclusive=False, groups=frozenset()),
    )
    assert found.policies == (
        AttachedPolicy("of-certificate", 1, document("of-certificate"), TargetKind.CERTIFICATE, one),
        AttachedPolicy("of-both", 1, document("of-both"), TargetKind.THING, "lamp-1"),
        AttachedPolicy("of-lamp-1", 1, document("of-lamp-1"), TargetKind.THING, "lamp-1"),
        AttachedPolicy("of-both", 1, document("of-both"), TargetKind.THING, "lamp-2"),
    )
    assert found.position == changing.last


def test_a_principal_and_its_position_are_of_one_moment(db: Database, clock: StepClock) -> None:
    with change(db, clock, "operator:cli") as changing:
        identity = add(changing)
    with read(db) as connection:
        position = head(connection)
        with change(db, clock, "operator:cli") as changing:
            revoke(changing, identity, Reason.KEY_COMPROMISE)
        found = find_principal(connection, identity)
    assert found is not None
    assert (found.certificate.state, found.position) == (CertificateState.ACTIVE, position)
    with read(db) as connection:
        found = find_principal(connection, identity)
    assert found is not None
    assert (found.certificate.state, found.position) == (CertificateState.REVOKED, changing.last)


def test_a_principal_without_anything_has_nothing(db: Database, clock: StepClock) -> None:
    with change(db, clock, "operator:cli") as changing:
        identity = add(changing)
    with read(db) as connection:
        found = find_principal(connection, identity)
    assert found is not None
    assert (found.things, found.policies) == ((), ())


def test_an_exclusive_certificate_has_one_thing(db: Database, clock: StepClock) -> None:
    with change(db, clock, "operator:cli") as changing:
        for name in ("lamp-1", "lamp-2"):
            create_thing(changing, name)
        exclusive, shared = add(changing), add(changing)
        attach_principal(changing, "lamp-1", exclusive)
        attach_principal(changing, "lamp-1", shared, exclusive=False)
    refused(db, clock, Kind.CONFLICT, attach_principal, "lamp-2", exclusive)
    refused(db, clock, Kind.CONFLICT, attach_principal, "lamp-2", exclusive, exclusive=False)
    refused(db, clock, Kind.CONFLICT, attach_principal, "lamp-2", shared)
    refused(db, clock, Kind.CONFLICT, attach_principal, "lamp-1", exclusive, exclusive=False)
    refused(db, clock, Kind.NOT_FOUND, attach_principal, "nothing", shared)
    refused(db, clock, Kind.NOT_FOUND, attach_principal, "lamp-1", "0" * 64)
    refused(db, clock, Kind.NOT_FOUND, detach_principal, "lamp-2", exclusive)
    with change(db, clock, "operator:cli") as changing:
        attach_principal(changing, "lamp-1", exclusive)
        detach_principal(changing, "lamp-1", exclusive)
        attach_principal(changing, "lamp-2", exclusive)
        attach_principal(changing, "lamp-2", shared, exclusive=False)
    with read(db) as connection:
        kinds = [entry.kind for entry in list_after(connection, changing.last - 3)]
        assert list_principals_of(connection, "lamp-2") == [
            Attachment("lamp-2", identity, identity == exclusive) for identity in sorted((exclusive, shared))
        ]
        assert [one.certificate_id for one in list_principals_of(connection, "lamp-1")] == [shared]
        assert list_principals_of(connection, "lamp-1", after=shared) == []
    assert kinds == ["principal.detached", "principal.attached", "principal.attached"]


def test_attachments_are_bounded(sqlite_db: Database, clock: StepClock) -> None:
    with change(sqlite_db, clock, "operator:cli") as changing:
        identity = add(changing)
        for number in range(THINGS_PER_CERTIFICATE_MAX + 1):
            create_thing(changing, f"thing-{number}")
        for number in range(POLICIES_PER_TARGET_MAX + 1):
            create_policy(changing, f"policy-{number}", document())
        for number in range(THINGS_PER_CERTIFICATE_MAX):
            attach_principal(changing, f"thing-{number}", identity, exclusive=False)
        for number in range(POLICIES_PER_TARGET_MAX):
            attach_policy(changing, f"policy-{number}", thing="thing-0")
    last = f"thing-{THINGS_PER_CERTIFICATE_MAX}"
    refused(sqlite_db, clock, Kind.TOO_LARGE, attach_principal, last, identity, exclusive=False)
    refused(sqlite_db, clock, Kind.TOO_LARGE, attach_policy, f"policy-{POLICIES_PER_TARGET_MAX}", thing="thing-0")


def test_a_policy_is_read_before_it_is_kept(db: Database, clock: StepClock) -> None:
    refused(db, clock, Kind.MALFORMED, create_policy, "p", "{}")
    refused(db, clock, Kind.MALFORMED, create_policy, "p q", document())
    refused(db, clock, Kind.TOO_LARGE, create_policy, "p", document("x" * 100), Limits(policy_chars_max=100))
    with change(db, clock, "operator:cli") as changing:
        created = create_policy(changing, "p", document("a"))
        assert create_policy(changing, "p", document("a")) == created
        create_policy(changing, "q", document("a"))
    refused(db, clock, Kind.CONFLICT, create_policy, "p", document("b"))
    with read(db) as connection:
        assert get_policy(connection, "p") == created
        assert [policy.name for policy in list_policies(connection)] == ["p", "q"]
        assert [policy.name for policy in list_policies(connection, "p", 1)] == ["q"]
        with pytest.raises(Fault):
            get_policy(connection, "r")
        assert list_after(connection, 0)[0].data == {"policy": "p", "version": 1, "document": document("a")}


def test_a_policy_is_attached_once_and_detached(db: Database, clock: StepClock) -> None:
    with change(db, clock, "operator:cli") as changing:
        create_thing(changing, "lamp-1")
        identity = add(changing)
        create_policy(changing, "p", document())
        for _ in range(2):
            attach_policy(changing, "p", thing="lamp-1")
            attach_policy(changing, "p", certificate_id=identity)
    certificate, thing = Target(TargetKind.CERTIFICATE, identity), Target(TargetKind.THING, "lamp-1")
    with read(db) as connection:
        assert list_targets(connection, "p") == [certificate, thing]
        assert list_targets(connection, "p", after=certificate) == [thing]
        assert list_attached(connection, thing) == ["p"]
        last = list_after(connection, 0)[-2:]
    assert [entry.kind for entry in last] == ["policy.attached"] * 2
    assert last[0].data == {"policy": "p", "target_kind": "thing", "target": "lamp-1"}
    with change(db, clock, "operator:cli") as changing:
        detach_policy(changing, "p", thing="lamp-1")
    with read(db) as connection:
        assert list_targets(connection, "p") == [certificate]
    refused(db, clock, Kind.NOT_FOUND, detach_policy, "p", thing="lamp-1")
    refused(db, clock, Kind.NOT_FOUND, attach_policy, "p", thing="lamp-2")
    refused(db, clock, Kind.NOT_FOUND, attach_policy, "p", certificate_id="0" * 64)
    refused(db, clock, Kind.NOT_FOUND, attach_policy, "q", thing="lamp-1")
    for target in ({}, {"thing": "lamp-1", "certificate_id": identity}):
        with pytest.raises(Bug), change(db, clock, "operator:cli") as changing:
            attach_policy(changing, "p", **target)
