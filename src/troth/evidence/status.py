"""Who has signed the readings of a bundle, and how each certificate stood when: proven, or refused. Pure.

A certificate must lead to a root that the verifier trusts. What became of it is told by entries of the journal, each
proven to be under the checkpoint that the journal's key has signed, and by CRLs, which also tell what is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from cryptography import x509

from troth.errors import Kind, PeerFault
from troth.evidence.bundle import BundleHead
from troth.evidence.checkpoint import VerifierKey, verify_checkpoint
from troth.evidence.entry import Entry, parse_entry
from troth.evidence.judging import ALWAYS, Signer, Standing
from troth.evidence.merkle import leaf_hash, verify_inclusion
from troth.evidence.whole import Told
from troth.x509.algorithms import PublicKey
from troth.x509.certificates import certificate_id
from troth.x509.profiles import ExtendedUse
from troth.x509.revocation import not_revoked
from troth.x509.subjects import thing_of
from troth.x509.verify import Path, find_path

Certificates = Sequence[x509.Certificate]
Lists = Sequence[x509.CertificateRevocationList]

ISSUED: Final = "certificate.issued"
STANDINGS: Final[Mapping[str, Standing]] = MappingProxyType(
    {
        "certificate.activated": Standing.IN_FORCE,
        "certificate.released": Standing.IN_FORCE,
        "certificate.deactivated": Standing.INACTIVE,
        "certificate.held": Standing.INACTIVE,
        "certificate.superseded": Standing.SUPERSEDED,
        "certificate.revoked": Standing.REVOKED,
    }
)
"""What the journal's entries say of a certificate from then on; ``certificate.issued`` says its first state."""


@dataclass(frozen=True, slots=True)
class Proven:
    """What the head of a bundle proves."""

    signers: Mapping[str, Signer]
    told_until: Mapping[str, datetime]
    """Until when it is known of a certificate that nothing was left out: by its CAs' own lists, or a whole journal."""
    entries: int
    size: int
    """How many entries the journal had."""


def prove(head: BundleHead, roots: Certificates, key: VerifierKey, whole: Told | None = None) -> Proven:
    """Return what the head of a bundle proves to one who trusts `roots`, and `key` as the journal's.

    `whole` is all that the journal says of the bundle's certificates (`ids_of`), where it is at hand. Raises
    `PeerFault` that names what does not hold: rejected, unauthenticated, malformed.
    """
    checkpoint = verify_checkpoint(head.checkpoint, key)
    entries = []
    for each in head.entries:
        try:
            verify_inclusion(leaf_hash(each.body), each.index, checkpoint.size, each.path, checkpoint.root)
            entry = parse_entry(each.body)
        except PeerFault as fault:
            raise _rejected(f"entry {each.index + 1} of the journal is not proven: {fault.message}") from fault
        if entry.number != each.index + 1:
            raise _rejected(f"entry {entry.number} of the journal stands in the place of entry {each.index + 1}")
        entries.append(entry)
    entries = sorted(entries if whole is None else whole.entries, key=lambda entry: entry.number)
    issuers = [_certificate(der, "an issuer") for der in head.issuers]
    lists = [_crl(der) for der in head.crls]
    _require_signed(lists, issuers, roots)
    signers: dict[str, Signer] = {}
    told: dict[str, datetime] = {}
    for der in head.certificates:
        certificate = _certificate(der, "a signer's certificate")
        path = _path(certificate, issuers, roots)
        own = [entry for entry in entries if entry.subject == certificate_id(certificate)]
        by_lists, until = _listed(path, lists)
        if whole is not None:
            until = whole.until
        signer = _signer(certificate, path, (*_history(own), *by_lists))
        signers[signer.certificate_id] = signer
        if until is not None:
            told[signer.certificate_id] = until
    return Proven(signers, told, len(entries), checkpoint.size)


def ids_of(head: BundleHead) -> frozenset[str]:
    """Return the ids of the certificates that have signed its readings."""
    return frozenset(certificate_id(_certificate(der, "a signer's certificate")) for der in head.certificates)


def roots_of(head: BundleHead) -> Certificates:
    """Return the roots that a bundle names itself: whoever makes it trusts them."""
    found = [_certificate(der, "an issuer") for der in head.issuers]
    return [each for each in found if each.subject == each.issuer]


