"""The door to CA keys for CRLs: number taken and digest journaled, signed once, verified, put in force and journaled.

It trusts no bytes from anybody: what it signs, it has derived from the registry itself. Cut off anywhere, it leaves
the CRLs that were in force, and at most a number that nobody will ever see. RFC 5280 section 5.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Final

import structlog

from troth.authority.status.drafts import Draft, Edition, draft_edition
from troth.authority.status.schedule import schedule_for
from troth.authority.status.stored import CRLKind, Scope, StoredCRL, as_base, list_crls, put_in_force, take_number
from troth.clock import Clock
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.signing import SigningKey
from troth.limits import CRL_SCOPES_PER_CHANGE_MAX
from troth.points import Point, reached
from troth.registry.issuers import Issuer
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.crl import assemble_crl
from troth.x509.signing import is_signature

CRL_INTENDED: Final = "crl.intended"
CRL_PUBLISHED: Final = "crl.published"
RETRY_AFTER_S: Final = 5.0

log = structlog.get_logger()


class CRLDoor:
    """Holds CA keys and signs CRLs. Threads may share it: they publish one after the other.

    `keys` are by issuer id, and looked up each time. `public_url` is the site's own, as in certificates.
    """

    def __init__(self, keys: Mapping[str, SigningKey], public_url: str) -> None:
        self._keys = keys
        self._public_url = public_url
        self._alone = Lock()

    @property
    def issuer_ids(self) -> Collection[str]:
        """Whose CRLs can be made here."""
        return self._keys.keys()

    def publish(
        self, db: Database, clock: Clock, actor: str, issuer: Issuer, shards: Sequence[int | None], why: str = ""
    ) -> list[StoredCRL]:
        """Make the CRLs of these scopes of an issuer anew from the registry, and put them in force. Blocks.

        Raises `Fault`: unavailable when the key is not here or does not work, or the database does not answer;
        conflict when another process publishes the same at this moment. What is in force stays so then.
        """
        key = self._keys.get(issuer.issuer_id)
        if key is None:
            raise _unavailable(issuer, "there is no key for it here")
        published: list[StoredCRL] = []
        with self._alone:
            for start in range(0, len(shards), CRL_SCOPES_PER_CHANGE_MAX):
                batch = shards[start : start + CRL_SCOPES_PER_CHANGE_MAX]
                published += self._publish(db, clock, _Work(issuer, key, actor, why), batch)
        return published

    def publish_due(self, db: Database, clock: Clock, actor: str, issuers: Sequence[Issuer]) -> list[StoredCRL]:
        """Publish what is due by the rhythm, of the issuers whose keys are here. One that fails is logged. Blocks."""
        published: list[StoredCRL] = []
        for issuer in issuers:
            if issuer.issuer_id not in self._keys:
                continue
            with read(db) as connection:
                shards = list_due(list_crls(connection, issuer.issuer_id), issuer, clock.now())
            try:
                published += self.publish(db, clock, actor, issuer, shards)
            except Fault as fault:
                log.error("crl.failed", issuer=issuer.name, reason=fault.message, detail=fault.detail)
        return published

    def _publish(self, db: Database, clock: Clock, work: "_Work", shards: Sequence[int | None]) -> list[StoredCRL]:
        now = clock.now().replace(microsecond=0)
        with read(db) as connection:
            editions = [draft_edition(connection, work.issuer, shard, self._public_url, now) for shard in shards]
        with change(db, clock, work.actor, work.why) as changing:
            for edition in editions:
                take_number(changing, edition.complete.scope, edition.complete.template.number)
            intended = [_about(draft, tbs_digest=draft.tbs_digest) for edition in editions for draft in edition.drafts]
            changing.record(CRL_INTENDED, work.issuer.issuer_id, issuer_id=work.issuer.issuer_id, crls=intended)
            reached(Point.CRL_NUMBERED)
        signed = [crl for edition in editions for crl in _sign_edition(work, edition)]
        with change(db, clock, work.actor, work.why) as changing:
            stored = [crl for crl in signed if put_in_force(changing, crl) and crl.kind is not CRLKind.BASE]
            if stored:
                told = [told_of(crl) for crl in stored]
                changing.record(CRL_PUBLISHED, work.issuer.issuer_id, issuer_id=work.issuer.issuer_id, crls=told)
            reached(Point.CRL_IN_FORCE)
        return stored


def scopes_of(issuer: Issuer) -> tuple[int | None, ...]:
    """Return the scopes of an issuer's CRLs: all of it, and each of its shards."""
    return (None, *range(issuer.shards))


def list_due(in_force: Sequence[StoredCRL], issuer: Issuer, now: datetime) -> list[int | None]:
    """Return the scopes of an issuer whose CRLs are due by the rhythm; none for an issuer whose time is over."""
    if now > issuer.certificate.not_valid_after_utc:
        return []
    schedule = schedule_for(issuer.purpose)
    at = {(crl.scope.shard, crl.kind): crl.this_update for crl in in_force}
    return [
        shard
        for shard in scopes_of(issuer)
        if schedule.is_due(at.get((shard, CRLKind.BASE)), at.get((shard, CRLKind.COMPLETE)), now)
    ]


@dataclass(frozen=True, slots=True)
class _Work:
    issuer: Issuer
    key: SigningKey
    actor: str
    why: str


def _sign_edition(work: _Work, edition: Edition) -> list[StoredCRL]:
    signed = [_sign_once(work, draft) for draft in edition.drafts]
    return [*signed, as_base(signed[0])] if edition.is_base else signed


def _sign_once(work: _Work, draft: Draft) -> StoredCRL:
    key = work.key
    try:
        signature = key.sign(draft.tbs)
    except Exception as error:  # a key may be a file, a card or a machine far away, each with failures of its own
        raise _unavailable(work.issuer, f"{type(error).__name__}: {error}") from error
    reached(Point.CRL_SIGNED)
    if not is_signature(draft.template.issuer.public_key(), signature, draft.tbs):  # type: ignore[arg-type]
        raise _unavailable(work.issuer, "the key made no valid signature")
    der = assemble_crl(draft.tbs, key.algorithm, signature)
    return StoredCRL(
        scope=draft.scope,
        kind=draft.kind,
        number=draft.template.number,
        base_number=draft.template.base_number,
        this_update=draft.template.this_update,
        next_update=draft.template.next_update,
        entries=draft.entries,
        sha256=hashlib.sha256(der).hexdigest(),
        der=der,
    )


def _about(draft: Draft, **digest: str) -> dict[str, object]:
    template = draft.template
    return _line(draft.scope, draft.kind, template.number, template.base_number) | digest


def told_of(crl: StoredCRL) -> dict[str, object]:
    """Return what the journal says of a CRL in force."""
    return _line(crl.scope, crl.kind, crl.number, crl.base_number) | {"sha256": crl.sha256, "entries": crl.entries}


def _line(scope: Scope, kind: CRLKind, number: int, base_number: int | None) -> dict[str, object]:
    return {"shard": scope.shard, "kind": kind.value, "number": number, "base_number": base_number}


def _unavailable(issuer: Issuer, detail: str) -> Fault:
    return Fault(
        Kind.UNAVAILABLE,
        f"the CRLs of {issuer.name} cannot be signed at the moment",
        detail=detail,
        hint="the CRLs in force stay so; troth tries again by itself while it runs",
        retry_after=RETRY_AFTER_S,
    )
