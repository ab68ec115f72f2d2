"""The registry's tables. Every list is walked by key along an index: nothing here grows slower at ten million rows."""

from typing import Final

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from troth.limits import NAME_CHARS_MAX
from troth.store.schema import metadata
from troth.store.types import NUMBER, Instant, JSONText

_NAME: Final = String(NAME_CHARS_MAX)
_CERTIFICATE_ID: Final = String(64)

thing_types: Final = Table(
    "thing_types",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("created_at", Instant, nullable=False),
)

things: Final = Table(
    "things",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("type", _NAME, ForeignKey(thing_types.c.name)),
    Column("attributes", JSONText, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index(None, "type", "name"),
)

thing_groups: Final = Table(
    "thing_groups",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("parent", _NAME, ForeignKey("thing_groups.name")),
    Column("depth", Integer, nullable=False),
    Column("description", Text, nullable=False),
    Column("attributes", JSONText, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Index(None, "parent", "name"),
)

group_ancestors: Final = Table(
    "group_ancestors",
    metadata,
    Column("group", _NAME, ForeignKey(thing_groups.c.name), primary_key=True),
    Column("ancestor", _NAME, ForeignKey(thing_groups.c.name), primary_key=True),
)
"""Of each group itself, and all above it: written once, since a group's place never changes."""

group_members: Final = Table(
    "group_members",
    metadata,
    Column("thing", _NAME, ForeignKey(things.c.name), primary_key=True),
    Column("group", _NAME, ForeignKey(thing_groups.c.name), primary_key=True),
    Column("added_at", Instant, nullable=False),
    Index(None, "group", "thing"),
)

policies: Final = Table(
    "policies",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("default_version", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

policy_versions: Final = Table(
    "policy_versions",
    metadata,
    Column("policy", _NAME, ForeignKey(policies.c.name), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

policy_attachments: Final = Table(
    "policy_attachments",
    metadata,
    Column("target_kind", String(16), primary_key=True),
    Column("target", _NAME, primary_key=True),
    Column("policy", _NAME, ForeignKey(policies.c.name), primary_key=True),
    Column("attached_at", Instant, nullable=False),
    Index(None, "policy", "target_kind", "target"),
)

issuers: Final = Table(
    "issuers",
    metadata,
    Column("issuer_id", _CERTIFICATE_ID, primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("parent_id", _CERTIFICATE_ID, ForeignKey("issuers.issuer_id")),
    Column("key_name", Text, nullable=False),
    Column("state", String(32), nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("shards", Integer, nullable=False),
    Column("line", _NAME, nullable=False),
    Column("number", Integer, nullable=False),
    UniqueConstraint("name"),
    Index(None, "purpose", "state", "created_at"),
)

cross_certificates: Final = Table(
    "cross_certificates",
    metadata,
    Column("certificate_id", _CERTIFICATE_ID, primary_key=True),
    Column("subject_id", _CERTIFICATE_ID, ForeignKey("issuers.issuer_id"), nullable=False),
    Column("issuer_id", _CERTIFICATE_ID, ForeignKey("issuers.issuer_id"), nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("issuer_id", "subject_id"),
)

issuer_requests: Final = Table(
    "issuer_requests",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("line", _NAME, nullable=False),
    Column("number", Integer, nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("key_name", Text, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)

trust_uptake: Final = Table(
    "trust_uptake",
    metadata,
    Column("thing", _NAME, primary_key=True),
    Column("root_id", _CERTIFICATE_ID, nullable=False),
    Column("bundle", String(64), nullable=False),
    Column("told_at", Instant, nullable=False),
    Column("held_at", Instant),
)

profiles: Final = Table(
    "profiles",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("document", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

certificates: Final = Table(
    "certificates",
    metadata,
    Column("certificate_id", _CERTIFICATE_ID, primary_key=True),
    Column("issuer_id", _CERTIFICATE_ID, nullable=False),
    Column("serial", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("thing", _NAME),
    Column("profile", _NAME, nullable=False),
    Column("method", String(64), nullable=False),
    Column("state", String(32), nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Column("reason", String(64)),
    Column("key_protection", String(16)),
    UniqueConstraint("issuer_id", "serial"),
    Index(None, "thing", "certificate_id"),
    Index(None, "not_after", "certificate_id"),
    Index(None, "state", "issuer_id", "certificate_id"),
)

revocations: Final = Table(
    "revocations",
    metadata,
    Column("issuer_id", _CERTIFICATE_ID, primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("serial", String(64), primary_key=True),
    Column("revoked_at", Instant, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    # A CRL is the rows of one issuer or shard in the order of the key: they lie together in that order.
    sqlite_with_rowid=False,
)

keys_seen: Final = Table(
    "keys_seen",
    metadata,
    Column("key_digest", String(64), primary_key=True),
    Column("thing", _NAME),
    Column("blocked_at", Instant),
)

foreign_issuers: Final = Table(
    "foreign_issuers",
    metadata,
    Column("issuer_id", _CERTIFICATE_ID, primary_key=True),
    Column("name", _NAME, nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("state", String(32), nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("crl", LargeBinary),
    Column("proven", Boolean, nullable=False),
    Column("auto_registration", Boolean, nullable=False),
    Column("template", String(64)),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("name"),
)
"""CAs of elsewhere whose devices may come: ``crl`` is DER, ``proven`` whether whoever brought it holds its key,
``auto_registration`` whether their certificates are registered on first connection, ``template`` by which, if any."""

registration_codes: Final = Table(
    "registration_codes",
    metadata,
    Column("code", String(64), primary_key=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
)

thing_principals: Final = Table(
    "thing_principals",
    metadata,
    Column("certificate_id", _CERTIFICATE_ID, ForeignKey(certificates.c.certificate_id), primary_key=True),
    Column("thing", _NAME, ForeignKey(things.c.name), primary_key=True),
    Column("exclusive", Boolean, nullable=False),
    Column("attached_at", Instant, nullable=False),
    Index(None, "thing", "certificate_id"),
)

session_workers: Final = Table(
    "session_workers",
    metadata,
    Column("worker", _NAME, primary_key=True),
    Column("lease_until", Instant, nullable=False),
    Column("measures", Text, nullable=False),
)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("worker", _NAME, ForeignKey(session_workers.c.worker), primary_key=True),
    Column("connection", _NAME, primary_key=True),
    Column("certificate_id", _CERTIFICATE_ID, nullable=False),
    Column("thing", _NAME),
    Column("client_id", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Index(None, "certificate_id"),
    Index(None, "thing"),
)

decisions: Final = Table(
    "decisions",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("worker", _NAME, nullable=False),
    Column("connection", _NAME, nullable=False),
    Column("address", Text, nullable=False),
    Column("certificate_id", _CERTIFICATE_ID),
    Column("thing", _NAME),
    Column("client_id", Text),
    Column("action", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("reason", Text, nullable=False),
)

reading_windows: Final = Table(
    "reading_windows",
    metadata,
    Column("certificate_id", _CERTIFICATE_ID, primary_key=True),
    Column("seen", LargeBinary, nullable=False),
    Column("changed_at", Instant, nullable=False),
)
"""Which readings of a certificate came, as `troth.evidence.window` writes it."""

decision_counts: Final = Table(
    "decision_counts",
    metadata,
    Column("action", String(64), primary_key=True),
    Column("outcome", String(32), primary_key=True),
    Column("reason", String(128), primary_key=True),
    Column("count", NUMBER, nullable=False),
)
