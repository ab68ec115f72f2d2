"""Roots whose keys are on another machine: the first, given at birth; the next, on the word of the one before it."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from troth.authority.ceremony import Ceremony
from troth.authority.rollover import bring_into_force, in_force, next_number
from troth.errors import Fault, Kind
from troth.journal.change import Change, change
from troth.registry.cross_certificates import add_cross_certificate, find_cross_certificate
from troth.registry.issuers import Issuer, IssuerState, add_issuer, list_issuers
from troth.registry.trust import is_root
from troth.x509.algorithms import algorithm_of
from troth.x509.certificates import UNREADABLE, certificate_id, subject_text
from troth.x509.profiles import Purpose
from troth.x509.verify import verify_issued_by


def adopt_root(ceremony: Ceremony, certificates: Sequence[x509.Certificate]) -> Issuer:
    """Register the next root, whose key is elsewhere, on the word of the root that is in force, which has certified it.

    `certificates` holds it, and the cross certificates (new with old; old with new too). What is registered already
    changes nothing. Raises `Fault`: rejected when the root in force has not certified it.
    """
    at = ceremony.clock.now()
    with change(ceremony.db, ceremony.clock, ceremony.actor, ceremony.why) as changing:
        old = in_force(changing.connection, Purpose.ROOT.value)
        for new in (each for each in certificates if _signs_itself(each)):
            if certificate_id(new) == old.issuer_id:
                continue
            crosses = [each for each in certificates if each.public_key() == new.public_key() and each is not new]
            bridge = next((each for each in crosses if each.issuer == old.certificate.subject), None)
            if bridge is None or bridge.subject != new.subject:
                break
            verify_issued_by(bridge, old.certificate, at=at, use=None, below=2)
            verify_issued_by(new, new, at=at, use=None, below=1)
            number = next_number(changing.connection, Purpose.ROOT.value)
            root = _registered_root(changing, new, number)
            add_cross_certificate(changing, bridge, subject_id=root.issuer_id, issuer_id=old.issuer_id)
            _add_back(changing, certificates, old, root)
            return bring_into_force(changing, root)
    hint = "troth ca rollover root --out FILE writes the root with the certificates that lead to it"
    raise Fault(Kind.REJECTED, f"these certificates hold no root that {old.name} has certified", hint=hint)


def register_root(ceremony: Ceremony, certificate: x509.Certificate) -> Issuer:
    """Register the first root of a site whose key is on another machine. Raises `Fault`: conflict, rejected."""
    if not _signs_itself(certificate):
        raise Fault(Kind.REJECTED, f"{subject_text(certificate.subject)!r} is no root: it does not sign itself")
    verify_issued_by(certificate, certificate, at=ceremony.clock.now(), use=None, below=1)
    with change(ceremony.db, ceremony.clock, ceremony.actor, ceremony.why) as changing:
        existing = [each for each in list_issuers(changing.connection) if is_root(each)]
        if existing and existing[0].issuer_id != certificate_id(certificate):
            raise Fault(Kind.CONFLICT, f"this site has the root {existing[0].name}", hint="troth ca list")
        return existing[0] if existing else _registered_root(changing, certificate, 1, IssuerState.ACTIVE)


def _registered_root(
    changing: Change, certificate: x509.Certificate, number: int, state: IssuerState = IssuerState.INACTIVE
) -> Issuer:
    line = Purpose.ROOT.value
    return add_issuer(
        changing,
        certificate,
        name=f"{line}-{number}",
        purpose=Purpose.ROOT,
        parent_id=None,
        key_name="",
        line=line,
        number=number,
        state=state,
    )


def _add_back(changing: Change, certificates: Sequence[x509.Certificate], old: Issuer, new: Issuer) -> None:
    """Register the old root's certificate by the new one, where it was brought."""
    for each in certificates:
        if each.subject != old.certificate.subject or each.issuer != new.certificate.subject:
            continue
        verify_issued_by(each, new.certificate, at=changing.at, use=None, below=1)
        if find_cross_certificate(changing.connection, old.issuer_id, new.issuer_id) is None:
            add_cross_certificate(changing, each, subject_id=old.issuer_id, issuer_id=new.issuer_id)


def _signs_itself(certificate: x509.Certificate) -> bool:
    try:
        algorithm_of(certificate.public_key())
        certificate.verify_directly_issued_by(certificate)
    except (*UNREADABLE, InvalidSignature, Fault):
        return False
    return True
