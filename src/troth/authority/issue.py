"""The two changes of an issuance: prepare (check, draft, lint, record the intent) and conclude (or refuse).

Between them the intent is committed, and the door signs what follows from it. Callers add their own statements, such
as a token spent, to the same change. Knows no CA key.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from cryptography import x509

from troth.authority.cross import Crossing
from troth.authority.derive import derive, draft, read_profile, render_public_key, tbs_digest
from troth.authority.generation import Generation
from troth.authority.intents import Intent, IntentState, add_intent, leave_prepared
from troth.errors import Bug, Fault
from troth.journal.change import Change
from troth.keys.randomness import random_below, random_id, random_serial
from troth.registry.attachments import attach_principal
from troth.registry.certificates import add_certificate
from troth.registry.cross_certificates import add_cross_certificate
from troth.registry.issuers import Issuer, IssuerState, add_issuer, get_issuer
from troth.registry.profiles import get_profile
from troth.registry.things import get_thing
from troth.x509.algorithms import KeyAlgorithm, PublicKey, algorithm_of
from troth.x509.certificates import certificate_id
from troth.x509.profiles import IssuerRule, Profile, Purpose, validity_window
from troth.x509.requests import Request
from troth.x509.subjects import named_subject, parse_alternative_names, thing_subject

CERTIFICATE_INTENDED: Final = "certificate.intended"
CERTIFICATE_REFUSED: Final = "certificate.refused"

CEREMONY: Final = "ceremony"
"""The method of intents that certify our own CAs."""
_NAME: Final = "name"


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
    """Record the intent to certify the key of `request` under `profile`, for a thing or under a name.

    Which of the two, the profile's subject rule says. What the request asks for decides nothing but the key. `proof` is
    the evidence that the asker may have it: JSON values, nothing secret. `public_url` is the site's.
    `issuer` is for profiles that any issuer signs; for all others the profile says which.
    Raises `Fault`: not found (profile, issuer, thing), bad key (one that the profile does not take), rejected (what
    the profile or the lint forbids), expired (the issuer is not valid now), malformed or too large (names).
    """
    rules = read_profile(get_profile(change.connection, profile).document)
    issuer = _choose(change, rules, issuer)
    if rules.ca is not None or (thing is None) == (name is None):
        raise Bug("a leaf's profile, and a thing or a name, make a certificate")
    if _NAME in proof:
        raise Bug("the proof says itself whom it is for")
    if thing is not None:
        get_thing(change.connection, thing)
        subject, evidence = thing_subject(thing), dict(proof)
    else:
        subject, evidence = named_subject(name or ""), {**proof, _NAME: name}
    not_before, not_after = validity_window(rules, change.at, issuer.certificate)
    intent = Intent(
        intent_id=random_id(),
        issuer_id=issuer.issuer_id,
        profile=profile,
        thing=thing,
        request=request.der,
        request_digest=request.digest,
        public_key=render_public_key(request.public_key),
        subject=subject.public_bytes(),
        san=_texts(alternative_names),
        serial=random_serial(random_below(issuer.shards)),
        not_before=not_before,
        not_after=not_after,
        method=method,
        proof=evidence,
        actor=change.actor,
        state=IntentState.PREPARED,
        certificate_id=None,
        refusal=None,
        created_at=change.at,
    )
    return _record(change, intent, rules, issuer, public_url)


def prepare_issuer(
    change: Change,
    *,
    generation: Generation | Crossing,
    public_key: PublicKey,
    parent: Issuer | None,
    public_url: str,
    request: Request | None = None,
) -> Intent:
    """Record the intent to certify `public_key` as the CA that `generation` names; `parent` is None for a root.

    `request` is where the key is elsewhere, whose holder asked for it. Raises `Fault` as `prepare` does.
    """
    rules = read_profile(get_profile(change.connection, generation.profile).document)
    if rules.ca is None or rules.is_self_signed != (parent is None):
        raise Bug("a CA's profile, and a parent for all but a root, make an issuer")
    window = validity_window(rules, change.at, parent.certificate if parent else None)
    not_before, not_after = generation.within(window) if isinstance(generation, Crossing) else window
    key = render_public_key(public_key)
    digest = hashlib.sha256(key).hexdigest()
    intent = Intent(
        intent_id=random_id(),
        issuer_id=parent.issuer_id if parent else digest,
        profile=generation.profile,
        thing=None,
        request=request.der if request else None,
        request_digest=request.digest if request else digest,
        public_key=key,
        subject=generation.subject.public_bytes(),
        san=(),
        serial=random_serial(random_below(parent.shards) if parent else 0),
        not_before=not_before,
        not_after=not_after,
        method=CEREMONY,
        proof=generation.to_proof(),
        actor=change.actor,
        state=IntentState.PREPARED,
        certificate_id=None,
        refusal=None,
        created_at=change.at,
    )
    return _record(change, intent, rules, parent, public_url)


def conclude(change: Change, intent: Intent, certificate: x509.Certificate) -> bool:
    """Register what the door has signed for `intent`: a certificate attached to its thing, or an issuer.

    False, and nothing changed, when another process has concluded or refused it. A thing may have several certificates
    in force: one that it had before stays so until it is revoked. Raises `Fault`: not found when the thing has gone,
    conflict when the serial number is taken.
    """
    identity = certificate_id(certificate)
    if not leave_prepared(change, intent, IntentState.ISSUED, certificate_id=identity):
        return False
    rules = read_profile(get_profile(change.connection, intent.profile).document)
    if rules.ca is not None:
        _conclude_issuer(change, intent, rules.ca, certificate)
        return True
    add_certificate(
        change,
        certificate,
        issuer_id=intent.issuer_id,
        profile=intent.profile,
        thing=intent.thing,
        method=intent.method,
        intent=intent.intent_id,
    )
    if intent.thing is not None:
        attach_principal(change, intent.thing, identity, exclusive=True)
    return True


def refuse(change: Change, intent: Intent, fault: Fault) -> bool:
    """Close `intent` for good, with the reason; False when another process has concluded or refused it."""
    if not leave_prepared(change, intent, IntentState.REFUSED, refusal=fault):
        return False
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


def _choose(change: Change, rules: Profile, given: Issuer | None) -> Issuer:
    if rules.issuer is not None and given is None:
        return get_issuer(change.connection, rules.issuer, rules.issuer_name)
    if rules.issuer is not None or given is None:
        raise Bug("an issuer is given for a profile that any issuer signs, and for no other")
    return given


def _record(change: Change, intent: Intent, rules: Profile, issuer: Issuer | None, public_url: str) -> Intent:
    certificate_of_issuer = issuer.certificate if issuer else None
    template = derive(intent, rules, certificate_of_issuer, public_url, shards=issuer.shards if issuer else 1)
    certificate = draft(template, _signer(template.public_key, certificate_of_issuer))
    add_intent(change, intent)
    change.record(
        CERTIFICATE_INTENDED,
        intent.intent_id,
        intent=intent.intent_id,
        thing=intent.thing,
        issuer_id=intent.issuer_id,
        profile=intent.profile,
        serial=f"{intent.serial:x}",
        request_digest=intent.request_digest,
        method=intent.method,
        proof=dict(intent.proof),
        tbs_digest=tbs_digest(certificate),
    )
    return intent


def _signer(own: PublicKey, issuer: x509.Certificate | None) -> KeyAlgorithm:
    return algorithm_of(issuer.public_key() if issuer else own)


def _texts(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(name.value) for name in parse_alternative_names(names))
