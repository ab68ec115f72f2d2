"""From a recorded intent to the certificate that it stands for: the same bytes for whoever derives them.

Whoever prepares an intent and whoever signs it both come here, so that what is signed is what was linted and recorded.
Pure: knows no database, no clock and no CA key.
"""

import hashlib
from dataclasses import replace
from functools import cache, lru_cache
from typing import Final, NamedTuple

from cryptography import x509

from troth.authority.cross import Crossing
from troth.authority.generation import Generation
from troth.authority.intents import Intent
from troth.errors import Bug, Fault, Kind
from troth.keys.file import generate
from troth.x509.algorithms import KeyAlgorithm, PrivateKey, PublicKey, algorithm_of
from troth.x509.building import Template, show, to_be_signed
from troth.x509.lint import lint
from troth.x509.lint.known import known
from troth.x509.profile_text import parse_profile
from troth.x509.profiles import CrlKind, Profile, SubjectRule, validity_window
from troth.x509.public_keys import SubjectKey, read_subject_key, render_public_key
from troth.x509.requests import Request, proven_key
from troth.x509.serials import shard_of
from troth.x509.subjects import encode_thing_subject, named_subject, parse_alternative_names, thing_host

CERTIFICATES_PATH: Final = "/certs/"
CRLS_PATH: Final = "/crl/"
OCSP_PATH: Final = "/ocsp"

_PROFILES_KEPT: Final = 64
_URLS_KEPT: Final = 1024
_PUBLISHED_CHARS: Final = 16


@lru_cache(_PROFILES_KEPT)
def read_profile(document: str) -> Profile:
    """Return the profile of a TOML text; the same text is read once. Raises `Fault` as `parse_profile` does."""
    return parse_profile(document)


def published_name(issuer_id: str) -> str:
    """Return how an issuer is called in URLs: the beginning of its id, since every certificate carries it twice."""
    return issuer_id[:_PUBLISHED_CHARS]


def issuer_url(public_url: str, issuer_id: str) -> str:
    """Return where an issuer's certificate can be fetched: the caIssuers of what it signs (RFC 5280, 4.2.2.1)."""
    return f"{public_url.rstrip('/')}{CERTIFICATES_PATH}{published_name(issuer_id)}.cer"


def crl_url(public_url: str, issuer_id: str, shard: int | None, *, delta: bool = False) -> str:
    """Return where an issuer's CRL can be fetched: all of it, or one shard; the newest delta to it, or the whole."""
    part = "" if shard is None else f"/{shard}"
    return f"{public_url.rstrip('/')}{CRLS_PATH}{published_name(issuer_id)}{part}{'-delta' if delta else ''}.crl"


def ocsp_url(public_url: str) -> str:
    """Return where OCSP requests are answered, for all issuers (RFC 5280, 4.2.2.1)."""
    return f"{public_url.rstrip('/')}{OCSP_PATH}"


def derive(
    intent: Intent,
    profile: Profile,
    issuer: x509.Certificate | None,
    public_url: str,
    *,
    shards: int,
    request: Request | None = None,
) -> Template:
    """Return what the certificate will say, from the evidence in the intent; every recorded value must follow from it.

    `issuer` is None for a root. `shards` is how many CRLs the issuer's certificates are spread over, 1 for a root.
    `request` is the intent's, where this process has read it before and so knows that its key is held.
    Raises `Fault`: rejected when a value does not follow from the evidence, expired when the issuer is, `PeerFault`
    when the request cannot be read or lacks proof of possession.
    """
    key = _public_key(intent, profile, request)
    subject, permitted = _subject(intent, profile)
    _require(subject == intent.subject, "subject")
    not_before, not_after = validity_window(profile, intent.created_at, issuer)
    if profile.ca is not None and profile.ca.cross:
        crossing = Crossing.from_proof(intent.proof)
        _require(key.info == render_public_key(_key_of(crossing.root)), "key")
        not_before, not_after = crossing.within((not_before, not_after))
    _require((not_before, not_after) == (intent.not_before, intent.not_after), "validity")
    _require(shard_of(intent.serial) < shards, "shard")
    urls = _urls(profile, public_url, intent.issuer_id, shard_of(intent.serial))
    return Template(
        profile=profile,
        serial=intent.serial,
        subject=subject,
        public_key=key.public_key,
        public_key_info=key.info,
        issuer_certificate=issuer,
        not_before=not_before,
        not_after=not_after,
        san=_san(intent, profile),
        permitted=permitted,
        aia_url=urls.issuer,
        ocsp_url=urls.ocsp,
        crl_url=urls.crl,
    )


def with_urls(template: Template, public_url: str, issuer_id: str) -> Template:
    """Return the template with the addresses that its profile wants in it, of this issuer at this site."""
    urls = _urls(template.profile, public_url, issuer_id, shard_of(template.serial))
    return replace(template, aia_url=urls.issuer, ocsp_url=urls.ocsp, crl_url=urls.crl)


