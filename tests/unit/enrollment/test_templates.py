"""Templates as journaled rows, and what their plans make: everything in one change, or nothing."""

import json
from typing import Any

import pytest
from tests.fixtures.issuance import certificates, entries
from tests.fixtures.templates import new_template, small

from troth.enrollment.template_apply import apply_plan
from troth.enrollment.template_plan import Plan, plan
from troth.enrollment.template_resources import CERTIFICATE_ID, TemplateType
from troth.enrollment.template_text import parse_template
from troth.enrollment.templates import (
    HookOptions,
    TemplateOptions,
    allows_server_keys,
    create_template,
    delete_template,
    find_template,
    get_template,
    list_templates,
    update_template,
)
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.policy.attachment import TargetKind
from troth.registry.attachments import list_things_of
from troth.registry.certificates import CertificateState, find_certificate
from troth.registry.groups import add_member, create_group, list_groups_of
from troth.registry.policies import Target, create_policy, find_policy, list_attached
from troth.registry.things import Thing, create_thing, find_thing
from troth.registry.types import create_type
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock

FLEET = TemplateType.FLEET_PROVISIONING


def made(document: dict[str, Any], certificate_id: str = "c" * 64, **given: str) -> Plan:
    """Work a template out."""
    return plan(parse_template(json.dumps(document), FLEET), given or {"Serial": "1"}, {CERTIFICATE_ID: certificate_id})


def apply(authority: TestAuthority, what: Plan, certificate_id: str | None = None, *, again: bool = False) -> Thing:
    """Apply a plan in a change of its own."""
    with change(authority.db, authority.clock, "device:test") as changing:
        return apply_plan(changing, what, certificate_id, profile="device", again=again)


def test_a_template_is_kept_changed_and_deleted(authority: TestAuthority, clock: FakeClock) -> None:
    row = new_template(authority, server_keys=True)
    with read(authority.db) as connection:
        assert get_template(connection, "lamps") == row
        assert list_templates(connection) == [row]
        assert allows_server_keys(connection)
    changed = small()
    changed["DeviceConfiguration"] = {}
    with change(authority.db, clock, "operator:anna") as changing:
        second = update_template(changing, "lamps", document=json.dumps(changed))
        assert update_template(changing, "lamps", document=json.dumps(changed)) == second
        third = update_template(changing, "lamps", options=TemplateOptions(enabled=False, server_keys=True))
    assert (second.version, third.version, third.document) == (2, 3, second.document)
    with read(authority.db) as connection:
        assert get_template(connection, "lamps") == third
        assert not allows_server_keys(connection)
    with change(authority.db, clock, "operator:anna") as changing:
        delete_template(changing, "lamps")
    with read(authority.db) as connection:
        assert find_template(connection, "lamps") is None
    kinds = ("template.created", "template.updated", "template.updated", "template.deleted")
    told = [entry for kind in dict.fromkeys(kinds) for entry in entries(authority.db, kind)]
    assert [entry.kind for entry in told] == list(kinds)
    assert json.loads(str(told[0].data["document"])) == small()
    with pytest.raises(Fault) as refused, change(authority.db, clock, "operator:anna") as changing:
        delete_template(changing, "lamps")
    assert refused.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize(
    ("name", "document", "options", "kind"),
    [
        ("a b", None, TemplateOptions(), Kind.MALFORMED),
        ("x" * 37, None, TemplateOptions(), Kind.MALFORMED),
        ("", None, TemplateOptions(), Kind.MALFORMED),
        ("new", "{}", TemplateOptions(), Kind.MALFORMED),
        ("new", None, TemplateOptions(profile="nothing"), Kind.NOT_FOUND),
        ("new", None, TemplateOptions(profile="server"), Kind.REJECTED),
        ("new", None, TemplateOptions(hook=HookOptions()), Kind.MALFORMED),
        ("new", None, TemplateOptions(hook=HookOptions(url="http://a.example", ca_pem="x")), Kind.MALFORMED),
        ("new", None, TemplateOptions(hook=HookOptions(url="https://a.example", ca_pem="x")), Kind.MALFORMED),
        ("new", None, TemplateOptions(hook=HookOptions(url="https:///ask", ca_pem="x")), Kind.MALFORMED),
        ("new", None, TemplateOptions(hook=HookOptions(url="https://a:99999/", ca_pem="x")), Kind.MALFORMED),
        ("new", None, TemplateOptions(hook=HookOptions(url="https://[a/", ca_pem="x")), Kind.MALFORMED),
        ("lamps", None, TemplateOptions(), Kind.CONFLICT),
    ],
)
def test_what_cannot_be_a_template(
    authority: TestAuthority, name: str, document: str | None, options: TemplateOptions, kind: Kind
) -> None:
    new_template(authority)
    with pytest.raises(Fault) as refused, change(authority.db, authority.clock, "operator:anna") as changing:
        create_template(changing, name, FLEET, document or json.dumps(small()), options)
    assert refused.value.kind is kind


