"""Every look-up and every page goes along an index: what takes a moment with ten rows takes it with ten million."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
from sqlalchemy import Connection
from tests.fixtures.databases import NOON

from troth.errors import Fault
from troth.journal.entries import head, list_after, list_before
from troth.journal.trees import frontier_at
from troth.policy.attachment import TargetKind
from troth.registry.attachments import list_principals_of, list_things_of
from troth.registry.certificates import (
    CertificateState,
    find_by_serial,
    find_certificate,
    get_certificate,
)
from troth.registry.decisions import list_decisions
from troth.registry.groups import list_ancestors, list_groups, list_groups_of, list_members
from troth.registry.inventory import Search, list_certificates
from troth.registry.issuers import find_issuer, get_issuer
from troth.registry.policies import (
    Target,
    find_policy,
    list_attached,
    list_policies,
    list_targets,
)
from troth.registry.principals import _ATTACHED, _CERTIFICATE
from troth.registry.things import find_thing, list_things
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.profiles import Purpose

ID = "ab" * 32
STATE = CertificateState.REVOKED
LATER = NOON + timedelta(days=30)
THING = Target(TargetKind.THING, "x")

LOOKS: dict[str, Callable[[Connection], object]] = {
    "certificate by id": lambda c: find_certificate(c, ID),
    "certificate by prefix": lambda c: get_certificate(c, "abcd"),
    "certificate by serial": lambda c: find_by_serial(c, ID, "1"),
    "certificates": lambda c: list_certificates(c, after=ID),
    "certificates of a thing": lambda c: list_certificates(c, Search(thing="x"), after=ID),
    "certificates of an issuer": lambda c: list_certificates(c, Search(issuer_id=ID)),
    "certificates in a state": lambda c: list_certificates(c, Search(state=CertificateState.REVOKED)),
    "certificates of an issuer in a state": lambda c: list_certificates(c, Search(issuer_id=ID, state=STATE)),
    "certificates that expire": lambda c: list_certificates(c, Search(expires_from=NOON, expires_before=LATER)),
    "thing": lambda c: find_thing(c, "x"),
    "things": lambda c: list_things(c, "x"),
    "things of a type": lambda c: list_things(c, "x", type="lamp"),
    "things of a certificate": lambda c: list_things_of(c, ID),
    "certificates attached to a thing": lambda c: list_principals_of(c, "x", ID),
    "policy": lambda c: find_policy(c, "x"),
    "policies": lambda c: list_policies(c, "x"),
    "policies of a thing": lambda c: list_attached(c, THING),
    "targets of a policy": lambda c: list_targets(c, "x", THING),
    "issuer": lambda c: find_issuer(c, ID),
    "issuer of a purpose": lambda c: get_issuer(c, Purpose.DEVICES),
    "principal's certificate": lambda c: c.execute(_CERTIFICATE, {"certificate_id": ID}).all(),
    "what is attached to a principal": lambda c: c.execute(_ATTACHED, {"certificate_id": ID}).all(),
    "groups": lambda c: list_groups(c, "x"),
    "groups below one": lambda c: list_groups(c, "x", parent="y"),
    "groups above one": lambda c: list_ancestors(c, "x"),
    "groups of a thing": lambda c: list_groups_of(c, "x"),
    "things in a group": lambda c: list_members(c, "x", "y"),
    "policies of a group": lambda c: list_attached(c, Target(TargetKind.GROUP, "x")),
    "decisions": lambda c: list_decisions(c, denied=True, after=5),
    "journal forwards": lambda c: list_after(c, 5),
    "journal backwards": lambda c: list_before(c, 5),
    "journal of a subject": lambda c: list_before(c, 5, "x"),
    "journal's head": head,
    "journal's tree": lambda c: frontier_at(c, 7),
}


@contextmanager
def statements(connection: Connection) -> Iterator[list[str]]:
    """Yield what SQLite is asked, its parameters in it, whoever asks."""
    seen: list[str] = []
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.set_trace_callback(seen.append)
    yield seen
    driver.set_trace_callback(None)


@pytest.mark.parametrize("look", LOOKS)
def test_it_goes_along_an_index(sqlite_db: Database, look: str) -> None:
    with read(sqlite_db) as connection:
        # Nothing is there to be found.
        with statements(connection) as seen, suppress(Fault):
            LOOKS[look](connection)
        assert seen
        for statement in seen:
            plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
            assert plan
            for step in plan:
                # SCAN reads a whole table; the head has one row, and json_each what was asked for.
                assert not step.startswith("SCAN") or step.startswith(("SCAN journal_head", "SCAN json_each ")), plan
                assert "TEMP B-TREE" not in step, plan
                # Half of this key says only which of two kinds it is, which is half of all rows.
                assert "(target_kind=?)" not in step, plan