def draft(template: Template, signer: KeyAlgorithm) -> bytes:
    """Return what is to be signed, its real bytes linted. Raises `Fault` (rejected, bad key).

    The rules read a whole certificate, under a throwaway key; of one that differs from such a one in nothing but what
    makes it a certificate of its own, the bytes themselves are read (`troth.x509.lint.known`).
    """
    tbs = to_be_signed(template, signer)
    issuer = template.issuer_certificate
    if issuer is not None and known(template.profile, issuer).has(tbs):
        return tbs
    findings = lint(show(tbs, signer, _throwaway(signer)), template.profile, issuer)
    if findings:
        raise Fault(
            Kind.REJECTED,
            f"such a certificate may not be signed: {findings[0].message}",
            detail="; ".join(str(finding) for finding in findings),
        )
    if issuer is not None:
        known(template.profile, issuer).learn(tbs)
    return tbs


def signer_of(template: Template) -> PublicKey:
    """Return the public key whose signature the certificate will carry: its issuer's, or a root's own."""
    issuer = template.issuer_certificate
    return template.public_key if issuer is None else _key_of(issuer)


def tbs_digest(tbs: bytes) -> str:
    """Return the lower-case hex SHA-256 of what is to be signed: the line between intent and signature."""
    return hashlib.sha256(tbs).hexdigest()


class _Urls(NamedTuple):
    """The addresses that a profile wants in certificates."""

    issuer: str | None
    ocsp: str | None
    crl: str | None


@lru_cache(_URLS_KEPT)
def _urls(profile: Profile, public_url: str, issuer_id: str, shard: int) -> _Urls:
    return _Urls(
        # A CA's issuer is the root, which nobody may take from the network.
        issuer_url(public_url, issuer_id) if profile.ca is None else None,
        ocsp_url(public_url) if profile.ocsp else None,
        _crl_url(profile, public_url, issuer_id, shard),
    )


@cache
def _throwaway(algorithm: KeyAlgorithm) -> PrivateKey:
    # One for the process: its signatures are thrown away, and making an RSA key takes most of a second.
    return generate(algorithm).private_key


def _crl_url(profile: Profile, public_url: str, issuer_id: str, shard: int) -> str | None:
    match profile.crl:
        case CrlKind.NONE:
            return None
        case CrlKind.FULL:
            return crl_url(public_url, issuer_id, None)
        case CrlKind.SHARD:
            return crl_url(public_url, issuer_id, shard)


def _public_key(intent: Intent, profile: Profile, request: Request | None) -> SubjectKey:
    if profile.ca is None:
        if intent.request is None:
            raise Fault(Kind.REJECTED, "no certificate without proof that its key is held")
        return _requested_key(intent, intent.request, request)
    if intent.request is not None:
        # A subordinate's, whose key is elsewhere.
        return _requested_key(intent, intent.request, request)
    _require(hashlib.sha256(intent.public_key).hexdigest() == intent.request_digest, "key")
    try:
        return read_subject_key(intent.public_key)
    except ValueError as error:
        raise Fault(Kind.REJECTED, "the intent holds no key", detail=str(error)) from error


def _requested_key(intent: Intent, der: bytes, request: Request | None) -> SubjectKey:
    if request is not None and request.der == der:
        key, digest = SubjectKey(request.public_key, request.algorithm, request.public_key_info), request.digest
    else:
        key, digest = proven_key(der), hashlib.sha256(der).hexdigest()
    _require(digest == intent.request_digest, "request")
    _require(key.info == intent.public_key, "key")
    return key


@lru_cache(_PROFILES_KEPT)
def _key_of(certificate: x509.Certificate) -> PublicKey:
    public_key = certificate.public_key()
    algorithm_of(public_key)
    assert isinstance(public_key, PublicKey)  # algorithm_of has just said so
    return public_key


def _subject(intent: Intent, profile: Profile) -> tuple[bytes, tuple[x509.GeneralName, ...]]:
    match profile.subject:
        case SubjectRule.THING:
            if intent.thing is None:
                raise Fault(Kind.REJECTED, f"profile {profile.name!r} is for things")
            return encode_thing_subject(intent.thing), ()
        case SubjectRule.NAMED:
            _require(intent.thing is None, "thing")
            return named_subject(_recorded_name(intent)).public_bytes(), ()
        case SubjectRule.ISSUER:
            if profile.ca is None:
                raise Bug("an issuer's profile without a [ca] table")
            _require(intent.thing is None, "thing")
            if profile.ca.cross:
                return Crossing.from_proof(intent.proof).subject.public_bytes(), ()
            generation = Generation.from_proof(intent.proof)
            _require(generation.purpose is profile.ca.purpose, "purpose")
            permitted = generation.permitted if profile.ca.name_constraints else ()
            return generation.subject.public_bytes(), permitted


def _san(intent: Intent, profile: Profile) -> tuple[x509.GeneralName, ...]:
    own = (thing_host(intent.thing),) if profile.san_thing and intent.thing is not None else ()
    return parse_alternative_names((*own, *intent.san))


def _recorded_name(intent: Intent) -> str:
    name = intent.proof.get("name")
    if not isinstance(name, str):
        raise Fault(Kind.REJECTED, "the intent does not say whose certificate it is for")
    return name


def _require(follows: bool, value: str) -> None:
    if not follows:
        raise Fault(Kind.REJECTED, f"the recorded {value} does not follow from what was asked for and proven")
