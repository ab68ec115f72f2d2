"""Killed at every named point of issuing, birth, revoking and publishing: nothing is lost, nothing is there twice."""

from pathlib import Path

import pytest
from tests.crash.checks import check
from tests.crash.conftest import Site
from tests.crash.journeys import Place
from tests.crash.playing import JOURNEYS, Journey, play

from troth.points import Point
from troth.testing.crashing import COMMIT, reached_in

pytestmark = pytest.mark.slow

_DOOR = (Point.READ, Point.DRAFTED, Point.SIGNED, Point.VERIFIED, Point.CLOSED, Point.REGISTERED, Point.ATTACHED)
_ENDS = (Point.COMMITTING, Point.COMMITTED)
POINTS: dict[tuple[str, str], tuple[Point, ...]] = {
    ("enroll", "device"): (Point.INTENDED, Point.PROOF_SPENT, *_ENDS, Point.BEGUN, Point.CONCLUDED),
    ("enroll", "authority"): (*_DOOR, *_ENDS),
    ("crowd", "crowd"): (Point.INTENDED, Point.PROOF_SPENT, *_ENDS, Point.BEGUN, Point.CONCLUDED),
    ("crowd", "authority"): (*_DOOR, *_ENDS),
    ("claim", "claimant"): (Point.INTENDED, *_ENDS),
    ("claim", "authority"): (*_DOOR, *_ENDS),
    ("ask", "guest"): (
        Point.FILED,
        Point.DECIDED,
        Point.INTENDED,
        Point.PROOF_SPENT,
        *_ENDS,
        Point.BEGUN,
        Point.CONCLUDED,
    ),
    ("ask", "authority"): (*_DOOR, *_ENDS),
    ("meet", "newcomer"): (Point.MET, *_ENDS),
    ("bulk", "bulk"): (Point.INTENDED, *_ENDS),
    ("bulk", "authority"): (*_DOOR, *_ENDS),
    ("birth", "founder"): (Point.KEY_KEPT, Point.INTENDED, *_DOOR, *_ENDS),
    ("revoke", "revoker"): (Point.REVOKED, *_ENDS),
    ("crl", "publisher"): (Point.CRL_NUMBERED, Point.CRL_SIGNED, Point.CRL_IN_FORCE, *_ENDS),
}
"""What each role passes on each journey. The honest twin holds this table to what really happens."""

CASES = [(journey, role, f"{point}:1") for (journey, role), points in POINTS.items() for point in points]
LATER = [
    ("birth", "founder", "store.committed:2"),
    ("birth", "founder", "store.committing:3"),
    ("birth", "founder", "store.committed:3"),
    ("bulk", "authority", "door.signed:2"),
    ("crowd", "authority", "door.signed:2"),
    ("crowd", "crowd", "enrollment.concluded:2"),
    ("ask", "guest", "store.committing:2"),
    ("ask", "guest", "store.committed:2"),
    ("ask", "guest", "store.committing:3"),
    ("ask", "guest", "store.committed:3"),
    ("claim", "claimant", "store.committing:2"),
    ("claim", "claimant", "store.committed:2"),
    ("crl", "publisher", "store.committing:2"),
    ("crl", "publisher", "store.committed:2"),
]
"""Second times that are not like the first: another commit of the same journey, or another certificate of a batch."""
ONCE = list({point: case for *case, point in reversed(CASES + LATER)}.items())


def roles(journey: Journey) -> tuple[str, ...]:
    return tuple(role for role in (journey.actor, journey.server) if role is not None)


def traced(site: Site, journey: Journey) -> tuple[Place, dict[str, list[str]]]:
    """Play without a crash; return what each role has reached."""
    place = site(journey.name)
    play(place, journey)
    check(place, journey.name)
    return place, {role: reached_in(place.trace(role)) for role in roles(journey)}


@pytest.mark.parametrize("name", JOURNEYS)
def test_no_point_is_passed_unseen_and_no_commit_is_without_its_two(site: Site, name: str) -> None:
    _, reached = traced(site, JOURNEYS[name])
    for role, places in reached.items():
        points = {place.partition(":")[0] for place in places if place != COMMIT}
        assert points == {str(point) for point in POINTS[name, role]}, role
        for end in _ENDS:
            assert sum(place.startswith(f"{end}:") for place in places) == places.count(COMMIT), role


def test_every_point_is_one_where_somebody_dies() -> None:
    assert {point for points in POINTS.values() for point in points} == set(Point)


@pytest.mark.parametrize(("name", "role", "point"), [*CASES, *LATER])
def test_killed_on_sqlite(sqlite_site: Site, name: str, role: str, point: str) -> None:
    killed(sqlite_site(name), name, role, point)


@pytest.mark.needs("postgresql")
@pytest.mark.parametrize(("point", "whose"), ONCE)
def test_killed_on_postgresql(postgresql_site: Site, point: str, whose: list[str]) -> None:
    name, role = whose
    killed(postgresql_site(name), name, role, point)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", JOURNEYS)
def test_killed_at_every_step(site: Site, tmp_path: Path, name: str) -> None:
    """Not only at the first passing of each point, but at each."""
    place, reached = traced(site, JOURNEYS[name])
    for role, places in reached.items():
        for point in places:
            if point != COMMIT:
                place = Place(tmp_path / f"{role}-{point}", place.url)
                killed(site(name), name, role, point)


def killed(place: Place, name: str, role: str, point: str) -> None:
    play(place, JOURNEYS[name], role, point)
    assert point in reached_in(place.trace(role))
    check(place, name)
