"""Certificate revocation lists as bytes: entries made once, lists put together from them, and read again.

Knows no key, no clock and no registry. Entries are written by hand, since a builder of objects takes a second for every
ten thousand of them. RFC 5280 section 5: 5.1 the list, 5.2 its extensions, 5.3 those of its entries.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from troth.errors import Bug, Kind, PeerFault
from troth.x509.algorithms import KeyAlgorithm, signature_identifier
from troth.x509.certificates import UNREADABLE, find_extension
from troth.x509.der import (
    BIT_STRING,
    BOOLEAN,
    ENUMERATED,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    Reader,
    constructed,
    generalized_time,
    integer,
    tlv,
)


class Reason(StrEnum):
    """Why a certificate stands on a CRL, in RFC 5280's words (5.3.1)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    """Not for good: it can be released."""
    REMOVE_FROM_CRL = "removeFromCRL"
    """In deltas alone: it stands on the CRL no longer."""
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"


PASSING: Final = frozenset({Reason.CERTIFICATE_HOLD, Reason.REMOVE_FROM_CRL})
"""The reasons that do not revoke for good."""

REASON_CODES: Final = {
    Reason.KEY_COMPROMISE: 1,
    Reason.CA_COMPROMISE: 2,
    Reason.AFFILIATION_CHANGED: 3,
    Reason.SUPERSEDED: 4,
    Reason.CESSATION_OF_OPERATION: 5,
    Reason.CERTIFICATE_HOLD: 6,
    Reason.REMOVE_FROM_CRL: 8,
    Reason.PRIVILEGE_WITHDRAWN: 9,
    Reason.AA_COMPROMISE: 10,
}
"""As they are encoded; *unspecified* is said by silence."""
_UTC_TIME: Final = 0x17
_UTC_TIME_ENDS: Final = 2050
_REASON_OID: Final = bytes.fromhex("0603551d15")
_EXTENSIONS: Final = {
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER: bytes.fromhex("551d23"),
    ExtensionOID.CRL_NUMBER: bytes.fromhex("551d14"),
    ExtensionOID.DELTA_CRL_INDICATOR: bytes.fromhex("551d1b"),
    ExtensionOID.ISSUING_DISTRIBUTION_POINT: bytes.fromhex("551d1c"),
    ExtensionOID.FRESHEST_CRL: bytes.fromhex("551d2e"),
}
_TRUE: Final = tlv(BOOLEAN, b"\xff")
_VERSION_2: Final = integer(1)


@dataclass(frozen=True, slots=True)
class CRLTemplate:
    """What a CRL says besides its entries; with the same template and entries, the same bytes to sign."""

    issuer: x509.Certificate
    number: int
    this_update: datetime
    next_update: datetime
    distribution_point: str | None = field(default=None)
    """The URL in the certificates that this CRL, a shard, is about; None: it is about all of its issuer's."""
    base_number: int | None = field(default=None)
    """For a delta: the number of the complete CRL that it adds to."""
    freshest_url: str | None = field(default=None)
    """For a complete CRL: where the newest delta to it can be fetched."""


def build_entry(serial: int, revoked_at: datetime, reason: Reason) -> bytes:
    """Return the DER of one entry; `Reason.UNSPECIFIED` is said by silence, as RFC 5280, 5.3.1 would have it."""
    said = b""
    if reason is not Reason.UNSPECIFIED:
        code = tlv(OCTET_STRING, tlv(ENUMERATED, bytes((REASON_CODES[reason],))))
        said = tlv(SEQUENCE, tlv(SEQUENCE, _REASON_OID, code))
    return tlv(SEQUENCE, integer(serial), _time(revoked_at), said)


def build_tbs(template: CRLTemplate, algorithm: KeyAlgorithm, entries: Iterable[bytes]) -> bytes:
    """Return the DER TBSCertList that a key of `algorithm` is to sign. `entries` are of `build_entry`."""
    listed = b"".join(entries)
    return tlv(
        SEQUENCE,
        _VERSION_2,
        signature_identifier(algorithm),
        template.issuer.subject.public_bytes(),
        _time(template.this_update),
        _time(template.next_update),
        # An empty list must be left out (RFC 5280, 5.1.2.6).
        tlv(SEQUENCE, listed) if listed else b"",
        tlv(constructed(0), tlv(SEQUENCE, *_extensions(template))),
    )


def assemble_crl(tbs: bytes, algorithm: KeyAlgorithm, signature: bytes) -> bytes:
    """Return the DER CRL of `tbs` and the `signature` that a key of `algorithm` made over it, which is not checked."""
    return tlv(SEQUENCE, tbs, signature_identifier(algorithm), tlv(BIT_STRING, b"\x00", signature))


