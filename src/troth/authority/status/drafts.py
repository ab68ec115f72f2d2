"""From the registry to the bytes of a CRL that is to be signed: the same for whoever looks at the same moment.

Pure but for look-ups. RFC 5280 sections 5.2.3 to 5.2.6: numbers, deltas, shards, where the freshest is.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from troth.authority.derive import crl_url
from troth.authority.status.schedule import schedule_for
from troth.authority.status.stored import CRLKind, Scope, StoredCRL, find_crl, find_made_at, last_number
from troth.registry.issuers import Issuer
from troth.registry.revocations import list_crl_entries
from troth.x509.algorithms import algorithm_of
from troth.x509.crl import CRLTemplate, build_tbs, delta_entries, list_entries


@dataclass(frozen=True, slots=True)
class Draft:
    """A CRL but for its signature."""

    scope: Scope
    kind: CRLKind
    template: CRLTemplate
    entries: int
    tbs: bytes = field(repr=False)

    @property
    def tbs_digest(self) -> str:
        """The lower-case hex SHA-256 of what is to be signed."""
        return hashlib.sha256(self.tbs).hexdigest()


@dataclass(frozen=True, slots=True)
class Edition:
    """What is to be published of one scope at one moment: a complete CRL, and the delta that leads to it."""

    complete: Draft
    delta: Draft | None
    is_base: bool
    """Whether the next deltas add to this complete CRL: it was made by the rhythm, not because of a revocation."""

    @property
    def drafts(self) -> tuple[Draft, ...]:
        """Both, or the one there is. They share a number, as one moment of one scope (RFC 5280, 5.2.3)."""
        return (self.complete,) if self.delta is None else (self.complete, self.delta)


def draft_edition(connection: Connection, issuer: Issuer, shard: int | None, public_url: str, now: datetime) -> Edition:
    """Return what a scope's CRLs have to say at the time `now`. `connection` must be one snapshot."""
    scope, schedule = Scope(issuer.issuer_id, shard), schedule_for(issuer.purpose)
    base = find_crl(connection, scope, CRLKind.BASE)
    # What has expired stays until one made by the rhythm after its time has said so (RFC 5280, 3.3).
    expired_before = min(base.this_update, now) if base else None
    entries = list_crl_entries(connection, issuer.issuer_id, shard, expired_before)
    common = CRLTemplate(
        issuer=issuer.certificate,
        number=last_number(connection, scope) + 1,
        this_update=now,
        next_update=now + schedule.valid,
        distribution_point=None if shard is None else crl_url(public_url, issuer.issuer_id, shard),
    )
    delta = None
    if schedule.delta_valid is not None:
        # The first of all adds nothing to the complete one beside it.
        base_number = base.number if base else common.number
        delta = _draft(
            scope,
            CRLKind.DELTA,
            replace(common, next_update=now + schedule.delta_valid, base_number=base_number),
            _changes(connection, scope, base, entries, now),
        )
        common = replace(common, freshest_url=crl_url(public_url, issuer.issuer_id, shard, delta=True))
    made_at = find_made_at(connection, scope, CRLKind.COMPLETE)
    is_base = schedule.is_due(base.this_update if base else None, made_at, now)
    return Edition(_draft(scope, CRLKind.COMPLETE, common, entries), delta, is_base)


def _changes(
    connection: Connection, scope: Scope, base: StoredCRL | None, entries: Sequence[bytes], now: datetime
) -> Sequence[bytes]:
    if base is None:
        return ()
    last = find_crl(connection, scope, CRLKind.DELTA)
    earlier = list_entries(last.der) if last and last.base_number == base.number else ()
    return delta_entries(list_entries(base.der), earlier, entries, now)


def _draft(scope: Scope, kind: CRLKind, template: CRLTemplate, entries: Sequence[bytes]) -> Draft:
    algorithm = algorithm_of(template.issuer.public_key())
    return Draft(scope, kind, template, len(entries), build_tbs(template, algorithm, entries))
