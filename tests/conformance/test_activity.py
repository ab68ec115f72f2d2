"""Sessions and decisions: what happens now, kept in batches, bounded, and outside the journal."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.fixtures.databases import NOON, StepClock

from troth.errors import Bug
from troth.journal.change import change
from troth.journal.entries import head, list_after
from troth.limits import DECISION_TEXT_CHARS_MAX
from troth.registry.decisions import DecisionKey, DecisionRow, append, list_counts, list_decisions
from troth.registry.kicks import SESSION_KICKED, Kick, kick, parse_kick
from troth.registry.sessions import (
    SessionRow,
    Which,
    count_sessions,
    drop_expired_workers,
    drop_worker,
    list_sessions,
    replace_sessions,
    update_sessions,
)
from troth.store.connect import Database
from troth.store.read import read

LEASE = NOON + timedelta(seconds=10)
DECISION = DecisionRow(NOON, "gateway-1", "c1", "127.0.0.1:9", None, "lamp-1", "lamp-1", "iot:Publish", "t", "", "")


def session(worker: str, connection: str, thing: str | None = "lamp-1") -> SessionRow:
    return SessionRow(worker, connection, "ab" * 32, thing, f"client-{connection}", "127.0.0.1:9", NOON)


def test_a_worker_sends_what_has_changed(db: Database) -> None:
    one, two, three = (session("gateway-1", name) for name in ("c1", "c2", "c3"))
    assert not update_sessions(db, "gateway-1", LEASE, [one], [])
    replace_sessions(db, "gateway-1", LEASE, [one, two])
    replace_sessions(db, "gateway-2", LEASE, [session("gateway-2", "c1", "fan-1")])
    assert update_sessions(db, "gateway-1", LEASE, [three, session("gateway-1", "c4")], ["c1", "c4"])
    with read(db) as connection:
        assert list_sessions(connection, NOON) == [two, three, session("gateway-2", "c1", "fan-1")]
        assert list_sessions(connection, NOON, after=two, limit=1) == [three]
        assert list_sessions(connection, NOON, Which(thing="fan-1")) == [session("gateway-2", "c1", "fan-1")]
        assert list_sessions(connection, NOON, Which(certificate_id="cd" * 32)) == []
        assert count_sessions(connection, NOON) == 3
        assert head(connection) == 0
    replace_sessions(db, "gateway-1", LEASE, [])
    drop_worker(db, "gateway-2")
    with read(db) as connection:
        assert count_sessions(connection, NOON) == 0


def test_the_sessions_of_a_killed_worker_vanish_with_its_lease(db: Database) -> None:
    replace_sessions(db, "killed", LEASE, [session("killed", "c1")])
    replace_sessions(db, "alive", LEASE, [session("alive", "c1")])
    later = LEASE + timedelta(seconds=5)
    assert update_sessions(db, "alive", later, [], [])
    with read(db) as connection:
        assert count_sessions(connection, NOON) == 2
        assert count_sessions(connection, LEASE) == 1
        assert list_sessions(connection, LEASE) == [session("alive", "c1")]
    drop_expired_workers(db, LEASE)
    with read(db) as connection:
        assert count_sessions(connection, NOON) == 1
    # One that was only thought dead learns it, and sends all it has.
    assert not update_sessions(db, "killed", later, [session("killed", "c2")], [])
    replace_sessions(db, "killed", later, [session("killed", "c1"), session("killed", "c2")])
    with read(db) as connection:
        assert count_sessions(connection, LEASE) == 3


def test_a_kick_is_an_entry_and_says_how_many_are_listed(db: Database) -> None:
    replace_sessions(db, "gateway-1", LEASE, [session("gateway-1", "c1"), session("gateway-1", "c2", "fan-1")])
    which = Which(client_id="client-c1", thing="lamp-1")
    with change(db, StepClock(), "operator:test", "it hangs") as changing:
        assert kick(changing, which, sends_will=False) == 1
        assert kick(changing, Which(certificate_id="ab" * 32)) == 2
        with pytest.raises(Bug):
            kick(changing, Which())
    with read(db) as connection:
        first, second = list_after(connection, 0)
        assert count_sessions(connection, NOON) == 2
    assert (first.kind, first.subject, first.actor, first.why) == (
        SESSION_KICKED,
        "client-c1",
        "operator:test",
        "it hangs",
    )
    assert parse_kick(first) == Kick(which, sends_will=False)
    assert parse_kick(second) == Kick(Which(certificate_id="ab" * 32), sends_will=True)


def test_a_kick_hits_who_meets_all_that_it_says() -> None:
    both = Kick(Which(client_id="a", thing="t"), sends_will=True)
    assert both.hits("a", "t", "c")
    assert not both.hits("a", "u", "c")
    assert not both.hits("b", "t", "c")
    assert Kick(Which(certificate_id="c"), sends_will=True).hits(None, None, "c")
    assert not Kick(Which(), sends_will=True).hits("a", "t", "c")


def test_decisions_are_listed_newest_page_oldest_first(db: Database) -> None:
    outcomes = ["allow", "implicit-deny", "explicit-deny", "allow"]
    append(db, [replace(DECISION, outcome=outcome) for outcome in outcomes])
    with read(db) as connection:
        rows = list_decisions(connection)
        assert [row.outcome for row in rows] == outcomes
        assert replace(rows[0], id=0) == replace(DECISION, outcome="allow")
        assert [row.outcome for row in list_decisions(connection, denied=True)] == ["implicit-deny", "explicit-deny"]
        assert [row.outcome for row in list_decisions(connection, limit=2)] == outcomes[2:]
        assert [row.outcome for row in list_decisions(connection, after=rows[2].id)] == ["allow"]
        assert head(connection) == 0


def test_the_log_of_decisions_is_bounded(db: Database) -> None:
    for batch in range(4):
        append(db, [replace(DECISION, resource=f"{batch}-{number}") for number in range(3)], rows_max=5)
    append(db, [replace(DECISION, resource=f"last-{number}") for number in range(9)], rows_max=5)
    with read(db) as connection:
        assert [row.resource for row in list_decisions(connection)] == [f"last-{number}" for number in range(4, 9)]
    append(db, [], rows_max=5)
    with read(db) as connection:
        assert len(list_decisions(connection)) == 5


def test_a_hostile_text_costs_one_row_at_most_its_bound(db: Database) -> None:
    append(db, [replace(DECISION, client_id="a\x00b", resource="é" * 5000, reason="")])
    with read(db) as connection:
        (row,) = list_decisions(connection)
    assert row.client_id == "a\ufffdb"
    assert row.resource == "é" * DECISION_TEXT_CHARS_MAX


def test_counts_add_up(db: Database, clock: StepClock) -> None:
    publish, connect = DecisionKey("iot:Publish", "allow", "-"), DecisionKey("iot:Connect", "implicit-deny", "-")
    append(db, [], {publish: 3, connect: 1})
    append(db, [DECISION], {publish: 4})
    append(
        db, [], {DecisionKey("iot:Publish", "allow", "r" * 1000): 1, DecisionKey("iot:Publish", "allow", "r" * 999): 1}
    )
    with read(db) as connection:
        assert list_counts(connection) == {publish: 7, connect: 1, replace(publish, reason="r" * 128): 2}
        assert len(list_decisions(connection)) == 1
