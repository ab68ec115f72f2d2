"""A rehearsal says what would break, changes nothing, and says nothing where nothing would."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from troth.authority.ceremony import Ceremony
from troth.authority.rehearsal import Plan, Rehearsed, Weight, rehearse
from troth.authority.rollover import roll_over
from troth.authority.stand_in import MemoryKeys
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.journal.entries import head
from troth.registry.issuers import Issuer, list_issuers
from troth.registry.profiles import apply_profile, get_profile
from troth.registry.uptake import record_uptake
from troth.store import migrate
from troth.store.connect import Database, connect
from troth.store.read import read
from troth.testing.authority import ACTOR, TestAuthority

pytestmark = pytest.mark.slow

Rehearse = Callable[..., Rehearsed]


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Database]:
    """The copy's database."""
    db = connect("sqlite:///rehearsal.db", tmp_path)
    migrate.upgrade(db)
    yield db
    db.dispose()


@pytest.fixture
def play(authority: TestAuthority, empty: Database) -> Rehearse:
    """Rehearse a rollover of the site, by default with all keys at hand."""

    def played(
        line: str, is_here: Callable[[Issuer], bool] = lambda _: True, retire_in: timedelta | None = None
    ) -> Rehearsed:
        copy = Ceremony(empty, authority.clock, authority.public_url, MemoryKeys(), "system:rehearsal")
        plan = Plan(line, "home.example", (), is_here, retire_in)
        with read(authority.db) as connection:
            return rehearse(connection, copy, plan)

    return played


def real(authority: TestAuthority) -> Ceremony:
    return Ceremony(authority.db, authority.clock, authority.public_url, authority.cabinet, ACTOR)


def checks(done: Rehearsed, weight: Weight = Weight.BREAKS) -> list[str]:
    return [finding.check for finding in done.findings if finding.weight is weight]


@pytest.mark.parametrize(
    ("line", "born"), [("root", ["root-2", "devices-2", "operators-2", "servers-2"]), ("devices", ["devices-2"])]
)
def test_nothing_would_break_and_nothing_has_changed(
    authority: TestAuthority, play: Rehearse, line: str, born: list[str]
) -> None:
    with read(authority.db) as connection:
        before = head(connection), list_issuers(connection)
    keys = dict(authority.cabinet.keys)
    done = play(line)
    assert (list(done.played), done.breaks, checks(done)) == (born, False, [])
    with read(authority.db) as connection:
        assert (head(connection), list_issuers(connection)) == before
    assert authority.cabinet.keys == keys


def test_keys_that_are_not_at_hand(play: Rehearse) -> None:
    done = play("devices", is_here=lambda issuer: issuer.name != "root-1")
    assert done.breaks
    (finding,) = done.findings
    assert (finding.check, finding.message) == (
        "missing-key",
        "the key of root-1 is not here: bring back root/root.key",
    )


def test_what_would_be_refused(authority: TestAuthority, play: Rehearse) -> None:
    roll_over(real(authority), site="home.example", line="root", names=())
    done = play("root")
    assert "refused" in checks(done)
    assert done.played == ()


def test_profiles_that_would_be_cut_short(authority: TestAuthority, play: Rehearse) -> None:
    with change(authority.db, authority.clock, ACTOR) as changing:
        document = get_profile(changing.connection, "device").document
        longer = document.replace('validity = "90d"', 'validity = "4000d"')
        assert longer != document
        apply_profile(changing, longer)
    done = play("devices")
    assert checks(done) == ["window"]


def test_devices_whose_root_is_not_in_force(authority: TestAuthority, play: Rehearse) -> None:
    authority.device("lamp-1")
    with change(authority.db, authority.clock, ACTOR) as changing:
        record_uptake(changing, "lamp-1", root_id="0" * 64, bundle="b", held=True)
    done = play("root")
    assert checks(done) == ["old-trust"]
    (finding,) = [finding for finding in done.findings if finding.check == "old-trust"]
    assert finding.message.startswith("1 devices have last shown a root that is not known")


def test_certificates_that_would_outlive_the_old_one(authority: TestAuthority, play: Rehearse) -> None:
    authority.device("lamp-1")
    # Ninety days, and thirty in which one that has expired is renewed all the same.
    done = play("devices", retire_in=timedelta(days=119))
    assert checks(done) == ["outlived"]
    assert checks(done, Weight.NOTE) == ["laggards", "outlived"]


def test_when_they_are_over_nothing_breaks(authority: TestAuthority, play: Rehearse) -> None:
    authority.device("lamp-1")
    assert not play("devices", retire_in=timedelta(days=121)).breaks


def test_a_line_that_is_not_there(play: Rehearse) -> None:
    with pytest.raises(Fault) as caught:
        play("pirates")
    assert caught.value.kind is Kind.NOT_FOUND
