"""Rollover, uptake and retirement on SQLite and PostgreSQL alike; and what pkilint says of all that is made for it."""

from pathlib import Path

import pytest
from cryptography import x509
from tests.fixtures.databases import StepClock
from tests.fixtures.linting import lint_chain

from troth.authority.ceremony import Ceremony
from troth.authority.overview import overview
from troth.authority.rollover import obstacles, retire, roll_over
from troth.errors import Fault
from troth.journal.change import change
from troth.registry.issuers import IssuerState, get_issuer_named
from troth.registry.trust import trust_bundle
from troth.registry.uptake import (
    Laggard,
    UptakeState,
    count_dependents,
    count_roots,
    count_uptake,
    find_uptake,
    last_expiry,
    list_behind,
    list_dependents,
    record_uptake,
)
from troth.store.connect import Database
from troth.store.read import read
from troth.testing.authority import ACTOR, TestAuthority


def test_a_fleet_from_one_root_to_the_next(db: Database, clock: StepClock, tmp_path: Path) -> None:
    site = TestAuthority(tmp_path, db=db, clock=clock)
    ceremony = Ceremony(db, clock, site.public_url, site.cabinet, ACTOR)
    lamps = {f"lamp-{number}": site.device(f"lamp-{number}") for number in (1, 2, 3)}
    site.operator("anna")
    made = {line: roll_over(ceremony, site="home.example", line=line, names=()) for line in ("root", "devices")}
    old, new = made["root"].old, made["root"].new
    with change(db, clock, ACTOR) as changing:
        record_uptake(changing, "lamp-1", root_id=new.issuer_id, bundle="b", held=True)
        record_uptake(changing, "lamp-2", root_id=new.issuer_id, bundle="b", held=False)
    with read(db) as connection:
        now = clock.now()
        assert count_uptake(connection, now, [new.issuer_id]) == {
            UptakeState.HELD: 1, UptakeState.TOLD: 1, UptakeState.BEHIND: 1
        }  # fmt: skip
        assert list_behind(connection, now, [new.issuer_id]) == [
            Laggard("lamp-2", UptakeState.TOLD),
            Laggard("lamp-3", UptakeState.BEHIND),
        ]
        assert list_behind(connection, now, [new.issuer_id], after="lamp-2", limit=1) == [
            Laggard("lamp-3", UptakeState.BEHIND)
        ]
        assert count_roots(connection, now) == {new.issuer_id: 2, None: 1}
        assert len(obstacles(connection, get_issuer_named(connection, "root-1"), now)) == 2
    # One has a certificate of the new CA, the others have not; of an operator's the name counts.
    site.device("lamp-1")
    younger = [made["devices"].new.issuer_id]
    with read(db) as connection:
        devices = get_issuer_named(connection, "devices-1").issuer_id
        operators = get_issuer_named(connection, "operators-1").issuer_id
        assert count_dependents(connection, clock.now(), devices, younger) == 2
        assert list_dependents(connection, clock.now(), devices, younger) == ["lamp-2", "lamp-3"]
        assert list_dependents(connection, clock.now(), operators, []) == ["CN=anna"]
        assert last_expiry(connection, clock.now(), devices) == max(
            lamp.certificate.not_valid_after_utc for lamp in lamps.values()
        )
    site.revoke(lamps["lamp-2"])
    site.device("lamp-3")
    assert retire(ceremony, "devices-1").state is IssuerState.RETIRED
    with pytest.raises(Fault) as caught:
        retire(ceremony, "root-1")
    assert len(caught.value.parts) == 2
    with read(db) as connection:
        found = overview(connection)
        issued = {standing.issuer.name: (standing.issued, standing.revoked) for standing in found.standings}
        assert (issued["devices-1"], issued["devices-2"]) == ((3, 1), (2, 0))
        assert [standing.depth for standing in found.standings].count(0) == 2
        assert trust_bundle(connection).digest == found.bundle.digest
        certificates: list[x509.Certificate] = [standing.issuer.certificate for standing in found.standings]
        certificates += [cross.certificate for cross in found.crosses]
    assert old.issuer_id in {cross.subject_id for cross in found.crosses}
    assert lint_chain(*certificates) == []


def test_what_is_known_already_is_no_news(db: Database, clock: StepClock) -> None:
    # Another bundle with the same root takes nothing away from a device that has shown it; one with another root does.
    steps = [
        ("r", "a", False, False), ("r", "a", False, False), ("r", "a", True, True), ("r", "a", False, True),
        ("r", "b", False, True), ("r", "b", True, True), ("s", "c", False, False), ("s", "c", True, True),
    ]  # fmt: skip
    news = 0
    for root, bundle, held, holds in steps:
        with change(db, clock, ACTOR) as changing:
            before = find_uptake(changing.connection, "lamp-1")
            record_uptake(changing, "lamp-1", root_id=root, bundle=bundle, held=held)
            after = find_uptake(changing.connection, "lamp-1")
        assert after is not None
        assert (after.root_id, after.bundle, after.held_at is not None) == (root, bundle, holds)
        news += after != before
    assert news == 5