def parse_crl(der: bytes) -> x509.CertificateRevocationList:
    """Read one CRL in DER, its extensions included; entries are read when they are asked for.

    The caller bounds `der`. Raises `PeerFault` (malformed).
    """
    try:
        crl = x509.load_der_x509_crl(der)
        _ = (crl.extensions, crl.issuer, crl.last_update_utc, crl.next_update_utc, crl.signature_hash_algorithm)
    except UNREADABLE as error:
        raise PeerFault(Kind.MALFORMED, "the CRL cannot be read", detail=str(error)) from error
    # Bits said to be unused are not under the signature: other bytes of the same CRL, which OpenSSL does not take.
    if not der.endswith(tlv(BIT_STRING, b"\x00", crl.signature)):
        raise PeerFault(Kind.MALFORMED, "the CRL's signature is not in whole bytes")
    return crl


def list_entries(der: bytes) -> list[bytes]:
    """Return the entries of a CRL in DER, each as it stands there. Raises `PeerFault` (malformed)."""
    body = Reader(der).inside(SEQUENCE).inside(SEQUENCE)
    body.integer()
    for _ in ("signature", "issuer", "this update", "next update"):
        body.skip()
    return list(_values(body.content(SEQUENCE))) if body.tag == SEQUENCE else []


def delta_entries(
    base: Iterable[bytes], earlier: Iterable[bytes], current: Sequence[bytes], at: datetime
) -> list[bytes]:
    """Return the entries of a delta: what makes `current` of `base`. All three are lists of our own entries.

    `earlier` are those of the last delta to the same base: what stood in it and is revoked no more has to be told
    even where the base has never said it (RFC 5280, 5.2.4 (c)). `at` is the date of entries that only remove.
    """
    known, there = set(base), set(current)
    changed = [entry for entry in current if entry not in known]
    gone = {_serial(entry) for entry in chain(known - there, earlier) if entry not in there}
    if gone:
        gone.difference_update(map(_serial, current))
    removed = sorted(Reader(serial).integer() for serial in gone)
    return changed + [build_entry(serial, at, Reason.REMOVE_FROM_CRL) for serial in removed]


def _serial(entry: bytes) -> bytes:
    """Return the INTEGER in an entry of ours, shorter than 128 bytes. No reader: they come by the hundred thousand."""
    return entry[2 : 4 + entry[3]]


def _values(content: bytes) -> Iterator[bytes]:
    at, end = 0, len(content)
    while at < end:
        # By the hundred thousand: entries shorter than 128 bytes, as ours are, go without a reader.
        after = at + 2 + content[at + 1] if at + 1 < end else end + 1
        if content[at] == SEQUENCE and after <= end and content[at + 1] < 0x80:
            entry = content[at:after]
        else:
            entry = Reader(content[at:]).whole(SEQUENCE)
        yield entry
        at += len(entry)


def _extensions(template: CRLTemplate) -> Iterator[bytes]:
    own = find_extension(template.issuer, x509.SubjectKeyIdentifier)
    if own is None:
        raise Bug("an issuer's certificate has no subject key identifier")
    yield _extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own))
    yield _extension(x509.CRLNumber(template.number))
    if template.base_number is not None:
        yield _extension(x509.DeltaCRLIndicator(template.base_number), critical=True)
    if template.distribution_point is not None:
        # Critical: whoever cannot read it must not take a part for the whole (RFC 5280, 5.2.5).
        yield _extension(_part(template.distribution_point), critical=True)
    if template.freshest_url is not None:
        yield _extension(x509.FreshestCRL([x509.DistributionPoint(_url(template.freshest_url), None, None, None)]))


def _part(url: str) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=_url(url),
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


def _url(url: str) -> list[x509.GeneralName]:
    return [x509.UniformResourceIdentifier(url)]


def _extension(value: x509.ExtensionType, *, critical: bool = False) -> bytes:
    oid = tlv(OBJECT_IDENTIFIER, _EXTENSIONS[value.oid])
    return tlv(SEQUENCE, oid, _TRUE if critical else b"", tlv(OCTET_STRING, value.public_bytes()))


def _time(at: datetime) -> bytes:
    """Return a Time in whole seconds: UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280, 5.1.2.4)."""
    at = at.astimezone(UTC)
    if at.year >= _UTC_TIME_ENDS:
        return generalized_time(at)
    return tlv(_UTC_TIME, f"{at:%y%m%d%H%M%S}Z".encode())
