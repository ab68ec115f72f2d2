"""Certificate profiles as values: what a kind of certificate may hold, and when one is valid.

`troth.x509.profile_text` reads them. The words are those of RFC 5280 sections 4.2.1.3 (key usage), 4.2.1.6
(alternative names), 4.2.1.9 (path length), 4.2.1.10 (name constraints), 4.2.1.12 and 4.2.1.13 (CRLs).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

from cryptography import x509

from troth.errors import Fault, Kind
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.subjects import Bound

_WINDOWS_KEPT: Final = 64
"""All certificates of a change have one window, or one for each issuer and profile."""


class Purpose(StrEnum):
    """What an issuer certifies, and nothing else."""

    ROOT = "root"
    DEVICES = "devices"
    SERVERS = "servers"
    OPERATORS = "operators"
    PEERS = "peers"
    """Things, towards each other: as client and as server."""


class KeyUse(StrEnum):
    """The bits of a certificate's key usage that Troth sets (RFC 5280, 4.2.1.3)."""

    DIGITAL_SIGNATURE = "digital-signature"
    KEY_ENCIPHERMENT = "key-encipherment"
    KEY_AGREEMENT = "key-agreement"
    KEY_CERT_SIGN = "key-cert-sign"
    CRL_SIGN = "crl-sign"


class ExtendedUse(StrEnum):
    """What a certificate may be shown for (RFC 5280, 4.2.1.12)."""

    CLIENT_AUTH = "client-auth"
    SERVER_AUTH = "server-auth"
    OCSP_SIGNING = "ocsp-signing"
    """In a CA's certificate, that signers of OCSP answers may be certified by it (RFC 6960, 4.2.2.2)."""


class SubjectRule(StrEnum):
    """What the subject is made of."""

    THING = "thing"
    """The thing's name alone (`subjects.thing_subject`)."""
    NAMED = "named"
    """A common name that the issuing side gives: a server, an operator."""
    ISSUER = "issuer"
    """Site, purpose and generation of a CA (`subjects.issuer_subject`)."""


class NameKind(StrEnum):
    """The kinds of subject alternative name that a profile may allow."""

    DNS = "dns"
    IP = "ip"


class CrlKind(StrEnum):
    """Which CRL a certificate names as the one that tells of it (RFC 5280, 4.2.1.13)."""

    NONE = "none"
    FULL = "full"
    """All that its issuer has revoked: every reader understands it."""
    SHARD = "shard"
    """The part of it that the serial number says (`troth.x509.serials`): stays small in a large fleet."""


@dataclass(frozen=True, slots=True)
class IssuerRule:
    """What makes a profile's certificates those of an issuer."""

    purpose: Purpose
    """What such an issuer certifies."""
    path_length: int
    """How many CAs may stand between it and the last certificate (RFC 5280, 4.2.1.9)."""
    name_constraints: bool
    """Whether it must be held to names that its template permits (RFC 5280, 4.2.1.10)."""
    shards: int
    """Over how many CRLs its certificates are spread, from 1."""
    cross: bool = False
    """Whether it certifies a root that has signed itself already, so that one root leads to another."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a kind of certificate may hold. Made by `parse_profile`, which checks that the parts fit together."""

    name: str
    issuer: Purpose | None
    """What the issuer that signs it certifies, a root itself; None: any, chosen by whoever asks."""
    issuer_name: str | None
    """Which of several issuers for that; None: the youngest."""
    subject: SubjectRule
    algorithms: tuple[KeyAlgorithm, ...]
    """Keys that are taken; the first is what Troth makes where it makes the key."""
    validity: timedelta
    backdate: timedelta
    """How long before it is made a certificate begins to be valid."""
    renew_before: timedelta
    """How long before its end a certificate is to be renewed."""
    grace: timedelta
    """How long after its end its holder may still renew a certificate; zero: not at all."""
    key_usage: frozenset[KeyUse]
    extended_key_usage: tuple[ExtendedUse, ...]
    san_required: bool
    san_allowed: frozenset[NameKind]
    san_within: tuple[Bound, ...]
    """Domains and networks that alternative names must lie in; none: anywhere."""
    san_thing: bool
    """Whether the thing's own name, as that of a host (`subjects.thing_host`), is the one alternative name."""
    crl: CrlKind
    ocsp: bool
    """Whether a certificate names the OCSP responder (RFC 5280, 4.2.2.1)."""
    ca: IssuerRule | None

    def __hash__(self) -> int:
        """Return a number that profiles of other names do not share: what is remembered is remembered by profile."""
        return hash(self.name)

    @property
    def is_ocsp_signer(self) -> bool:
        """Whether its certificates sign OCSP answers; they carry id-pkix-ocsp-nocheck (RFC 6960, 4.2.2.2.1)."""
        return self.ca is None and ExtendedUse.OCSP_SIGNING in self.extended_key_usage

    @property
    def is_self_signed(self) -> bool:
        """Whether its certificates sign themselves: a root's."""
        return self.ca is not None and self.ca.purpose is self.issuer and not self.ca.cross


@lru_cache(_WINDOWS_KEPT)
def validity_window(profile: Profile, now: datetime, issuer: x509.Certificate | None) -> tuple[datetime, datetime]:
    """Return (not before, not after) in whole seconds for a certificate made at `now`, within its issuer's own window.

    Raises `Fault`: expired when the issuer is not valid at `now`, rejected where the calendar ends.
    """
    now = now.replace(microsecond=0)
    try:
        begin, end = now - profile.backdate, now + profile.validity
    except OverflowError as error:
        hint = "check this machine's clock"
        raise Fault(Kind.REJECTED, "the certificate would end after the year 9999", hint=hint) from error
    if issuer is None:
        return begin, end
    if not issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc:
        raise Fault(
            Kind.EXPIRED,
            f"the issuer is valid from {issuer.not_valid_before_utc:%Y-%m-%d %H:%M:%S} "
            f"to {issuer.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC, and it is {now:%Y-%m-%d %H:%M:%S}",
            hint="check this machine's clock, or roll the issuer over",
        )
    return max(begin, issuer.not_valid_before_utc), min(end, issuer.not_valid_after_utc)
