"""Two hosts that publish the CRLs of one CA at once: no number for two contents, and the youngest in force."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.fixtures.issuance import entries

from troth.app.wiring.door import open_crl_door
from troth.authority.status.stored import CRLKind, Scope, find_crl
from troth.errors import Fault, Kind
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.x509.crl import list_entries
from troth.x509.profiles import Purpose

ROUNDS = 6


@pytest.mark.slow
def test_two_hosts_publish_at_once(any_authority: TestAuthority) -> None:
    authority = any_authority
    devices = authority.hierarchy.issuing[Purpose.DEVICES]
    lamps = [authority.device(f"lamp-{number}") for number in range(ROUNDS)]

    def host(number: int) -> int:
        door = open_crl_door(authority.db, authority.cabinet, authority.public_url)
        overtaken = 0
        for lamp in lamps:
            if number == 0:
                authority.revoke(lamp)
            try:
                door.publish(authority.db, authority.clock, f"host-{number}", devices, [None, 0])
            except Fault as fault:
                if fault.kind is not Kind.CONFLICT:
                    raise
                overtaken += 1
        return overtaken

    with ThreadPoolExecutor() as hosts:
        overtaken = list(hosts.map(host, range(2)))
    assert all(each < ROUNDS for each in overtaken)
    intended = [
        (each["shard"], each["kind"], each["number"])
        for entry in entries(authority.db, "crl.intended")
        for each in entry.data["crls"]
    ]
    assert len(set(intended)) == len(intended) == 4 * (2 * ROUNDS - sum(overtaken))
    # Whoever came last has published all that there is, unless it was overtaken: then once more.
    open_crl_door(authority.db, authority.cabinet, authority.public_url).publish(
        authority.db, authority.clock, "host-2", devices, [None, 0]
    )
    with read(authority.db) as connection:
        crl = find_crl(connection, Scope(devices.issuer_id, None), CRLKind.COMPLETE)
    assert crl is not None
    assert crl.number == max(number for shard, _, number in intended if shard is None) + 1
    assert len(list_entries(crl.der)) == ROUNDS
