"""The two changes of an issuance: prepare (check, draft, lint, record the intent) and conclude (or refuse).

Between them the intent is committed, and the door signs what follows from it. Callers add their own statements, such
as a token spent, to the same change. Knows no CA key.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from troth.authority.cross import Crossing
from troth.authority.drafting import CERTIFICATE_INTENDED, Drafted, draft_intent, hold_keys, record_intents
from troth.authority.generation import Generation
from troth.authority.intents import Intent, IntentState, lock_prepared, mark_issued, mark_refused
from troth.authority.lookups import Lookups
from troth.errors import Bug, Fault
from troth.journal.change import Change
from troth.keys.randomness import random_below, random_id, random_serial
from troth.points import Point, reached
from troth.registry.attachments import Attachment, attach_new
from troth.registry.certificates import CertificateState, NewCertificate, add_certificates
from troth.registry.cross_certificates import add_cross_certificate
from troth.registry.issuers import Issuer, IssuerState, add_issuer
from troth.registry.things import no_thing
from troth.x509.certificates import certificate_id, subject_text
from troth.x509.profiles import IssuerRule, Profile, Purpose, validity_window
from troth.x509.requests import Request
from troth.x509.subjects import encode_thing_subject, named_subject, parse_alternative_names, thing_text

__all__ = [
    "CERTIFICATE_INTENDED",
    "CERTIFICATE_REFUSED",
    "KEY_PROTECTION",
    "PENDING",
    "Wanted",
    "conclude",
    "conclude_many",
    "prepare",
    "prepare_many",
    "refuse",
]

CERTIFICATE_REFUSED: Final = "certificate.refused"

KEY_PROTECTION: Final = "key_protection"
"""In a proof: what keeps the key, by the word of whoever says who may come; never by that of who comes."""
PENDING: Final = "pending"
"""In a proof: the certificate waits for its activation, PENDING_ACTIVATION, because nobody knows yet whose it is."""
_NAME: Final = "name"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A certificate that somebody asks for, and the evidence that they may have it."""

    profile: str
    request: Request
    """What it asks for decides nothing but the key."""
    method: str
    proof: Mapping[str, object]
    """JSON values, nothing secret."""
    thing: str | None = None
    name: str | None = None
    """Whom it is for: a thing, or where the profile's subject rule says so a name."""
    alternative_names: Sequence[str] = ()
    issuer: Issuer | None = None
    """For profiles that any issuer signs; for all others the profile says which."""
    actor: str | None = None
    """Who asks, where several ask in one change; None: who makes the change."""


def prepare(
    change: Change,
    *,
    profile: str,
    request: Request,
    thing: str | None = None,
    name: str | None = None,
    alternative_names: Sequence[str] = (),
    method: str,
    proof: Mapping[str, object],
    public_url: str,
    issuer: Issuer | None = None,
) -> Intent:
    """Record the intent to certify the key of `request`, which is `Wanted`. `public_url` is the site's.

    Raises `Fault`: not found (profile, issuer, thing), bad key (one that the profile does not take, that another thing
    has, or that was compromised), rejected (what the profile or the lint forbids), expired (the issuer is not valid
    now), malformed or too large (names).
    """
    wanted = Wanted(profile, request, method, proof, thing, name, alternative_names, issuer)
    (outcome,) = prepare_many(change, [wanted], public_url)
    if isinstance(outcome, Fault):
        raise outcome
    return outcome


def prepare_many(change: Change, wanted: Sequence[Wanted], public_url: str) -> list[Intent | Fault]:
    """Record the intents to certify all of `wanted`, in their order; for each that may not be, why (see `prepare`)."""
    lookups = Lookups(change.connection, {each.thing for each in wanted if each.thing is not None})
    outcomes = hold_keys(change, [_try(change, lookups, each, public_url) for each in wanted])
    record_intents(change, [outcome for outcome in outcomes if isinstance(outcome, Drafted)])
    return [outcome.intent if isinstance(outcome, Drafted) else outcome for outcome in outcomes]


def _try(change: Change, lookups: Lookups, wanted: Wanted, public_url: str) -> Drafted | Fault:
    try:
        rules = lookups.profile(wanted.profile)
        issuer = _choose(lookups, rules, wanted.issuer)
        intent = _intent(change, lookups, wanted, rules, issuer)
        return draft_intent(intent, rules, issuer, public_url, wanted.request)
    except Fault as fault:
        return fault


def _intent(change: Change, lookups: Lookups, wanted: Wanted, rules: Profile, issuer: Issuer) -> Intent:
    if rules.ca is not None or (wanted.thing is None) == (wanted.name is None):
        raise Bug("a leaf's profile, and a thing or a name, make a certificate")
    if _NAME in wanted.proof:
        raise Bug("the proof says itself whom it is for")
    if wanted.thing is not None:
        if not lookups.has_thing(wanted.thing):
            raise no_thing(wanted.thing)
        subject, evidence = encode_thing_subject(wanted.thing), dict(wanted.proof)
    else:
        subject, evidence = named_subject(wanted.name or "").public_bytes(), {**wanted.proof, _NAME: wanted.name}
    not_before, not_after = validity_window(rules, change.at, issuer.certificate)
    return Intent(
        intent_id=random_id(),
        issuer_id=issuer.issuer_id,
        profile=wanted.profile,
        thing=wanted.thing,
        request=wanted.request.der,
        request_digest=wanted.request.digest,
        public_key=wanted.request.public_key_info,
        subject=subject,
        san=_texts(wanted.alternative_names),
        serial=random_serial(random_below(issuer.shards)),
        not_before=not_before,
        not_after=not_after,
        method=wanted.method,
        proof=evidence,
        actor=wanted.actor or change.actor,
        state=IntentState.PREPARED,
        certificate_id=None,
        refusal=None,
        created_at=change.at,
    )


