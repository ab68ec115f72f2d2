"""Proof by a certificate of ours: who holds its key may renew it, for the same thing and the same names.

RFC 7030 sections 3.3.2 and 4.2.2. TLS has proven that the key is held; here counts what the registry says of it. One
that has expired is good for this alone, within its profile's grace. The same request is answered again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier
from sqlalchemy import Connection

from troth.authority.derive import read_profile
from troth.authority.intents import IntentState, find_requested
from troth.enrollment.enrollments import get_enrollment
from troth.enrollment.presented import DEFAULT_LABEL
from troth.enrollment.proofs.claim import Proof, not_proven
from troth.enrollment.renewal import begin_renewal, require_patience
from troth.errors import Bug, Fault, Kind
from troth.journal.change import Change
from troth.registry.certificates import CertificateRow, CertificateState, find_certificate, lock_certificate
from troth.registry.issuers import find_issuer
from troth.registry.profiles import find_profile
from troth.registry.uptake import RENEWAL
from troth.x509.certificates import certificate_id, find_extension, parse_certificate
from troth.x509.profiles import Purpose
from troth.x509.requests import Request
from troth.x509.times import has_ended

METHOD: Final = RENEWAL
CHANGE_SUBJECT_NAME: Final = ObjectIdentifier("1.3.6.1.5.5.7.7.36")
"""RFC 6402, 2.8: asks for another name than the certificate's."""


@dataclass(frozen=True, slots=True)
class CertificateClaim:
    """The certificate of a connection whose peer has proven to hold its key."""

    der: bytes
    label: str = DEFAULT_LABEL
    """The enrollment by whose path it came."""
    is_linked: bool = False
    """Whether the request was made for this very connection."""

    def prove(self, connection: Connection, at: datetime, request: Request, *, lock: bool = False) -> Proof:
        """Return what the certificate proves. See `Claim.prove`.

        Raises `Fault` too: rejected for a request with other names than the certificate's, not found for a label
        without enrollment. One that is closed to newcomers still renews.
        """
        if get_enrollment(connection, self.label).definition.linked and not self.is_linked:
            raise not_proven("the request is not linked to its connection (RFC 7030, 3.5), and has to be")
        shown = parse_certificate(self.der)
        # Locked, so that of two that come at the same instant with the same request the second finds the first.
        row = find_certificate(connection, certificate_id(shown), lock=lock)
        if row is None:
            raise not_proven("no certificate of ours")
        over_for = require_in_force(connection, row, at)
        if row.thing is None:
            # Who holds its key may know what it is no good for.
            raise Fault(
                Kind.FORBIDDEN,
                "a certificate that was issued for no thing is not renewed",
                detail=f"certificate {row.certificate_id}, of profile {row.profile!r}",
                hint="let the device be provisioned, or enroll it as a thing",
            )
        _require_same_names(shown, request)
        evidence: dict[str, object] = {"certificate_id": row.certificate_id}
        if over_for > timedelta(0):
            evidence["expired_for_s"] = int(over_for.total_seconds())
        earlier = _earlier(connection, row, at, request)
        if earlier is None:
            require_patience(connection, row.thing, at)
        return Proof(METHOD, row.thing, row.profile, evidence, earlier, _names(shown), subject=shown.subject)

    def spend(self, change: Change, proof: Proof, intent_id: str) -> None:
        """Begin the renewal. See `Claim.spend`."""
        row = lock_certificate(change, str(proof.evidence["certificate_id"]))
        if row.thing != proof.thing:
            raise Bug("a renewal is begun that was not proven")
        if row.state is not CertificateState.ACTIVE:
            raise not_proven(f"certificate {row.certificate_id} is {row.state.lower()}")
        begin_renewal(change, row, proof.thing, intent_id)


def require_in_force(connection: Connection, row: CertificateRow, at: datetime) -> timedelta:
    """Return for how long the certificate has been over; zero or less when it is not."""
    issuer = find_issuer(connection, row.issuer_id)
    if issuer is None or issuer.purpose is not Purpose.DEVICES or not issuer.is_trusted:
        raise not_proven(f"certificate {row.certificate_id} is of an issuer that is not taken for devices")
    if row.state is not CertificateState.ACTIVE:
        raise not_proven(f"certificate {row.certificate_id} is {row.state.lower()}")
    if at < row.not_before:
        raise not_proven(f"certificate {row.certificate_id} is not valid yet")
    over_for = at - row.not_after
    if over_for > timedelta(0):
        profile = find_profile(connection, row.profile)
        grace = read_profile(profile.document).grace if profile is not None else timedelta(0)
        if over_for > grace:
            raise not_proven(f"certificate {row.certificate_id} has expired {over_for} ago, and the grace is {grace}")
    return over_for


def _require_same_names(shown: x509.Certificate, request: Request) -> None:
    """RFC 7030, 4.2.2: subject and alternative names MUST be those of the certificate that is renewed."""
    csr = x509.load_der_x509_csr(request.der)
    named = find_extension(shown, x509.SubjectAlternativeName)
    try:
        asked = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        asked = None
    if request.subject != shown.subject or (named and set(named)) != (asked and set(asked)):
        raise Fault(
            Kind.REJECTED,
            "the request names another subject than the certificate that is renewed",
            detail=f"asked for {request.subject.rfc4514_string()[:200]}",
            hint="take subject and alternative names of the certificate as they are (RFC 7030, 4.2.2)",
        )
    if CHANGE_SUBJECT_NAME in {attribute.oid for attribute in csr.attributes}:
        raise Fault(Kind.REJECTED, "a renewal changes no names (ChangeSubjectName, RFC 6402)")


def _names(shown: x509.Certificate) -> tuple[str, ...]:
    named = find_extension(shown, x509.SubjectAlternativeName)
    return tuple(str(name.value) for name in named) if named is not None else ()


def _earlier(connection: Connection, row: CertificateRow, at: datetime, request: Request) -> str | None:
    """Return the intent that this certificate and this request have led to, unless nothing can come of it any more."""
    for intent in reversed(find_requested(connection, [request.digest])):
        if intent.method != METHOD or intent.proof.get("certificate_id") != row.certificate_id:
            continue
        if "enrollment" in intent.proof:
            # Not a renewal: another certificate, by an enrollment that takes this one for a proof.
            continue
        if intent.state is IntentState.PREPARED:
            return intent.intent_id
        issued = find_certificate(connection, intent.certificate_id or "")
        if issued is not None and issued.state is CertificateState.ACTIVE and not has_ended(issued.not_after, at):
            return intent.intent_id
    return None
