"""Who has fetched which trust bundle: noted when a device that has proven who it is asks for it (RFC 7030, 4.1).

A fetch says that a device was told; the tag of the bundle that it brings along says what it holds. Knows no HTTP.
"""

from troth.clock import Clock
from troth.journal.change import change
from troth.registry.certificates import CertificateState, find_certificate
from troth.registry.issuers import find_issuer
from troth.registry.trust import TrustBundle
from troth.registry.uptake import find_uptake, is_news, record_uptake
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.profiles import Purpose
from troth.x509.times import is_in_time


def note_fetch(db: Database, clock: Clock, certificate_id: str, bundle: TrustBundle, *, held: bool) -> bool:
    """Note that the device with this certificate is told of `bundle`, or holds it already; say whether that is news.

    Nothing is noted of a certificate that is not a thing's, or not in force now. Blocks. Raises `Fault` (unavailable).
    """
    if not bundle.roots:
        return False
    now = clock.now()
    with read(db) as connection:
        row = find_certificate(connection, certificate_id)
        if row is None or row.thing is None or row.state is not CertificateState.ACTIVE:
            return False
        issuer = find_issuer(connection, row.issuer_id)
        if issuer is None or issuer.purpose is not Purpose.DEVICES or not issuer.is_trusted:
            return False
        if not is_in_time(row.not_before, row.not_after, now):
            return False
        thing = row.thing
        # Looked at before a change is opened: most fetches are no news.
        if not is_news(find_uptake(connection, thing), bundle.digest, held=held):
            return False
    with change(db, clock, f"device:{thing}") as changing:
        record_uptake(changing, thing, root_id=bundle.roots[0].issuer_id, bundle=bundle.digest, held=held)
    return True
