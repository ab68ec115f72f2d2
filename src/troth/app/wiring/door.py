"""The doors to the CA keys, made of a database and a cabinet; nobody else makes one."""

from collections.abc import Sequence

from troth.authority.door import Door
from troth.authority.hierarchy import ISSUING, KeyCabinet, open_keys
from troth.authority.status.publish import CRLDoor
from troth.registry.issuers import list_issuers
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.profiles import Purpose


def open_door(db: Database, cabinet: KeyCabinet, public_url: str, purposes: Sequence[Purpose] = ISSUING) -> Door:
    """Return the door to the keys of the issuing CAs: those for `purposes`, and all others for OCSP signers alone.

    Raises `Fault`: not found, bad key.
    """
    with read(db) as connection:
        keys = open_keys(connection, cabinet, ISSUING)
        chosen = {issuer.issuer_id for issuer in list_issuers(connection) if issuer.purpose in purposes}
    return Door({each: key for each, key in keys.items() if each in chosen}, public_url, keys)


def open_crl_door(db: Database, cabinet: KeyCabinet, public_url: str, purposes: Sequence[Purpose] = ISSUING) -> CRLDoor:
    """Return the door to the keys of the CAs for `purposes` that signs CRLs. Raises `Fault`: not found, bad key."""
    with read(db) as connection:
        return CRLDoor(open_keys(connection, cabinet, purposes), public_url)
