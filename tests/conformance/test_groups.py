"""Thing groups: nesting, membership, and their policies as part of what a connection may do."""

import itertools

import pytest
from tests.conformance.test_principals import add, document, refused
from tests.fixtures.databases import StepClock

from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.journal.entries import head, list_after
from troth.limits import GROUP_DEPTH_MAX, GROUP_DESCRIPTION_CHARS_MAX, GROUPS_PER_THING_MAX, THING_ATTRIBUTES_MAX
from troth.policy.attachment import TargetKind
from troth.registry.attachments import attach_principal
from troth.registry.groups import (
    add_member,
    create_group,
    delete_group,
    find_group,
    get_group,
    list_ancestors,
    list_groups,
    list_groups_of,
    list_members,
    put_into,
    remove_member,
    update_group,
)
from troth.registry.policies import Target, attach_policy, create_policy, list_attached, list_targets
from troth.registry.principals import AttachedPolicy, AttachedThing, find_principal
from troth.registry.things import create_thing
from troth.store.connect import Database
from troth.store.read import read


def house(db: Database, clock: StepClock) -> None:
    """A house with two floors, and a park of its own; a lamp of each floor and one of the park."""
    with change(db, clock, "operator:cli") as changing:
        for name, parent in (("house", None), ("attic", "house"), ("cellar", "house"), ("park", None)):
            create_group(changing, name, parent)
        for thing, group in (("lamp-1", "attic"), ("lamp-2", "cellar"), ("lamp-3", "park")):
            create_thing(changing, thing)
            add_member(changing, group, thing)


def test_a_group_is_what_was_said_of_it(db: Database, clock: StepClock) -> None:
    with change(db, clock, "operator:cli") as changing:
        create_group(changing, "house")
        made = create_group(changing, "attic", "house", "under the roof", {"floor": "3"})
        assert create_group(changing, "attic", "house", "under the roof", {"floor": "3"}) == made
    assert (made.parent, made.depth, made.version) == ("house", 2, 1)
    refused(db, clock, Kind.CONFLICT, create_group, "attic", "house")
    refused(db, clock, Kind.CONFLICT, create_group, "attic", None, "under the roof", {"floor": "3"})
    refused(db, clock, Kind.NOT_FOUND, create_group, "shed", "garden")
    refused(db, clock, Kind.MALFORMED, create_group, "a b")
    refused(db, clock, Kind.MALFORMED, create_group, "shed", None, "", {"a": "ü"})
    with pytest.raises(Fault) as caught, change(db, clock, "operator:cli") as changing:
        create_group(changing, "shed", None, "x" * (GROUP_DESCRIPTION_CHARS_MAX + 1))
    assert caught.value.kind is Kind.TOO_LARGE
    with pytest.raises(Fault) as caught, change(db, clock, "operator:cli") as changing:
        create_group(changing, "shed", None, "", {f"a{number}": "" for number in range(THING_ATTRIBUTES_MAX + 1)})
    assert caught.value.kind is Kind.TOO_LARGE
    with change(db, clock, "operator:cli") as changing:
        updated = update_group(changing, "attic", "for guests", {})
        assert update_group(changing, "attic", "for guests", {}) == updated
    assert (updated.version, updated.description, updated.attributes, updated.parent) == (2, "for guests", {}, "house")
    refused(db, clock, Kind.NOT_FOUND, update_group, "shed", "", {})


def test_groups_lie_so_deep_and_no_deeper(db: Database, clock: StepClock) -> None:
    names = [f"level-{number}" for number in range(1, GROUP_DEPTH_MAX + 1)]
    with change(db, clock, "operator:cli") as changing:
        for parent, name in itertools.pairwise([None, *names]):
            assert name is not None
            create_group(changing, name, parent)
    with pytest.raises(Fault) as caught, change(db, clock, "operator:cli") as changing:
        create_group(changing, "too-deep", names[-1])
    assert caught.value.kind is Kind.TOO_LARGE
    with read(db) as connection:
        assert list_ancestors(connection, names[-1]) == names[::-1]
        assert list_ancestors(connection, names[0]) == names[:1]
        assert [each.name for each in list_groups(connection, parent=names[0])] == [names[1]]
        assert [each.name for each in list_groups(connection, after="level-5", limit=1)] == ["level-6"]


