"""The intent that certifies one of our own CAs, as `troth.authority.issue` prepares those of leaves. Knows no key."""

import hashlib
from typing import Final

from troth.authority.cross import Crossing
from troth.authority.drafting import draft_intent, record_intents
from troth.authority.generation import Generation
from troth.authority.intents import Intent, IntentState
from troth.authority.lookups import Lookups
from troth.errors import Bug
from troth.journal.change import Change
from troth.keys.randomness import random_below, random_id, random_serial
from troth.registry.issuers import Issuer
from troth.x509.algorithms import PublicKey
from troth.x509.profiles import validity_window
from troth.x509.public_keys import render_public_key
from troth.x509.requests import Request

CEREMONY: Final = "ceremony"
"""The method of intents that certify our own CAs."""


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
    rules = Lookups(change.connection, ()).profile(generation.profile)
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
    record_intents(change, [draft_intent(intent, rules, parent, public_url, request)])
    return intent
