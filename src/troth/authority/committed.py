"""All that is on record about committed intents, from one snapshot: what the door derives certificates from.

Trusts no row: what a row names must exist, and the journal must know the intent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from sqlalchemy import Connection

from troth.authority.drafting import CERTIFICATE_INTENDED
from troth.authority.intents import Intent, IntentState, find_intents, unknown_intent
from troth.authority.lookups import Lookups
from troth.errors import Fault, Kind
from troth.journal.entries import list_about
from troth.registry.issuers import Issuer
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.profiles import Profile


@dataclass(frozen=True, slots=True)
class Committed:
    """What is on record about an intent that waits."""

    intent: Intent
    profile: Profile
    issuer: Issuer | None
    """None for a root."""
    tbs_digest: str

    @property
    def issuer_certificate(self) -> x509.Certificate | None:
        """The issuer's certificate; None for a root."""
        return self.issuer.certificate if self.issuer else None

    @property
    def shards(self) -> int:
        """Over how many CRLs the issuer's certificates are spread."""
        return self.issuer.shards if self.issuer else 1


def read_committed(db: Database, intent_ids: Sequence[str]) -> list[Committed | Exception]:
    """Return what is on record about each of these intents, or why it cannot be signed, in their order.

    Raises `Fault` (unavailable) when the database does not answer.
    """
    with read(db) as connection:
        intents = find_intents(connection, intent_ids)
        lookups = Lookups(connection, {intent.thing for intent in intents.values() if intent.thing is not None})
        digests = _digests(connection, intent_ids)
        return [_look(each, intents, lookups, digests) for each in intent_ids]


def _look(
    intent_id: str, intents: Mapping[str, Intent], lookups: Lookups, digests: Mapping[str, str]
) -> Committed | Exception:
    try:
        return _committed(intent_id, intents, lookups, digests)
    except Exception as error:  # one row that breaks our own code must not keep the others waiting
        return error


def _committed(
    intent_id: str, intents: Mapping[str, Intent], lookups: Lookups, digests: Mapping[str, str]
) -> Committed:
    intent = intents.get(intent_id)
    if intent is None:
        raise unknown_intent(intent_id)
    if intent.state is not IntentState.PREPARED:
        raise Fault(Kind.CONFLICT, f"intent {intent_id} does not wait for a signature", detail=intent.state)
    profile = lookups.profile(intent.profile)
    issuer = None if profile.is_self_signed else lookups.issuer(intent.issuer_id)
    if issuer is None and not profile.is_self_signed:
        raise Fault(Kind.REJECTED, "the intent's issuer is not registered")
    if issuer is not None and not _signs_under(issuer, profile):
        raise Fault(Kind.REJECTED, f"issuer {issuer.name} does not sign under profile {profile.name!r}")
    if intent.thing is not None and not lookups.has_thing(intent.thing):
        raise Fault(Kind.REJECTED, f"there is no thing {intent.thing!r}")
    digest = digests.get(intent_id)
    if digest is None:
        raise Fault(Kind.REJECTED, "the journal does not know the intent")
    return Committed(intent, profile, issuer, digest)


def _signs_under(issuer: Issuer, profile: Profile) -> bool:
    if profile.issuer_name is not None and issuer.line != profile.issuer_name:
        return False
    return issuer.is_trusted and (profile.issuer is None or issuer.purpose is profile.issuer)


def _digests(connection: Connection, intent_ids: Sequence[str]) -> dict[str, str]:
    """Return the digests that the journal recorded, of those intents that it recorded once."""
    recorded: dict[str, list[object]] = {}
    for entry in list_about(connection, CERTIFICATE_INTENDED, intent_ids):
        recorded.setdefault(entry.subject, []).append(entry.data.get("tbs_digest"))
    return {
        intent_id: found[0] for intent_id, found in recorded.items() if len(found) == 1 and isinstance(found[0], str)
    }
