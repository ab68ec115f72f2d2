"""Two hosts with an authority and a preparer each issue at once into one database, and nothing is shared or lost."""

from collections import Counter
from contextlib import ExitStack

import pytest
from tests.crash import journeys
from tests.crash.checks import check_all, rows
from tests.crash.conftest import Site
from tests.crash.playing import ended, serving, started

from troth.testing.crashing import reached_in

pytestmark = pytest.mark.slow

HOSTS = ("north", "south")


@pytest.mark.needs("postgresql")
def test_two_hosts_never_share_a_serial_or_lose_an_entry(postgresql_site: Site) -> None:
    place = postgresql_site("fleet")
    hosts = [journeys.Place(place.folder / host, place.url) for host in HOSTS]
    for host in hosts:
        journeys.make_fleet(place, host)
    with ExitStack() as stack:
        for host in hosts:
            stack.enter_context(serving(host, "authority"))
        for preparer in [started(host, "fleet") for host in hosts]:
            ended(preparer, 0)
    with place.database() as db:
        check_all(db)
        found = rows(db, "SELECT thing, issuer_id, serial FROM certificates WHERE thing LIKE 'fleet-%'")
    assert len(found) == len({row[1:] for row in found}) == len(HOSTS) * journeys.FLEET
    assert set(Counter(thing for thing, _, _ in found).values()) == {1}
    answered = Counter(line for host in hosts for line in host.answers.read_text().splitlines())
    assert len(answered) == len(HOSTS) * journeys.FLEET
    # Both authorities have had a part in it.
    assert all("store.committed:1" in reached_in(host.trace("authority")) for host in hosts)
