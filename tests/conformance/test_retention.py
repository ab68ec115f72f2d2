"""What expired long ago is let go, with all that hangs on it; what is in force, on hold or young stays."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from tests.fixtures.issuance import intend_all

from troth.app.duties import duties
from troth.authority.intents import IntentState
from troth.authority.retention import prune
from troth.authority.settle import settle_waiting
from troth.authority.status.publish import CRLDoor
from troth.enrollment import retention as tokens_retention
from troth.enrollment.tokens import create_token, list_tokens
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.journal.entries import list_after
from troth.registry.inventory import Search, all_certificates
from troth.registry.policies import attach_policy, create_policy
from troth.registry.states import revoke
from troth.store.connect import Database
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.crl import Reason

POLICY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
KEPT = timedelta(days=400)
YEARS = timedelta(days=90) + KEPT


def count(db: Database, table: str, where: str = "1 = 1") -> int:
    with read(db) as connection:
        return int(connection.execute(select(func.count()).select_from(text(table)).where(text(where))).scalar_one())


def test_what_is_over_for_long_goes_and_the_rest_stays(db: Database, tmp_path: Path) -> None:
    clock = FakeClock()
    authority = TestAuthority(tmp_path, db=db, clock=clock)
    intend_all(authority, ["old", "revoked"])
    settle_waiting(db, clock, authority.door())
    with read(db) as connection:
        held = {row.thing: row for row in all_certificates(connection, Search(profile="device"))}
    with change(db, clock, "operator:test") as changing:
        create_policy(changing, "all", POLICY)
        attach_policy(changing, "all", certificate_id=held["old"].certificate_id)
        revoke(changing, held["revoked"].certificate_id, Reason.KEY_COMPROMISE)
        create_token(changing, "old", timedelta(minutes=15))
    clock.advance(YEARS)
    intend_all(authority, ["young"])
    settle_waiting(db, clock, authority.door())
    with change(db, clock, "system:authority") as changing:
        assert not prune(changing, clock.now() - KEPT)  # to the second: they expired 400 days ago, and stay
    assert count(db, "certificates", "profile = 'device'") == 3
    clock.advance(timedelta(seconds=1))
    with change(db, clock, "system:authority") as changing:
        prune(changing, clock.now() - KEPT)
        tokens_retention.prune(changing, clock.now() - KEPT)
        kept = [row.thing for row in all_certificates(changing.connection, Search(profile="device"))]
        assert (kept, list_tokens(changing.connection)) == (["young"], [])
    assert count(db, "intents", "profile = 'device'") == 1
    assert count(db, "revocations") == count(db, "policy_attachments") == 0
    assert count(db, "thing_principals") == 1
    with read(db) as connection:
        told = {entry.kind: entry.data for entry in list_after(connection, changing.last - 2)}
    assert set(told["certificates.pruned"]["certificate_ids"]) == {row.certificate_id for row in held.values()}
    assert "tokens.pruned" in told


def test_a_change_lets_go_of_so_many_and_says_whether_more_remain(db: Database, tmp_path: Path) -> None:
    clock = FakeClock()
    authority = TestAuthority(tmp_path, db=db, clock=clock)
    with change(db, clock, "operator:test") as changing:
        changing.execute(text("UPDATE intents SET state = :state"), {"state": IntentState.REFUSED})
        changing.record("test", "intents")
    born = count(db, "intents")
    clock.advance(timedelta(days=10_000))
    (duty,) = [each for each in duties(CRLDoor({}, authority.public_url), KEPT) if each.name == "let-go"]
    duty.do(db, clock)
    assert born > 0
    assert count(db, "intents") == 0
    duty.do(db, clock)  # nothing to do is no error


def test_a_certificate_that_was_let_go_is_unknown(db: Database, tmp_path: Path) -> None:
    clock = FakeClock()
    authority = TestAuthority(tmp_path, db=db, clock=clock)
    intend_all(authority, ["lamp"])
    settle_waiting(db, clock, authority.door())
    with read(db) as connection:
        (held,) = all_certificates(connection, Search(thing="lamp"))
    clock.advance(YEARS + timedelta(days=1))
    with change(db, clock, "system:authority") as changing:
        prune(changing, clock.now() - KEPT)
    with pytest.raises(Fault) as caught, change(db, clock, "operator:test") as changing:
        revoke(changing, held.certificate_id, Reason.UNSPECIFIED)
    assert caught.value.kind is Kind.NOT_FOUND