def test_a_hook_with_its_ca_is_kept(authority: TestAuthority) -> None:
    hook = HookOptions(url="https://hooks.example/ask", ca_pem=authority.root_file.read_text())
    row = new_template(authority, hook=hook)
    with read(authority.db) as connection:
        assert get_template(connection, "lamps").options.hook == hook == row.options.hook


def test_a_plan_makes_a_thing_with_its_policy(authority: TestAuthority) -> None:
    thing = apply(authority, made(small()))
    assert (thing.name, thing.attributes) == ("lamp-1", {"place": "attic"})
    with read(authority.db) as connection:
        (policy,) = list_attached(connection, Target(TargetKind.THING, "lamp-1"))
        assert find_policy(connection, policy) is not None
    # The next one shares the policy.
    apply(authority, made(small(), Serial="2"))
    with read(authority.db) as connection:
        assert list_attached(connection, Target(TargetKind.THING, "lamp-2")) == [policy]
    assert apply(authority, made(small())) == thing


def test_what_fails_last_undoes_all_that_came_before(authority: TestAuthority) -> None:
    document = small()
    document["Resources"]["other"] = {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "nowhere"}}
    with pytest.raises(Fault) as refused:
        apply(authority, made(document))
    assert refused.value.kind is Kind.NOT_FOUND
    with read(authority.db) as connection:
        assert find_thing(connection, "lamp-1") is None
    with change(authority.db, authority.clock, "operator:anna") as changing:
        create_policy(changing, "nowhere", '{"Statement": []}')
    assert apply(authority, made(document)).name == "lamp-1"


@pytest.mark.parametrize(
    ("setting", "attributes"),
    [
        (None, {"old": "1", "place": "cellar"}),
        ("DO_NOTHING", {"old": "1", "place": "cellar"}),
        ("REPLACE", {"place": "attic"}),
        ("MERGE", {"old": "1", "place": "attic"}),
    ],
)
def test_attributes_of_a_thing_that_exists(
    authority: TestAuthority, setting: str | None, attributes: dict[str, str]
) -> None:
    authority.thing("lamp-1", attributes={"old": "1", "place": "cellar"})
    document = small()
    if setting:
        document["Resources"]["thing"]["OverrideSettings"] = {"AttributePayload": setting}
    assert apply(authority, made(document)).attributes == attributes
    assert len(entries(authority.db, "thing.updated")) == (setting in {"REPLACE", "MERGE"})


@pytest.mark.parametrize(("setting", "type"), [("DO_NOTHING", "old"), ("REPLACE", "new"), ("FAIL", None)])
def test_the_type_of_a_thing_that_exists(authority: TestAuthority, setting: str, type: str | None) -> None:
    with change(authority.db, authority.clock, "operator:anna") as changing:
        create_type(changing, "old")
        create_type(changing, "new")
        create_thing(changing, "lamp-1", "old", {"place": "attic"})
    document = small()
    document["Resources"]["thing"]["Properties"]["ThingTypeName"] = "new"
    document["Resources"]["thing"]["OverrideSettings"] = {"ThingTypeName": setting, "AttributePayload": "FAIL"}
    if type is None:
        with pytest.raises(Fault) as refused:
            apply(authority, made(document))
        assert refused.value.kind is Kind.CONFLICT
        return
    assert apply(authority, made(document)).type == type


