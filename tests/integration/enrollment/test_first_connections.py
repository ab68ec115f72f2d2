"""First connections at the same instant, on each database: one certificate, one thing, and everybody else refused."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from tests.fixtures.first_connections import jitp
from tests.fixtures.issuance import entries
from tests.fixtures.strangers import OPERATOR, Bearer, Maker, register
from tests.fixtures.templates import new_template

from troth.enrollment.jit import FirstMet, meet, set_first_connections
from troth.enrollment.template_resources import TemplateType
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.limits import DEFAULT
from troth.registry.foreign_issuers import ForeignPurpose
from troth.testing.authority import TestAuthority

AT_ONCE = 6


@pytest.fixture
def maker(any_authority: TestAuthority, tmp_path: Path) -> Maker:
    site, made = any_authority, Maker.new(tmp_path, any_authority.clock.now())
    register(site, made, "acme", ForeignPurpose.CUSTOMER)
    new_template(site, "meters", jitp(), TemplateType.JITP)
    return made


def switch(site: TestAuthority, template: str | None) -> None:
    with change(site.db, site.clock, OPERATOR) as changing:
        set_first_connections(changing, "acme", registers=True, template=template)


def all_at_once(site: TestAuthority, bearers: list[Bearer]) -> list[FirstMet | Fault]:
    barrier = Barrier(len(bearers))

    def come(bearer: Bearer) -> FirstMet | Fault:
        barrier.wait()
        try:
            return meet(site.db, site.clock, DEFAULT, bearer.certificate, "192.0.2.1")
        except Fault as fault:
            return fault

    with ThreadPoolExecutor(len(bearers)) as pool:
        return list(pool.map(come, bearers))


@pytest.mark.parametrize("template", [None, "meters"])
def test_one_device_on_many_connections_is_met_once(
    any_authority: TestAuthority, maker: Maker, template: str | None
) -> None:
    site = any_authority
    switch(site, template)
    device = maker.device("7")
    found = all_at_once(site, [device] * AT_ONCE)
    assert all(isinstance(each, FirstMet) for each in found), found
    assert len({each.certificate.certificate_id for each in found if isinstance(each, FirstMet)}) == 1
    assert len(entries(site.db, "certificate.registered")) == 1
    assert len(entries(site.db, "thing.bound")) == (template is not None)


def test_of_many_devices_that_would_be_one_thing_one_is(any_authority: TestAuthority, maker: Maker) -> None:
    site = any_authority
    switch(site, "meters")
    found = all_at_once(site, [maker.device("7", common_name=f"meter {number}") for number in range(AT_ONCE)])
    refused = [each for each in found if isinstance(each, Fault)]
    assert len(refused) == AT_ONCE - 1
    assert {each.kind for each in refused} <= {Kind.UNAUTHENTICATED, Kind.CONFLICT}
    assert len(entries(site.db, "certificate.registered")) == len(entries(site.db, "thing.bound")) == 1
