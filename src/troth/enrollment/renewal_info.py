"""When a certificate is to be renewed: told to the device that shows it, so that a fleet does not come all at once.

Half of what its profile leaves for renewal is the window, and each certificate has a part of it for its own, drawn by
its id: the same whenever it asks. It begins at once where the CA is to be replaced, or has been. Knows no HTTP.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from troth.authority.derive import read_profile
from troth.enrollment.presented import Presented
from troth.enrollment.proofs.claim import not_proven
from troth.errors import Fault, Kind
from troth.journal.entries import list_about
from troth.protocols.renewal_info import Window
from troth.registry.certificates import CertificateRow, CertificateState, find_certificate
from troth.registry.issuers import ISSUER_SUPERSEDED, find_issuer
from troth.registry.profiles import find_profile
from troth.x509.certificates import certificate_id, parse_certificate
from troth.x509.profiles import Purpose

ASK_AGAIN_S: Final = 6 * 3600
"""How long an answer holds: within it a device learns that its CA is to be replaced."""
REPLACED_WITHIN: Final = timedelta(days=1)
"""Over how long the renewals are spread that a CA's end makes due at once."""
_PARTS: Final = 1 << 32


def find_window(connection: Connection, presented: Presented) -> Window:
    """Return the window of the certificate that was shown. Raises `Fault`: forbidden without one; unauthenticated.

    A renewed one that was never used is told of like any other: looking is no use of it.
    """
    if not presented.peer_chain:
        raise Fault(Kind.FORBIDDEN, "a certificate's renewal is told to who shows it")
    row = find_certificate(connection, certificate_id(parse_certificate(presented.peer_chain[0])))
    if row is None or row.thing is None or row.state is not CertificateState.ACTIVE:
        raise not_proven("no certificate of a thing that is in force")
    issuer = find_issuer(connection, row.issuer_id)
    if issuer is None or issuer.purpose is not Purpose.DEVICES or not issuer.is_trusted:
        raise not_proven(f"certificate {row.certificate_id} is of an issuer that is not taken for devices")
    due = _due(connection, row)
    superseded = list_about(connection, ISSUER_SUPERSEDED, [issuer.issuer_id])
    return _brought_forward(row, superseded[0].at, due) if superseded else due


def _due(connection: Connection, row: CertificateRow) -> Window:
    profile = find_profile(connection, row.profile)
    lasts = row.not_after - row.not_before
    left = min(read_profile(profile.document).renew_before if profile else lasts / 3, lasts)
    # The first half is shared out; the second is for those who were not there, or had no luck.
    part = left / 2 / 8
    start = row.not_after - left + (left / 2 - part) * _lot(row)
    return Window(start, start + part)


def _brought_forward(row: CertificateRow, since: datetime, due: Window) -> Window:
    part = REPLACED_WITHIN / 8
    start = min(since + (REPLACED_WITHIN - part) * _lot(row), due.start)
    return Window(start, min(start + part, due.end))


def _lot(row: CertificateRow) -> float:
    """Return a number from 0 to below 1 that is the certificate's own."""
    return int(row.certificate_id[:8], 16) / _PARTS
