"""Our own EST door, judged by the conformance suite over real TLS. What the door does not offer is not collected."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.conformance.est.checking import Check, Verdict, perform
from tests.conformance.est.checks import CHECKS
from tests.conformance.est.target import Offer, Settings, Target
from tests.conformance.est.wire import Credentials, Wire
from tests.fixtures.doors import RunningDoors

from troth.enrollment.definitions import BUILT_IN
from troth.enrollment.enrollments import create_enrollment, update_enrollment
from troth.enrollment.presented import DEFAULT_LABEL
from troth.enrollment.tokens import create_token
from troth.journal.change import change
from troth.testing.authority import ACTOR, TestAuthority

OFFERED = frozenset(Offer) - {Offer.FULLCMC}
WAITING = "by-hand"
_numbers = itertools.count(1)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("est")
    with TestAuthority(folder) as site:
        doors = RunningDoors(site, folder / "bell")

        with change(site.db, site.clock, ACTOR) as changing:
            update_enrollment(changing, BUILT_IN + 'server_keys = "any"\n')
            by_hand = BUILT_IN.replace(DEFAULT_LABEL, WAITING).replace('["token"]', '["token", "approval"]')
            create_enrollment(changing, by_hand)

        def credentials() -> Credentials:
            thing = f"lamp-{next(_numbers)}"
            site.thing(thing)
            with change(site.db, site.clock, ACTOR) as changing:
                return Credentials(thing, create_token(changing, thing, timedelta(minutes=15)).secret)

        settings = Settings(site.root, credentials, OFFERED, DEFAULT_LABEL, credentials, WAITING)
        try:
            with Wire(f"https://localhost:{doors.https}", Path(site.root_file)) as wire:
                yield Target(settings, wire)
        finally:
            doors.close()


@pytest.mark.parametrize("check", [each for each in CHECKS if each.needs <= OFFERED], ids=lambda check: check.name)
def test_our_server(target: Target, check: Check) -> None:
    (outcome,) = perform([check], target)
    assert outcome.verdict is Verdict.PASSED, outcome.reason
