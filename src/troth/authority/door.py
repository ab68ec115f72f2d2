"""The one door to a CA key: from the id of a committed intent to a signed certificate. Nothing else calls their `sign`.

It trusts no bytes from anybody. It reads the committed intent, derives the whole certificate from the evidence in it,
compares with the digest that the journal recorded, lints again, signs once, and verifies what it signed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from sqlalchemy import Connection

from troth.authority.derive import derive, draft, read_profile, tbs_digest
from troth.authority.intents import Intent, IntentState, get_intent
from troth.authority.issue import CERTIFICATE_INTENDED
from troth.errors import Bug, Fault, Kind
from troth.journal.entries import list_before
from troth.keys.signing import SigningKey
from troth.limits import INTENT_AGE_S_MAX, INTENT_AHEAD_S_MAX
from troth.registry.issuers import Issuer, find_issuer
from troth.registry.profiles import get_profile
from troth.registry.things import find_thing
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.building import Template, assemble
from troth.x509.profiles import Profile
from troth.x509.verify import verify_issued_by

RETRY_AFTER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed certificate and the intent that it was signed for, as it was read from the database."""

    intent: Intent
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class _Committed:
    """All that is on record about an intent, from one snapshot."""

    intent: Intent
    profile: Profile
    issuer: x509.Certificate | None
    shards: int
    tbs_digest: str
    thing_exists: bool


class Door:
    """Holds CA keys and signs what committed intents stand for.

    `keys` are by issuer id; a root's, before it has a certificate, by the SHA-256 of its SubjectPublicKeyInfo.
    `public_url` is the site's own, from this process's settings. Threads may share a door if they may share its keys.
    """

    def __init__(self, keys: Mapping[str, SigningKey], public_url: str) -> None:
        self._keys = dict(keys)
        self._public_url = public_url

    @property
    def issuer_ids(self) -> Collection[str]:
        """Whose signatures are to be had here."""
        return self._keys.keys()

    def sign(self, db: Database, intent_id: str, now: datetime) -> Signed:
        """Sign the certificate of the committed intent with its issuer's key. Blocks. Registers nothing.

        Raises `Fault`: unavailable (with `retry_after`) when the key is not here or does not work, or the database
        does not answer: the intent can still be signed. Any other kind means that it never will be: expired (it waited
        longer than `INTENT_AGE_S_MAX`, or comes from the future), conflict (it is not waiting), rejected and the like
        (it does not stand for a certificate that may be signed).
        """
        with read(db) as connection:
            committed = _committed(connection, intent_id)
        intent = committed.intent
        _check_age(intent, now)
        template = derive(intent, committed.profile, committed.issuer, self._public_url, shards=committed.shards)
        if intent.thing is not None and not committed.thing_exists:
            raise Fault(Kind.REJECTED, f"there is no thing {intent.thing!r}")
        key = self._key(intent)
        drafted = draft(template, key.algorithm)
        if tbs_digest(drafted) != committed.tbs_digest:
            raise Fault(
                Kind.REJECTED,
                "what would be signed is not what was recorded",
                detail="the intent, its profile or the site's public URL has changed since",
            )
        return Signed(intent, _sign_once(key, drafted.tbs_certificate_bytes, template, intent.created_at))

    def _key(self, intent: Intent) -> SigningKey:
        key = self._keys.get(intent.issuer_id)
        if key is None:
            raise _unavailable(f"no key for issuer {intent.issuer_id}")
        return key


def _committed(connection: Connection, intent_id: str) -> _Committed:
    intent = get_intent(connection, intent_id)
    if intent.state is not IntentState.PREPARED:
        raise Fault(Kind.CONFLICT, f"intent {intent_id} does not wait for a signature", detail=intent.state)
    profile = read_profile(get_profile(connection, intent.profile).document)
    issuer = None if profile.is_self_signed else find_issuer(connection, intent.issuer_id)
    if issuer is not None and not _signs_under(issuer, profile):
        raise Fault(Kind.REJECTED, f"issuer {issuer.name} does not sign under profile {profile.name!r}")
    if issuer is None and not profile.is_self_signed:
        raise Fault(Kind.REJECTED, "the intent's issuer is not registered")
    return _Committed(
        intent=intent,
        profile=profile,
        issuer=issuer.certificate if issuer else None,
        shards=issuer.shards if issuer else 1,
        tbs_digest=_recorded_digest(connection, intent_id),
        thing_exists=intent.thing is not None and find_thing(connection, intent.thing) is not None,
    )


def _signs_under(issuer: Issuer, profile: Profile) -> bool:
    if profile.issuer_name is not None and issuer.line != profile.issuer_name:
        return False
    return issuer.is_trusted and (profile.issuer is None or issuer.purpose is profile.issuer)


def _recorded_digest(connection: Connection, intent_id: str) -> str:
    recorded = [
        entry.data.get("tbs_digest")
        for entry in list_before(connection, subject=intent_id)
        if entry.kind == CERTIFICATE_INTENDED
    ]
    if len(recorded) != 1 or not isinstance(recorded[0], str):
        raise Fault(Kind.REJECTED, "the journal does not know the intent")
    return recorded[0]


def _sign_once(key: SigningKey, tbs: bytes, template: Template, at: datetime) -> x509.Certificate:
    try:
        signature = key.sign(tbs)
    except Exception as error:  # a key may be a file, a card or a machine far away, each with failures of its own
        detail = getattr(error, "detail", None)
        raise _unavailable(f"{type(error).__name__}: {error}{f' ({detail})' if detail else ''}") from error
    try:
        certificate = assemble(tbs, key.algorithm, signature)
        verify_issued_by(certificate, template.issuer_certificate or certificate, at=at, use=None)
    except (Bug, Fault) as error:
        raise _unavailable(f"the key made no valid signature: {error}") from error
    return certificate


def _check_age(intent: Intent, now: datetime) -> None:
    age = now - intent.created_at
    if age > timedelta(seconds=INTENT_AGE_S_MAX):
        raise Fault(Kind.EXPIRED, "the authority did not come to it in time", hint="ask again")
    if age < -timedelta(seconds=INTENT_AHEAD_S_MAX):
        hint = "set the clocks of this site's machines"
        raise Fault(Kind.EXPIRED, "the request comes from the future of the authority's clock", hint=hint)


def _unavailable(detail: str) -> Fault:
    return Fault(
        Kind.UNAVAILABLE,
        "the authority cannot sign at the moment",
        detail=detail,
        hint="look at the log of the authority's process; troth tries again by itself",
        retry_after=RETRY_AFTER_S,
    )
