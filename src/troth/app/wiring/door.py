"""The doors to the CA keys, made of a database and a cabinet; nobody else makes one."""

from collections.abc import Sequence

from troth.authority.door import Door
from troth.authority.hierarchy import ISSUING, KeyCabinet, open_keys
from troth.authority.status.publish import CRLDoor
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.profiles import Purpose


def open_door(db: Database, cabinet: KeyCabinet, public_url: str, purposes: Sequence[Purpose] = ISSUING) -> Door:
    """Return the door to the keys of the issuing CAs for `purposes`. Raises `Fault`: not found, bad key."""
    with read(db) as connection:
        return Door(open_keys(connection, cabinet, purposes), public_url)


def open_crl_door(db: Database, cabinet: KeyCabinet, public_url: str, purposes: Sequence[Purpose] = ISSUING) -> CRLDoor:
    """Return the door to the keys of the CAs for `purposes` that signs CRLs. Raises `Fault`: not found, bad key."""
    with read(db) as connection:
        return CRLDoor(open_keys(connection, cabinet, purposes), public_url)
