"""A site whose CRLs are published by hand."""

from collections.abc import Callable, Sequence

import pytest

from troth.app.wiring.door import open_crl_door
from troth.authority.status.publish import CRLDoor
from troth.authority.status.stored import CRLKind, Scope, StoredCRL, find_crl
from troth.registry.issuers import Issuer
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.x509.profiles import Purpose

Publish = Callable[..., list[StoredCRL]]
Find = Callable[..., StoredCRL]


@pytest.fixture
def devices(authority: TestAuthority) -> Issuer:
    """The CA of the site's devices."""
    return authority.hierarchy.issuing[Purpose.DEVICES]


@pytest.fixture
def door(authority: TestAuthority) -> CRLDoor:
    """The door of all of the site's CAs."""
    return open_crl_door(authority.db, authority.cabinet, authority.public_url, tuple(Purpose))


@pytest.fixture
def publish(authority: TestAuthority, devices: Issuer, door: CRLDoor) -> Publish:
    """Publish what is said of the devices' CA: by default its whole CRL."""

    def now(shards: Sequence[int | None] = (None,)) -> list[StoredCRL]:
        return door.publish(authority.db, authority.clock, "test", devices, shards)

    return now


@pytest.fixture
def in_force(authority: TestAuthority, devices: Issuer) -> Find:
    """Return a CRL of the devices' CA."""

    def find(kind: CRLKind = CRLKind.COMPLETE, shard: int | None = None) -> StoredCRL:
        with read(authority.db) as connection:
            found = find_crl(connection, Scope(devices.issuer_id, shard), kind)
        assert found is not None
        return found

    return find
