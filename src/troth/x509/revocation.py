"""Step 8 of path validation: whether CRLs at hand say that a certificate is revoked. RFC 5280 section 6.3.

Full, delta, partitioned, indirect and by reasons. Nothing is fetched: the caller brings the CRLs. What cannot be told
is a refusal. Whose signature on a CRL counts is for the caller (`Signers`) to say.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from troth.errors import Kind
from troth.x509.algorithms import PublicKey, is_sound_hash
from troth.x509.certificates import UNREADABLE, find_extension
from troth.x509.distinguished_names import same_name
from troth.x509.steps import Refusal

Signers = Callable[[x509.Name], Iterable[x509.Certificate]]
"""The certificates whose keys may sign CRLs under a name, each found good by the caller."""
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_ALL_REASONS: Final = frozenset(x509.ReasonFlags) - {x509.ReasonFlags.unspecified, x509.ReasonFlags.remove_from_crl}
_UNDERSTOOD: Final = frozenset((ExtensionOID.ISSUING_DISTRIBUTION_POINT, ExtensionOID.DELTA_CRL_INDICATOR))
_ENTRY_UNDERSTOOD: Final = frozenset(
    (CRLEntryExtensionOID.CERTIFICATE_ISSUER, CRLEntryExtensionOID.CRL_REASON, CRLEntryExtensionOID.INVALIDITY_DATE)
)


@dataclass(frozen=True, slots=True)
class _Point:
    """Where a certificate says that its revocation would be published."""

    names: tuple[x509.GeneralName, ...]
    """What the CRL's own distribution point must share one of; empty when the CRL needs to have none."""
    crl_issuer: x509.Name
    is_indirect: bool
    reasons: frozenset[x509.ReasonFlags]


def not_revoked(
    certificate: x509.Certificate, crls: Sequence[x509.CertificateRevocationList], signers: Signers, at: datetime
) -> None:
    """Return if the CRLs tell, for all reasons, that the certificate is not revoked at the time `at`.

    Raises `PeerFault` (unauthenticated): it is, or they do not tell.
    """
    told: frozenset[x509.ReasonFlags] = frozenset()
    for point in _points(certificate):
        for crl in crls:
            if _find(crl, x509.DeltaCRLIndicator) is not None or not _covers(crl, certificate, point):
                continue
            own = point.reasons & _reasons(crl)
            # RFC 5280, 6.3.3 (e): one that adds no reason need not be looked at.
            if own <= told or not _is_good(crl, signers, at):
                continue
            entry = _entry(certificate, crl, [each for each in crls if _is_delta_of(each, crl, signers, at)])
            if entry is not None:
                raise Refusal(8, Kind.UNAUTHENTICATED, f"the certificate is revoked: {_reason_text(entry)}")
            told |= own
    if not told >= _ALL_REASONS:
        raise Refusal(8, Kind.UNAUTHENTICATED, "nothing at hand tells whether the certificate is revoked")


def _points(certificate: x509.Certificate) -> Iterator[_Point]:
    for point in find_extension(certificate, x509.CRLDistributionPoints) or ():
        issuers = [name.value for name in point.crl_issuer or () if isinstance(name, x509.DirectoryName)]
        crl_issuer = issuers[0] if issuers else certificate.issuer
        names = _point_names(point.full_name, point.relative_name, crl_issuer)
        if not names:
            names = tuple(x509.DirectoryName(name) for name in issuers)
        yield _Point(names, crl_issuer, bool(issuers), frozenset(point.reasons or _ALL_REASONS) & _ALL_REASONS)
    # RFC 5280, 6.3.3, at its end: a CRL of the certificate's own issuer counts whatever the certificate says.
    yield _Point((x509.DirectoryName(certificate.issuer),), certificate.issuer, False, _ALL_REASONS)


def _point_names(
    full: Sequence[x509.GeneralName] | None, relative: x509.RelativeDistinguishedName | None, base: x509.Name
) -> tuple[x509.GeneralName, ...]:
    if full:
        return tuple(full)
    if relative is not None:
        return (x509.DirectoryName(x509.Name([*base.rdns, relative])),)
    return ()


def _covers(crl: x509.CertificateRevocationList, certificate: x509.Certificate, point: _Point) -> bool:
    """RFC 5280, 6.3.3 (b): whether the CRL's scope is this certificate's at this distribution point."""
    if not same_name(crl.issuer, point.crl_issuer):
        return False
    scope = _find(crl, x509.IssuingDistributionPoint)
    if scope is None:
        return not point.is_indirect
    if point.is_indirect and not scope.indirect_crl:
        return False
    if scope.only_contains_attribute_certs:
        return False
    is_ca = _is_ca(certificate)
    if (scope.only_contains_user_certs and is_ca) or (scope.only_contains_ca_certs and not is_ca):
        return False
    own = _point_names(scope.full_name, scope.relative_name, crl.issuer)
    return not own or any(_same_general_name(one, other) for one in own for other in point.names)