def _path(
    certificate: x509.Certificate, issuers: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> Path:
    """Return the path to a root that was good at some time in the certificate's life."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    begins = {begin, *(each.not_valid_before_utc for each in (*issuers, *roots))}
    refusal: PeerFault | None = None
    for at in sorted(each for each in begins if begin <= each <= end):
        try:
            return find_path(certificate, issuers, roots, at=at, use=ExtendedUse.CLIENT_AUTH)
        except PeerFault as fault:
            refusal = refusal or fault
    reason = "" if refusal is None else f": {refusal.message}"
    message = f"certificate {certificate_id(certificate)[:12]} does not lead to the root{reason}"
    raise PeerFault(Kind.UNAUTHENTICATED, message) from refusal


def _history(entries: Sequence[Entry]) -> Iterator[tuple[datetime, Standing]]:
    for entry in entries:
        if entry.kind == ISSUED:
            # From when on, its validity says; the device's clock may be a little behind the authority's.
            yield ALWAYS, Standing.IN_FORCE if entry.data.get("state") == "ACTIVE" else Standing.INACTIVE
        elif entry.kind in STANDINGS:
            yield entry.at, STANDINGS[entry.kind]


def _listed(path: Path, lists: Lists) -> tuple[list[tuple[datetime, Standing]], datetime | None]:
    """Return what the CRLs say against the path since when, and until when they say that nothing did."""
    found: list[tuple[datetime, Standing]] = []
    until: list[datetime] = []
    for certificate, issuer in pairwise(path):
        good = ALWAYS
        for crl in lists:
            at = crl.last_update_utc
            try:
                not_revoked(certificate, [crl], partial(_only, issuer), at)
            except PeerFault:
                entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
                if entry is not None and crl.issuer == certificate.issuer:
                    found.append((entry.revocation_date_utc, _standing(entry)))
            else:
                # What has expired goes from the list in time, and its silence says nothing then (RFC 5280, 3.3).
                good = max(good, at) if at <= certificate.not_valid_after_utc else good
        until.append(good)
    least = min(until)
    return found, least if least > ALWAYS else None


def _only(issuer: x509.Certificate, _name: x509.Name) -> tuple[x509.Certificate]:
    return (issuer,)


def _standing(entry: x509.RevokedCertificate) -> Standing:
    reasons = [each.value.reason for each in entry.extensions if isinstance(each.value, x509.CRLReason)]
    return Standing.INACTIVE if reasons == [x509.ReasonFlags.certificate_hold] else Standing.REVOKED


def _signer(certificate: x509.Certificate, path: Path, history: Sequence[tuple[datetime, Standing]]) -> Signer:
    key = certificate.public_key()
    if not isinstance(key, PublicKey):
        raise _rejected(f"certificate {certificate_id(certificate)[:12]} has a key of another kind")
    # A revocation is for good, whatever is said of a later time.
    ends = [since for since, standing in history if standing is Standing.REVOKED]
    kept = [each for each in history if not ends or each[0] < min(ends)]
    return Signer(
        certificate_id(certificate),
        thing_of(certificate.subject),
        key,
        max(each.not_valid_before_utc for each in path),
        min(each.not_valid_after_utc for each in path),
        (*sorted(kept, key=lambda each: each[0]), *([(min(ends), Standing.REVOKED)] if ends else [])),
    )


def _require_signed(lists: Lists, issuers: Certificates, roots: Certificates) -> None:
    """Refuse a CRL that none of the CAs here has signed: it was changed, or is here to mislead."""
    for crl in lists:
        own = [each for each in (*issuers, *roots) if each.subject == crl.issuer]
        if not any(_has_signed(each, crl) for each in own):
            raise _rejected(f"the CRL of {crl.issuer.rfc4514_string()} is not signed by it")


def _has_signed(issuer: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    key = issuer.public_key()
    try:
        return isinstance(key, PublicKey) and crl.is_signature_valid(key)
    except (TypeError, ValueError):
        return False


def _certificate(der: bytes, what: str) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise PeerFault(Kind.MALFORMED, f"{what} of the bundle cannot be read", detail=str(error)) from error


def _crl(der: bytes) -> x509.CertificateRevocationList:
    try:
        return x509.load_der_x509_crl(der)
    except ValueError as error:
        raise PeerFault(Kind.MALFORMED, "a CRL of the bundle cannot be read", detail=str(error)) from error


def _rejected(message: str) -> PeerFault:
    return PeerFault(Kind.REJECTED, message)
