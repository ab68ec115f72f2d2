"""What a typical certificate of a profile looks like for each kind of key: may it be signed, and how large is it.

Made from keys that belong to nobody, under the profile's issuer as it is now; nothing is signed. Knows no CA key.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from troth.authority.derive import draft, with_urls
from troth.authority.generation import Generation
from troth.errors import Bug
from troth.keys.randomness import random_serial
from troth.registry.issuers import Issuer
from troth.x509.algorithms import SIGNATURE_OCTETS_MAX, KeyAlgorithm, algorithm_of
from troth.x509.building import Template
from troth.x509.profiles import NameKind, Profile, SubjectRule, validity_window
from troth.x509.samples import sample_public_key
from troth.x509.signed import assemble_signed
from troth.x509.subjects import named_subject, parse_alternative_names, thing_host, thing_subject

SAMPLE_THING: Final = "thermostat-1"
SAMPLE_GENERATION: Final = 999
_KINDS: Final[dict[type[x509.GeneralName], NameKind]] = {x509.DNSName: NameKind.DNS, x509.IPAddress: NameKind.IP}


@dataclass(frozen=True, slots=True)
class CertificateSize:
    """How large a certificate of one kind of key is."""

    algorithm: KeyAlgorithm
    octets: int
    """Of DER. ECDSA signatures differ by a few octets; the longest is counted."""


def certificate_sizes(
    profile: Profile, issuer: Issuer | None, *, site: str, public_url: str, now: datetime
) -> tuple[CertificateSize, ...]:
    """Return the size of a typical certificate for each kind of key that `profile` takes, signed by `issuer`.

    `issuer` is None for a root, and the thing's name has twelve characters. Raises `Fault`: rejected when such a
    certificate may not be signed at all, with the reason; expired when the issuer is.
    """
    return tuple(
        CertificateSize(algorithm, _size(_template(profile, algorithm, issuer, site, public_url, now)))
        for algorithm in profile.algorithms
    )


@dataclass(frozen=True, slots=True)
class _Names:
    subject: x509.Name
    san: tuple[x509.GeneralName, ...] = ()
    permitted: tuple[x509.GeneralName, ...] = ()


def _template(
    profile: Profile, algorithm: KeyAlgorithm, issuer: Issuer | None, site: str, public_url: str, now: datetime
) -> Template:
    names = _names(profile, site)
    not_before, not_after = validity_window(profile, now, issuer.certificate if issuer else None)
    template = Template(
        profile=profile,
        serial=random_serial(issuer.shards - 1 if issuer else 0),
        subject=names.subject,
        public_key=sample_public_key(algorithm),
        issuer_certificate=issuer.certificate if issuer else None,
        not_before=not_before,
        not_after=not_after,
        san=names.san,
        permitted=names.permitted,
    )
    return with_urls(template, public_url, issuer.issuer_id if issuer else "")


def _names(profile: Profile, site: str) -> _Names:
    match profile.subject:
        case SubjectRule.THING:
            return _Names(thing_subject(SAMPLE_THING), _san(profile, site))
        case SubjectRule.NAMED:
            return _Names(named_subject(site), _san(profile, site))
        case SubjectRule.ISSUER:
            if profile.ca is None:
                raise Bug("an issuer's profile without a [ca] table")
            # A number that no generation of this site has, so that the name is not its issuer's own.
            generation = Generation(site, profile.ca.purpose, SAMPLE_GENERATION)
            return _Names(generation.subject, (), generation.permitted if profile.ca.name_constraints else ())


def _san(profile: Profile, site: str) -> tuple[x509.GeneralName, ...]:
    """Return the least that the profile wants: one name, of a kind and within the bounds that it allows."""
    if profile.san_thing:
        return parse_alternative_names([thing_host(SAMPLE_THING)])
    if not profile.san_required:
        return ()
    bounds = [str(bound) for bound in profile.san_within] or [site]
    names = parse_alternative_names(bound.partition("/")[0] for bound in bounds)
    return tuple(name for name in names if _KINDS[type(name)] in profile.san_allowed)[:1]


def _size(template: Template) -> int:
    issuer = template.issuer_certificate
    signer = algorithm_of(issuer.public_key() if issuer else template.public_key)
    drafted = draft(template, signer)
    return len(assemble_signed(drafted, signer, bytes(SIGNATURE_OCTETS_MAX[signer])))
