"""Things and their types, in the registry."""

import pytest
from tests.fixtures.databases import StepClock

from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.limits import THING_ATTRIBUTES_MAX
from troth.registry.things import create_thing, find_thing, get_thing, list_things
from troth.registry.types import create_type, get_type, list_types
from troth.store.connect import Database
from troth.store.read import read


def test_a_thing_is_what_was_created(db: Database, clock: StepClock) -> None:
    with change(db, clock, "operator:cli") as changing:
        create_type(changing, "lamp")
        created = create_thing(changing, "lamp-1", "lamp", {"room": "hall"})
    with read(db) as connection:
        assert get_thing(connection, "lamp-1") == created
        assert find_thing(connection, "lamp-2") is None
        assert get_type(connection, "lamp").created_at == created.created_at == changing.at


def test_the_same_thing_may_be_created_again(db: Database, clock: StepClock) -> None:
    with change(db, clock, "operator:cli") as changing:
        first = create_thing(changing, "lamp-1", attributes={"room": "hall"})
    with change(db, clock, "operator:cli") as changing:
        assert create_thing(changing, "lamp-1", attributes={"room": "hall"}) == first


@pytest.mark.parametrize("attributes", [{}, {"room": "cellar"}, {"room": "hall", "floor": "1"}])
def test_another_thing_of_that_name_is_a_conflict(db: Database, clock: StepClock, attributes: dict[str, str]) -> None:
    with change(db, clock, "operator:cli") as changing:
        create_thing(changing, "lamp-1", attributes={"room": "hall"})
    with pytest.raises(Fault) as caught, change(db, clock, "operator:cli") as changing:
        create_thing(changing, "lamp-1", attributes=attributes)
    assert caught.value.kind is Kind.CONFLICT
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "type", "attributes", "kind"),
    [
        ("lamp 1", None, {}, Kind.MALFORMED),
        ("", None, {}, Kind.MALFORMED),
        ("lamp-1", None, {"ro om": "hall"}, Kind.MALFORMED),
        ("lamp-1", None, {"room": "the hall"}, Kind.MALFORMED),
        ("lamp-1", None, {f"a{n}": "" for n in range(THING_ATTRIBUTES_MAX + 1)}, Kind.TOO_LARGE),
        ("lamp-1", "no-such-type", {}, Kind.NOT_FOUND),
    ],
)
def test_what_cannot_be_is_refused(
    sqlite_db: Database, clock: StepClock, name: str, type: str | None, attributes: dict[str, str], kind: Kind
) -> None:
    with pytest.raises(Fault) as caught, change(sqlite_db, clock, "operator:cli") as changing:
        create_thing(changing, name, type, attributes)
    assert caught.value.kind is kind


def test_what_is_not_there_is_told_with_a_hint(sqlite_db: Database) -> None:
    with read(sqlite_db) as connection:
        for look in (get_thing, get_type):
            with pytest.raises(Fault) as caught:
                look(connection, "x")
            assert caught.value.kind is Kind.NOT_FOUND
            assert caught.value.hint


def test_lists_come_in_pages(db: Database, clock: StepClock) -> None:
    with change(db, clock, "operator:cli") as changing:
        for name in ("lamp", "fan"):
            create_type(changing, name)
        for number in range(5):
            create_thing(changing, f"thing-{number}", "lamp" if number % 2 else "fan")
    with read(db) as connection:
        assert [thing.name for thing in list_things(connection, limit=2)] == ["thing-0", "thing-1"]
        assert [thing.name for thing in list_things(connection, "thing-1", 2)] == ["thing-2", "thing-3"]
        assert [thing.name for thing in list_things(connection, "thing-1", type="lamp")] == ["thing-3"]
        assert [one.name for one in list_types(connection)] == ["fan", "lamp"]
        assert [one.name for one in list_types(connection, "fan", -1)] == ["lamp"]
