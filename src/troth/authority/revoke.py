"""Take certificates out of force: registry state and journal entry in one change; gateways follow the journal.

Knows no CRL: what is published is made from the registry. RFC 5280 section 5.3.1 for the reasons.
"""

from enum import StrEnum

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.limits import LIST_ROWS_MAX
from troth.registry.certificates import CertificateRow, CertificateState, list_certificates, lock_certificate, set_state
from troth.registry.things import get_thing


class Reason(StrEnum):
    """Why a certificate is revoked for good: RFC 5280's words.

    Left out: ``certificateHold`` and ``removeFromCRL``, which are not for good, and ``aACompromise``, which is about
    attribute certificates.
    """

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"


def parse_reason(text: str) -> Reason:
    """Return the reason that `text` names, in any case of its letters. Raises `Fault` (malformed)."""
    for reason in Reason:
        if reason.lower() == text.lower():
            return reason
    hint = f"use one of {', '.join(Reason)}"
    raise Fault(Kind.MALFORMED, f"{text[:40]!r} is no reason to revoke a certificate", hint=hint)


def revoke(change: Change, certificate_id: str, reason: Reason = Reason.UNSPECIFIED) -> CertificateRow:
    """Revoke the certificate with this whole id. One that is revoked already keeps its date and reason.

    Raises `Fault` (not found).
    """
    row = lock_certificate(change, certificate_id)
    if row.state is CertificateState.REVOKED:
        return row
    return set_state(change, certificate_id, CertificateState.REVOKED, reason.value)


def revoke_thing(change: Change, thing: str, reason: Reason = Reason.UNSPECIFIED) -> list[CertificateRow]:
    """Revoke every certificate issued for the thing that is not revoked yet, and return those.

    Raises `Fault` (not found) for a thing that does not exist.
    """
    get_thing(change.connection, thing)
    revoked: list[CertificateRow] = []
    after: str | None = None
    while True:
        page = list_certificates(change.connection, thing=thing, after=after, limit=LIST_ROWS_MAX)
        for row in page:
            if row.state is not CertificateState.REVOKED:
                revoked.append(revoke(change, row.certificate_id, reason))
        if len(page) < LIST_ROWS_MAX:
            return revoked
        after = page[-1].certificate_id
