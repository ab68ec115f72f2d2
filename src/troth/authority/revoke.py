"""Withdraw certificates by what they are for: one, all of a thing, all below a CA. One change each, whatever it takes.

Gateways follow the journal; what is published is made from the registry (`troth.authority.status`). RFC 5280, 5.3.1.
"""

from typing import Final

from troth.authority.intents import list_prepared
from troth.authority.issue import refuse
from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.points import Point, reached
from troth.registry import states
from troth.registry.certificates import CertificateRow, CertificateState
from troth.registry.inventory import Search, all_certificates
from troth.registry.issuers import Issuer, IssuerState, list_issuers, set_issuer_state
from troth.registry.revocations import enter
from troth.registry.things import get_thing
from troth.x509.crl import PASSING, Reason

REASONS: Final = tuple(reason for reason in Reason if reason not in PASSING)
"""Those that revoke for good."""


def parse_reason(text: str) -> Reason:
    """Return the reason for good that `text` names, in any case of its letters. Raises `Fault` (malformed)."""
    for reason in REASONS:
        if reason.lower() == text.lower():
            return reason
    hint = f"use one of {', '.join(REASONS)}"
    raise Fault(Kind.MALFORMED, f"{text[:40]!r} is no reason to revoke a certificate", hint=hint)


def revoke(change: Change, certificate_id: str, reason: Reason = Reason.UNSPECIFIED) -> CertificateRow:
    """Revoke the certificate with this whole id. One that is revoked already keeps its date and reason.

    Raises `Fault`: not found; rejected for a reason that is not for good.
    """
    row = states.revoke(change, certificate_id, reason)
    reached(Point.REVOKED)
    return row


def revoke_thing(change: Change, thing: str, reason: Reason = Reason.UNSPECIFIED) -> list[CertificateRow]:
    """Revoke every certificate issued for the thing that is not revoked yet, and return those.

    What it has asked for and not yet got is refused. Its tokens are the enrollment's (`troth.enrollment.withdraw`).
    Raises `Fault`: not found for a thing that does not exist; rejected for a reason that is not for good.
    """
    get_thing(change.connection, thing)
    for intent in list_prepared(change.connection, thing=thing):
        refuse(change, intent, Fault(Kind.REJECTED, f"the certificates of {thing!r} have been revoked meanwhile"))
    held = list(all_certificates(change.connection, Search(thing=thing)))
    return [revoke(change, row.certificate_id, reason) for row in held if row.state is not CertificateState.REVOKED]


def revoke_issuer(change: Change, issuer: Issuer, reason: Reason = Reason.CA_COMPROMISE) -> list[Issuer]:
    """Withdraw a CA and every CA below it, and return those that were in use until now.

    Its certificate goes on its parent's CRL. Nothing that they have signed is taken any more at our own doors, and
    what waits for their signatures is refused. The certificates below are not revoked one by one: their state is that
    of their issuer. Raises `Fault`: rejected for a root, which no CRL can revoke, and for a reason that is not for
    good.
    """
    if issuer.parent_id is None:
        hint = "take it out of the trust of devices and servers: troth ca rollover, troth ca retire"
        raise Fault(Kind.REJECTED, f"{issuer.name} is a root, which nobody can revoke", hint=hint)
    if reason in PASSING:
        raise Fault(Kind.REJECTED, f"{reason} revokes nothing for good")
    withdrawn: list[Issuer] = []
    for each in _with_all_below(change, issuer):
        if each.state is not IssuerState.REVOKED:
            said = {"reason": reason.value, "withdrawn_with": issuer.name}
            withdrawn.append(set_issuer_state(change, each.issuer_id, IssuerState.REVOKED, **said))
            for intent in list_prepared(change.connection, issuer_id=each.issuer_id):
                refuse(change, intent, Fault(Kind.REJECTED, f"the CA {each.name} has been revoked meanwhile"))
    if any(each.issuer_id == issuer.issuer_id for each in withdrawn):
        certificate = issuer.certificate
        enter(change, issuer.parent_id, certificate.serial_number, certificate.not_valid_after_utc, reason)
    return withdrawn


def _with_all_below(change: Change, issuer: Issuer) -> list[Issuer]:
    found = [issuer]
    issuers = list_issuers(change.connection)
    for above in found:
        found += [each for each in issuers if each.parent_id == above.issuer_id]
    return found