def grouped(setting: str | None = None) -> dict[str, Any]:
    document = small()
    document["Resources"]["thing"]["Properties"] |= {"ThingGroups": ["attic"], "BillingGroup": "paid"}
    if setting is not None:
        document["Resources"]["thing"]["OverrideSettings"] = {"ThingGroups": setting}
    return document


def groups_of(authority: TestAuthority, thing: str) -> list[str]:
    with read(authority.db) as connection:
        return list_groups_of(connection, thing)


def new_groups(authority: TestAuthority, *names: str) -> None:
    with change(authority.db, authority.clock, "operator:anna") as changing:
        for name in names:
            create_group(changing, name)


def test_a_new_thing_is_put_into_the_groups_of_its_template(authority: TestAuthority) -> None:
    with pytest.raises(Fault) as refused:
        apply(authority, made(grouped()))
    assert refused.value.kind is Kind.NOT_FOUND
    new_groups(authority, "attic", "paid")
    assert groups_of(authority, apply(authority, made(grouped())).name) == ["attic", "paid"]


@pytest.mark.parametrize(
    ("setting", "groups"),
    [
        (None, ["cellar"]),
        ("DO_NOTHING", ["cellar"]),
        ("REPLACE", ["attic", "paid"]),
        ("MERGE", ["attic", "cellar", "paid"]),
        ("FAIL", None),
    ],
)
def test_the_groups_of_a_thing_that_exists(
    authority: TestAuthority, setting: str | None, groups: list[str] | None
) -> None:
    new_groups(authority, "attic", "cellar", "paid")
    authority.thing("lamp-1", attributes={"place": "attic"})
    with change(authority.db, authority.clock, "operator:anna") as changing:
        add_member(changing, "cellar", "lamp-1")
    if groups is None:
        with pytest.raises(Fault) as refused:
            apply(authority, made(grouped(setting)))
        assert refused.value.kind is Kind.CONFLICT
        return
    apply(authority, made(grouped(setting)))
    assert groups_of(authority, "lamp-1") == groups


def test_a_type_that_does_not_exist_is_refused(authority: TestAuthority) -> None:
    document = small()
    document["Resources"]["thing"]["Properties"]["ThingTypeName"] = "nothing"
    with pytest.raises(Fault) as refused:
        apply(authority, made(document))
    assert refused.value.kind is Kind.NOT_FOUND


def test_a_thing_that_has_a_certificate_is_given_no_other(authority: TestAuthority) -> None:
    """A name is no proof: otherwise whoever holds a claim certificate could become any thing."""
    first = authority.device("lamp-1")
    thief = authority.device("lamp-2")
    for _ in range(2):
        with pytest.raises(Fault, match="has had a certificate"):
            apply(authority, made(small(), thief.certificate_id), thief.certificate_id)
        # What was withdrawn does not come back with the claim certificate that it still holds.
        authority.revoke(first)
    with pytest.raises(Fault, match="is attached to thing 'lamp-2'"):
        apply(authority, made(small(), thief.certificate_id), thief.certificate_id, again=True)
    assert [row.certificate_id for row in certificates(authority.db, "lamp-1")] == [first.certificate_id]
    # The honest twin: its own certificate.
    assert apply(authority, made(small(), thief.certificate_id, Serial="2"), thief.certificate_id).name == "lamp-2"


@pytest.mark.parametrize(("setting", "state"), [(None, "ACTIVE"), ("REPLACE", "INACTIVE"), ("FAIL", None)])
def test_the_state_of_a_certificate_that_is_in_force(
    authority: TestAuthority, setting: str | None, state: str | None
) -> None:
    held = authority.device("lamp-1")
    document = small()
    document["Resources"]["certificate"]["Properties"]["Status"] = "inactive"
    document["Resources"]["certificate"]["Properties"]["ThingPrincipalType"] = "EXCLUSIVE_THING"
    if setting:
        document["Resources"]["certificate"]["OverrideSettings"] = {"Status": setting}
    if state is None:
        with pytest.raises(Fault):
            apply(authority, made(document, held.certificate_id), held.certificate_id)
        return
    apply(authority, made(document, held.certificate_id), held.certificate_id)
    with read(authority.db) as connection:
        row = find_certificate(connection, held.certificate_id)
        (attached,) = list_things_of(connection, held.certificate_id)
    assert row is not None
    assert row.state is CertificateState(state)
    assert attached.exclusive