def conclude(change: Change, intent: Intent, certificate: x509.Certificate) -> bool:
    """Register one signed certificate; see `conclude_many`. False when another process was first."""
    return bool(conclude_many(change, [(intent, certificate)]))


def conclude_many(change: Change, signed: Sequence[tuple[Intent, x509.Certificate]]) -> list[Intent]:
    """Register what the door has signed for intents: certificates attached to their things, or issuers.

    Returns the intents that this has concluded: not those which another process has concluded or refused. A thing may
    have several certificates in force: one that it had before stays so until it is revoked. Raises `Fault`: conflict
    when a serial number is taken or a thing has gone; then nothing of it may be committed.
    """
    waiting = lock_prepared(change, [intent.intent_id for intent, _ in signed])
    new = [_new(intent, certificate) for intent, certificate in signed if intent.intent_id in waiting]
    if not new:
        return []
    mark_issued(change, {intent.intent_id: certificate.certificate_id for intent, certificate in new})
    reached(Point.CLOSED)
    lookups = Lookups(change.connection, ())
    leaves = []
    for intent, certificate in new:
        rules = lookups.profile(intent.profile)
        if rules.ca is None and rules.issuer is Purpose.PEERS:
            # No principal: no gateway takes it, and no reading is signed with its key.
            leaves.append(replace(certificate, attached=False))
        elif rules.ca is None:
            leaves.append(certificate)
        else:
            _conclude_issuer(change, intent, rules.ca, certificate.certificate)
    _register(change, leaves)
    return [intent for intent, _ in new]


def _new(intent: Intent, certificate: x509.Certificate) -> tuple[Intent, NewCertificate]:
    der = certificate.public_bytes(Encoding.DER)
    # The door has derived the certificate from the intent, so a thing's subject need not be read from it again.
    subject = thing_text(intent.thing) if intent.thing is not None else subject_text(certificate.subject)
    return intent, NewCertificate(
        certificate,
        der,
        hashlib.sha256(der).hexdigest(),
        subject,
        issuer_id=intent.issuer_id,
        profile=intent.profile,
        thing=intent.thing,
        method=intent.method,
        attached=intent.thing is not None,
        intent=intent.intent_id,
        state=CertificateState.PENDING_ACTIVATION if PENDING in intent.proof else CertificateState.ACTIVE,
        key_protection=intent.proof.get(KEY_PROTECTION),
    )


def _register(change: Change, certificates: Sequence[NewCertificate]) -> None:
    if certificates:
        add_certificates(change, certificates)
    reached(Point.REGISTERED)
    attachments = [
        Attachment(each.thing, each.certificate_id, True)
        for each in certificates
        if each.attached and each.thing is not None
    ]
    if attachments:
        attach_new(change, attachments)
    reached(Point.ATTACHED)


def _conclude_issuer(change: Change, intent: Intent, rule: IssuerRule, certificate: x509.Certificate) -> None:
    if rule.cross:
        subject_id = certificate_id(Crossing.from_proof(intent.proof).root)
        add_cross_certificate(change, certificate, subject_id=subject_id, issuer_id=intent.issuer_id)
        return
    generation = Generation.from_proof(intent.proof)
    # A later generation comes into force with the change that takes the one before it out.
    state = IssuerState.ACTIVE if generation.number == 1 else IssuerState.INACTIVE
    add_issuer(
        change,
        certificate,
        name=generation.name,
        purpose=generation.purpose,
        parent_id=None if rule.purpose is Purpose.ROOT else intent.issuer_id,
        key_name=generation.key_name,
        shards=rule.shards,
        line=generation.line,
        number=generation.number,
        state=state,
    )


def refuse(change: Change, intent: Intent, fault: Fault) -> bool:
    """Close `intent` for good, with the reason; False when another process has concluded or refused it."""
    if not lock_prepared(change, [intent.intent_id]):
        return False
    mark_refused(change, intent.intent_id, fault)
    change.record(
        CERTIFICATE_REFUSED,
        intent.intent_id,
        intent=intent.intent_id,
        thing=intent.thing,
        issuer_id=intent.issuer_id,
        fault=fault.kind.value,
        reason=fault.message,
    )
    return True


def _choose(lookups: Lookups, rules: Profile, given: Issuer | None) -> Issuer:
    if rules.issuer is not None and given is None:
        return lookups.signing(rules.issuer, rules.issuer_name)
    if rules.issuer is not None or given is None:
        raise Bug("an issuer is given for a profile that any issuer signs, and for no other")
    return given


def _texts(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(name.value) for name in parse_alternative_names(names))