def _is_good(crl: x509.CertificateRevocationList, signers: Signers, at: datetime) -> bool:
    """Whether the CRL is in force at `at`, understood whole and signed by one who may (RFC 5280, 6.3.3 (f), (g))."""
    if crl.next_update_utc is None or not crl.last_update_utc <= at <= crl.next_update_utc:
        return False
    if any(each.critical and each.oid not in _UNDERSTOOD for each in crl.extensions):
        return False
    if any(each.critical and each.oid not in _ENTRY_UNDERSTOOD for entry in crl for each in entry.extensions):
        return False
    return any(_is_signed(crl, signer) for signer in signers(crl.issuer))


def _is_signed(crl: x509.CertificateRevocationList, signer: x509.Certificate) -> bool:
    usage = find_extension(signer, x509.KeyUsage)
    if usage is not None and not usage.crl_sign:
        return False
    try:
        key = signer.public_key()
        if not isinstance(key, PublicKey) or not is_sound_hash(crl.signature_hash_algorithm):
            return False
        return crl.is_signature_valid(key)
    except UNREADABLE:
        return False


def _is_delta_of(
    delta: x509.CertificateRevocationList, base: x509.CertificateRevocationList, signers: Signers, at: datetime
) -> bool:
    """RFC 5280, 6.3.3 (c): same issuer, scope and key, for a base no younger than the one at hand."""
    indicator = _find(delta, x509.DeltaCRLIndicator)
    own, theirs = _find(delta, x509.CRLNumber), _find(base, x509.CRLNumber)
    return (
        indicator is not None
        and own is not None
        and theirs is not None
        and indicator.crl_number <= theirs.crl_number <= own.crl_number
        and same_name(delta.issuer, base.issuer)
        and _find(delta, x509.IssuingDistributionPoint) == _find(base, x509.IssuingDistributionPoint)
        and _find(delta, x509.AuthorityKeyIdentifier) == _find(base, x509.AuthorityKeyIdentifier)
        and _is_good(delta, signers, at)
    )


def _entry(
    certificate: x509.Certificate,
    base: x509.CertificateRevocationList,
    deltas: Sequence[x509.CertificateRevocationList],
) -> x509.RevokedCertificate | None:
    """Return what the youngest of the CRLs that names the certificate says; None when it is free."""
    for crl in (*sorted(deltas, key=_number, reverse=True), base):
        entry = _own_entry(certificate, crl)
        if entry is not None:
            return None if _reason(entry) is x509.ReasonFlags.remove_from_crl else entry
    return None


def _own_entry(certificate: x509.Certificate, crl: x509.CertificateRevocationList) -> x509.RevokedCertificate | None:
    scope = _find(crl, x509.IssuingDistributionPoint)
    if scope is None or not scope.indirect_crl:
        return crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
    # Of an indirect CRL each entry's issuer is the last one named, at first the CRL's own (RFC 5280, 5.3.3).
    issuer = crl.issuer
    for entry in crl:
        named = _find(entry, x509.CertificateIssuer)
        if named is not None:
            issuer = next((name.value for name in named if isinstance(name, x509.DirectoryName)), issuer)
        if entry.serial_number == certificate.serial_number and same_name(issuer, certificate.issuer):
            return entry
    return None


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = find_extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _reasons(crl: x509.CertificateRevocationList) -> frozenset[x509.ReasonFlags]:
    scope = _find(crl, x509.IssuingDistributionPoint)
    return _ALL_REASONS & (scope.only_some_reasons or _ALL_REASONS if scope is not None else _ALL_REASONS)


def _number(crl: x509.CertificateRevocationList) -> int:
    number = _find(crl, x509.CRLNumber)
    return number.crl_number if number is not None else 0


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags:
    reason = _find(entry, x509.CRLReason)
    return reason.reason if reason is not None else x509.ReasonFlags.unspecified


def _reason_text(entry: x509.RevokedCertificate) -> str:
    return _reason(entry).value


def _same_general_name(one: x509.GeneralName, other: x509.GeneralName) -> bool:
    if isinstance(one, x509.DirectoryName) and isinstance(other, x509.DirectoryName):
        return same_name(one.value, other.value)
    return one == other


def _find(
    holder: x509.CertificateRevocationList | x509.RevokedCertificate, kind: type[_Extension]
) -> _Extension | None:
    for extension in holder.extensions:
        if extension.oid == kind.oid and isinstance(extension.value, kind):
            return extension.value
    return None
