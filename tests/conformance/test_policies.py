"""Policies change by versions, and go when nothing has them any more."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.fixtures.databases import StepClock
from tests.fixtures.mqtt import allow, policy

from troth.errors import Fault, Kind
from troth.journal.change import Change, change
from troth.journal.entries import head, list_after
from troth.limits import POLICY_VERSIONS_MAX
from troth.registry import tables
from troth.registry.policies import (
    POLICY_DELETED,
    POLICY_UPDATED,
    attach_policy,
    create_policy,
    delete_policy,
    detach_policy,
    find_policy,
    get_policy,
    update_policy,
)
from troth.registry.things import create_thing
from troth.store.connect import Database
from troth.store.read import read

FIRST, SECOND = policy(allow("iot:Connect", "*")), policy(allow("iot:Publish", "topic/a"))


def made(db: Database, clock: StepClock, what: Callable[[Change], Any]) -> Any:
    with change(db, clock, "operator:test") as step:
        return what(step)


def versions(db: Database) -> int:
    with read(db) as connection:
        return int(connection.execute(select(func.count()).select_from(tables.policy_versions)).scalar_one())


@pytest.fixture
def born(db: Database, clock: StepClock) -> Database:
    made(db, clock, lambda step: create_policy(step, "p", FIRST))
    return db


def test_an_update_is_a_version_and_an_entry(born: Database, clock: StepClock) -> None:
    updated = made(born, clock, lambda step: update_policy(step, "p", SECOND))
    with read(born) as connection:
        assert get_policy(connection, "p") == updated
        entry = list_after(connection, 1)[0]
    assert (updated.version, updated.document, updated.created_at < updated.updated_at) == (2, SECOND, True)
    assert (entry.kind, entry.subject, entry.data["before"], entry.data["version"]) == (POLICY_UPDATED, "p", 1, 2)
    assert entry.data["document"] == SECOND


def test_the_same_document_again_changes_nothing(born: Database, clock: StepClock) -> None:
    assert made(born, clock, lambda step: update_policy(step, "p", FIRST)).version == 1
    with read(born) as connection:
        assert head(connection) == 1


def test_so_many_versions_are_kept(born: Database, clock: StepClock) -> None:
    for number in range(10):
        document = policy(allow("iot:Publish", f"topic/{number}"))
        made(born, clock, partial(update_policy, name="p", document=document))
    assert versions(born) == POLICY_VERSIONS_MAX
    with read(born) as connection:
        assert get_policy(connection, "p").version == 11


def test_what_cannot_be_is_refused_and_the_old_one_stays(born: Database, clock: StepClock) -> None:
    for name, document, kind in (("p", "{}", Kind.MALFORMED), ("q", SECOND, Kind.NOT_FOUND)):
        with pytest.raises(Fault) as caught:
            made(born, clock, partial(update_policy, name=name, document=document))
        assert caught.value.kind is kind
    with read(born) as connection:
        assert get_policy(connection, "p").document == FIRST


def test_a_policy_goes_when_nothing_has_it(born: Database, clock: StepClock) -> None:
    def give(step: Change) -> None:
        create_thing(step, "lamp")
        attach_policy(step, "p", thing="lamp")

    made(born, clock, give)
    with pytest.raises(Fault) as caught:
        made(born, clock, lambda step: delete_policy(step, "p"))
    assert caught.value.kind is Kind.CONFLICT
    made(born, clock, lambda step: detach_policy(step, "p", thing="lamp"))
    made(born, clock, lambda step: delete_policy(step, "p"))
    with read(born) as connection:
        assert find_policy(connection, "p") is None
        last = list_after(connection, head(connection) - 1)[0]
    assert (last.kind, last.subject, last.data["document"]) == (POLICY_DELETED, "p", FIRST)
    assert versions(born) == 0
    with pytest.raises(Fault) as caught:
        made(born, clock, lambda step: delete_policy(step, "p"))
    assert caught.value.kind is Kind.NOT_FOUND