def test_a_thing_is_in_one_group_of_a_hierarchy_and_in_so_many_in_all(db: Database, clock: StepClock) -> None:
    house(db, clock)
    refused(db, clock, Kind.CONFLICT, add_member, "cellar", "lamp-1")
    refused(db, clock, Kind.CONFLICT, add_member, "house", "lamp-1")
    refused(db, clock, Kind.NOT_FOUND, add_member, "cellar", "nobody")
    refused(db, clock, Kind.NOT_FOUND, add_member, "nowhere", "lamp-1")
    refused(db, clock, Kind.NOT_FOUND, remove_member, "house", "lamp-1")
    with change(db, clock, "operator:cli") as changing:
        assert not add_member(changing, "attic", "lamp-1")
        assert add_member(changing, "park", "lamp-1")
        for number in range(GROUPS_PER_THING_MAX - 2):
            create_group(changing, f"g{number}")
            add_member(changing, f"g{number}", "lamp-1")
        create_group(changing, "one-more")
    with pytest.raises(Fault) as caught, change(db, clock, "operator:cli") as changing:
        add_member(changing, "one-more", "lamp-1")
    assert caught.value.kind is Kind.TOO_LARGE
    with change(db, clock, "operator:cli") as changing:
        put_into(changing, "lamp-1", ["cellar", "one-more"])
    with read(db) as connection:
        assert list_groups_of(connection, "lamp-1") == ["cellar", "one-more"]
        assert list_members(connection, "cellar") == ["lamp-1", "lamp-2"]
        assert list_members(connection, "cellar", "lamp-1", 1) == ["lamp-2"]
        assert list_members(connection, "house") == []


def test_policies_of_groups_come_down_to_their_things(db: Database, clock: StepClock) -> None:
    house(db, clock)
    with change(db, clock, "operator:cli") as changing:
        one = add(changing)
        for name in ("of-house", "of-attic", "of-cellar", "of-park", "of-lamp"):
            create_policy(changing, name, document(name))
        for group in ("house", "attic", "cellar", "park"):
            attach_policy(changing, f"of-{group}", group=group)
        attach_policy(changing, "of-lamp", thing="lamp-1")
        create_thing(changing, "twin")
        add_member(changing, "attic", "twin")
        attach_principal(changing, "lamp-1", one, exclusive=False)
        attach_principal(changing, "twin", one, exclusive=False)
        # Nobody comes by a thing's policies through a group of its name, or the other way round.
        create_group(changing, "lamp-1")
        create_policy(changing, "of-namesake", document())
        attach_policy(changing, "of-namesake", group="lamp-1")
    with read(db) as connection:
        found = find_principal(connection, one)
        assert [each.name for each in list_targets(connection, "of-attic")] == ["attic"]
    assert found is not None
    above = frozenset({"attic", "house"})
    assert found.things == (
        AttachedThing("lamp-1", None, {}, exclusive=False, groups=above),
        AttachedThing("twin", None, {}, exclusive=False, groups=above),
    )
    assert found.policies == (
        AttachedPolicy("of-attic", 1, document("of-attic"), TargetKind.GROUP, "attic"),
        AttachedPolicy("of-house", 1, document("of-house"), TargetKind.GROUP, "house"),
        AttachedPolicy("of-lamp", 1, document("of-lamp"), TargetKind.THING, "lamp-1"),
    )


def test_a_group_ends_with_all_that_hung_on_it_and_not_before_those_below(db: Database, clock: StepClock) -> None:
    house(db, clock)
    with change(db, clock, "operator:cli") as changing:
        create_policy(changing, "of-attic", document())
        attach_policy(changing, "of-attic", group="attic")
    refused(db, clock, Kind.CONFLICT, delete_group, "house")
    refused(db, clock, Kind.NOT_FOUND, delete_group, "nowhere")
    refused(db, clock, Kind.NOT_FOUND, attach_policy, "of-attic", group="nowhere")
    with change(db, clock, "operator:cli") as changing:
        delete_group(changing, "attic")
        delete_group(changing, "cellar")
        delete_group(changing, "house")
    with read(db) as connection:
        assert find_group(connection, "attic") is None
        assert list_groups_of(connection, "lamp-1") == []
        assert list_attached(connection, Target(TargetKind.GROUP, "attic")) == []
        with pytest.raises(Fault):
            get_group(connection, "house")
    with change(db, clock, "operator:cli") as changing:
        create_group(changing, "attic")
    with read(db) as connection:
        assert list_attached(connection, Target(TargetKind.GROUP, "attic")) == []
        assert list_members(connection, "attic") == []


def test_the_journal_tells_of_each_change(db: Database, clock: StepClock) -> None:
    with read(db) as connection:
        before = head(connection)
    house(db, clock)
    with change(db, clock, "operator:cli") as changing:
        update_group(changing, "park", "green", {})
        remove_member(changing, "park", "lamp-3")
        delete_group(changing, "park")
    with read(db) as connection:
        found = list_after(connection, before)
    of_park = [(entry.kind, entry.data.get("thing")) for entry in found if entry.subject == "park"]
    assert of_park == [
        ("group.created", None),
        ("group.member-added", "lamp-3"),
        ("group.updated", None),
        ("group.member-removed", "lamp-3"),
        ("group.deleted", None),
    ]
