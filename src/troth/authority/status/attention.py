"""What a person has to do about the CRLs that no process makes: those of roots, told well ahead. Only looks.

Nothing here decides who may connect: a CRL of ours that has expired locks nobody out of our own doors.
"""

from datetime import datetime

from cryptography import x509
from sqlalchemy import Connection

from troth.authority.derive import CRLS_PATH, published_name
from troth.authority.status.brought import list_unlisted
from troth.authority.status.schedule import due_at
from troth.authority.status.stored import CRLKind, Scope, StoredCRL, find_crl
from troth.registry.issuers import Issuer, IssuerState, list_issuers
from troth.x509.certificates import find_extension
from troth.x509.crl import parse_crl
from troth.x509.profiles import Purpose
from troth.x509.times import has_ended


def list_concerns(connection: Connection, now: datetime) -> list[str]:
    """Return what is wrong, or soon will be, with the CRLs of roots in use at the time `now`, one line each."""
    issuers = list_issuers(connection)
    found: list[str] = []
    for root in issuers:
        if root.purpose is not Purpose.ROOT or not root.is_trusted or root.state is IssuerState.INACTIVE:
            continue
        crl = find_crl(connection, Scope(root.issuer_id, None), CRLKind.COMPLETE)
        if has_ended(root.certificate.not_valid_after_utc, now) or (crl is None and not _is_named(root, issuers)):
            continue
        wrong = _wrong(connection, root, crl, now)
        if wrong is not None:
            found.append(f"{wrong}: {_remedy(root)}")
    return found


def _wrong(connection: Connection, root: Issuer, crl: StoredCRL | None, now: datetime) -> str | None:
    if crl is None:
        return f"no CRL of {root.name} has been published, and certificates name it"
    unlisted = list_unlisted(connection, root, parse_crl(crl.der))
    if unlisted:
        return f"the CRL of {root.name} does not say yet that {', '.join(each.name for each in unlisted)} is revoked"
    if now >= crl.next_update:
        return f"the CRL of {root.name} expired on {crl.next_update:%Y-%m-%d} and is not served any more"
    if now >= due_at(root.purpose, crl.this_update, crl.next_update):
        return f"the CRL of {root.name} expires on {crl.next_update:%Y-%m-%d}"
    return None


def _is_named(root: Issuer, issuers: list[Issuer]) -> bool:
    """Say whether a certificate below names the CRL that would be served here."""
    path = f"{CRLS_PATH}{published_name(root.issuer_id)}.crl"
    return any(
        name.value.endswith(path)
        for issuer in issuers
        if issuer.parent_id == root.issuer_id and issuer.is_trusted
        for point in find_extension(issuer.certificate, x509.CRLDistributionPoints) or ()
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    )


def _remedy(root: Issuer) -> str:
    carried = f"troth crl request --ca {root.name}, then crl sign where its key is, then crl import"
    return carried if not root.key_name else f"troth crl publish --ca {root.name} with its key at hand"
