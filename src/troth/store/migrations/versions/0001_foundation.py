"""The tables of the first version. Written by hand; a test holds them equal to the rooms' ``tables.py``."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CERTIFICATE_ID = sa.String(64)
NAME = sa.String(128)

_Kind = sa.types.TypeEngine[Any]


def upgrade() -> None:
    _journal()
    _things()
    _groups()
    _policies()
    _issuers()
    _certificates()
    _trust()
    _connections()
    _authority()
    _enrollment()
    _enrollments()
    _strangers()
    _renewals()
    _provisioning()


def _required(name: str, kind: _Kind) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _optional(name: str, kind: _Kind) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def _primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}_{'_'.join(columns)}")


def _foreign(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def _journal() -> None:
    op.create_table(
        "journal_entries",
        sa.Column("number", NUMBER, nullable=False, autoincrement=False),
        _required("at", sa.BigInteger()),
        _required("actor", sa.Text()),
        _required("kind", sa.Text()),
        _required("subject", sa.Text()),
        _required("body", sa.LargeBinary()),
        _required("nodes", sa.LargeBinary()),
        _primary("journal_entries", "number"),
    )
    _index("journal_entries", "subject", "number")
    head = op.create_table(
        "journal_head",
        sa.Column("id", NUMBER, nullable=False, autoincrement=False),
        _required("size", sa.BigInteger()),
        _required("frontier", sa.LargeBinary()),
        _primary("journal_head", "id"),
    )
    op.execute(head.insert().values(id=1, size=0, frontier=b""))
    op.create_table(
        "journal_checkpoints",
        sa.Column("size", NUMBER, nullable=False, autoincrement=False),
        _required("note", sa.LargeBinary()),
        _required("signed_at", sa.BigInteger()),
        _primary("journal_checkpoints", "size"),
    )


def _things() -> None:
    op.create_table(
        "thing_types",
        _required("name", NAME),
        _required("created_at", sa.BigInteger()),
        _primary("thing_types", "name"),
    )
    op.create_table(
        "things",
        _required("name", NAME),
        _optional("type", NAME),
        _required("attributes", sa.Text()),
        _required("version", sa.Integer()),
        _required("created_at", sa.BigInteger()),
        _required("updated_at", sa.BigInteger()),
        _primary("things", "name"),
        _foreign("things", "type", "thing_types.name"),
    )
    _index("things", "type", "name")


def _groups() -> None:
    op.create_table(
        "thing_groups",
        _required("name", NAME),
        _optional("parent", NAME),
        _required("depth", sa.Integer()),
        _required("description", sa.Text()),
        _required("attributes", sa.Text()),
        _required("version", sa.Integer()),
        _required("created_at", sa.BigInteger()),
        _required("updated_at", sa.BigInteger()),
        _primary("thing_groups", "name"),
        _foreign("thing_groups", "parent", "thing_groups.name"),
    )
    _index("thing_groups", "parent", "name")
    op.create_table(
        "group_ancestors",
        _required("group", NAME),
        _required("ancestor", NAME),
        _primary("group_ancestors", "group", "ancestor"),
        _foreign("group_ancestors", "group", "thing_groups.name"),
        _foreign("group_ancestors", "ancestor", "thing_groups.name"),
    )
    op.create_table(
        "group_members",
        _required("thing", NAME),
        _required("group", NAME),
        _required("added_at", sa.BigInteger()),
        _primary("group_members", "thing", "group"),
        _foreign("group_members", "thing", "things.name"),
        _foreign("group_members", "group", "thing_groups.name"),
    )
    _index("group_members", "group", "thing")


def _policies() -> None:
    op.create_table(
        "policies",
        _required("name", NAME),
        _required("default_version", sa.Integer()),
        _required("created_at", sa.BigInteger()),
        _required("updated_at", sa.BigInteger()),
        _primary("policies", "name"),
    )
    op.create_table(
        "policy_versions",
        _required("policy", NAME),
        _required("version", sa.Integer()),
        _required("document", sa.Text()),
        _required("created_at", sa.BigInteger()),
        _primary("policy_versions", "policy", "version"),
        _foreign("policy_versions", "policy", "policies.name"),
    )
    op.create_table(
        "policy_attachments",
        _required("target_kind", sa.String(16)),
        _required("target", NAME),
        _required("policy", NAME),
        _required("attached_at", sa.BigInteger()),
        _primary("policy_attachments", "target_kind", "target", "policy"),
        _foreign("policy_attachments", "policy", "policies.name"),
    )
    _index("policy_attachments", "policy", "target_kind", "target")


def _issuers() -> None:
    op.create_table(
        "issuers",
        _required("issuer_id", CERTIFICATE_ID),
        _required("name", NAME),
        _required("purpose", sa.String(32)),
        _optional("parent_id", CERTIFICATE_ID),
        _required("key_name", sa.Text()),
        _required("state", sa.String(32)),
        _required("der", sa.LargeBinary()),
        _required("not_before", sa.BigInteger()),
        _required("not_after", sa.BigInteger()),
        _required("created_at", sa.BigInteger()),
        _required("shards", sa.Integer()),
        _required("line", NAME),
        _required("number", sa.Integer()),
        _primary("issuers", "issuer_id"),
        _unique("issuers", "name"),
        _foreign("issuers", "parent_id", "issuers.issuer_id"),
    )
    _index("issuers", "purpose", "state", "created_at")
    op.create_table(
        "profiles",
        _required("name", NAME),
        _required("document", sa.Text()),
        _required("version", sa.Integer()),
        _required("updated_at", sa.BigInteger()),
        _primary("profiles", "name"),
    )


def _certificates() -> None:
    op.create_table(
        "certificates",
        _required("certificate_id", CERTIFICATE_ID),
        _required("issuer_id", CERTIFICATE_ID),
        _required("serial", sa.String(64)),
        _required("subject", sa.Text()),
        _optional("thing", NAME),
        _required("profile", NAME),
        _required("method", sa.String(64)),
        _required("state", sa.String(32)),
        _required("der", sa.LargeBinary()),
        _required("not_before", sa.BigInteger()),
        _required("not_after", sa.BigInteger()),
        _required("created_at", sa.BigInteger()),
        _required("changed_at", sa.BigInteger()),
        _optional("revoked_at", sa.BigInteger()),
        _optional("reason", sa.String(64)),
        _optional("key_protection", sa.String(16)),
        _primary("certificates", "certificate_id"),
        _unique("certificates", "issuer_id", "serial"),
    )
    _index("certificates", "thing", "certificate_id")
    _index("certificates", "not_after", "certificate_id")
    _index("certificates", "state", "issuer_id", "certificate_id")
    op.create_table(
        "revocations",
        _required("issuer_id", CERTIFICATE_ID),
        _required("shard", sa.Integer()),
        _required("serial", sa.String(64)),
        _required("revoked_at", sa.BigInteger()),
        _required("reason", sa.String(64)),
        _required("not_after", sa.BigInteger()),
        _required("changed_at", sa.BigInteger()),
        _required("entry", sa.LargeBinary()),
        _primary("revocations", "issuer_id", "shard", "serial"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "thing_principals",
        _required("certificate_id", CERTIFICATE_ID),
        _required("thing", NAME),
        _required("exclusive", sa.Boolean()),
        _required("attached_at", sa.BigInteger()),
        _primary("thing_principals", "certificate_id", "thing"),
        _foreign("thing_principals", "certificate_id", "certificates.certificate_id"),
        _foreign("thing_principals", "thing", "things.name"),
    )
    _index("thing_principals", "thing", "certificate_id")


def _trust() -> None:
    op.create_table(
        "cross_certificates",
        _required("certificate_id", CERTIFICATE_ID),
        _required("subject_id", CERTIFICATE_ID),
        _required("issuer_id", CERTIFICATE_ID),
        _required("der", sa.LargeBinary()),
        _required("not_before", sa.BigInteger()),
        _required("not_after", sa.BigInteger()),
        _required("created_at", sa.BigInteger()),
        _primary("cross_certificates", "certificate_id"),
        _unique("cross_certificates", "issuer_id", "subject_id"),
        _foreign("cross_certificates", "subject_id", "issuers.issuer_id"),
        _foreign("cross_certificates", "issuer_id", "issuers.issuer_id"),
    )
    op.create_table(
        "issuer_requests",
        _required("name", NAME),
        _required("line", NAME),
        _required("number", sa.Integer()),
        _required("purpose", sa.String(32)),
        _required("key_name", sa.Text()),
        _required("request", sa.LargeBinary()),
        _required("created_at", sa.BigInteger()),
        _primary("issuer_requests", "name"),
    )
    op.create_table(
        "trust_uptake",
        _required("thing", NAME),
        _required("root_id", CERTIFICATE_ID),
        _required("bundle", sa.String(64)),
        _required("told_at", sa.BigInteger()),
        _optional("held_at", sa.BigInteger()),
        _primary("trust_uptake", "thing"),
    )


def _connections() -> None:
    op.create_table(
        "session_workers",
        _required("worker", NAME),
        _required("lease_until", sa.BigInteger()),
        _required("measures", sa.Text()),
        _primary("session_workers", "worker"),
    )
    op.create_table(
        "sessions",
        _required("worker", NAME),
        _required("connection", NAME),
        _required("certificate_id", CERTIFICATE_ID),
        _optional("thing", NAME),
        _required("client_id", sa.Text()),
        _required("address", sa.Text()),
        _required("since", sa.BigInteger()),
        _primary("sessions", "worker", "connection"),
        _foreign("sessions", "worker", "session_workers.worker"),
    )
    _index("sessions", "certificate_id")
    _index("sessions", "thing")
    op.create_table(
        "decisions",
        sa.Column("id", NUMBER, nullable=False, autoincrement=True),
        _required("at", sa.BigInteger()),
        _required("worker", NAME),
        _required("connection", NAME),
        _required("address", sa.Text()),
        _optional("certificate_id", CERTIFICATE_ID),
        _optional("thing", NAME),
        _optional("client_id", sa.Text()),
        _required("action", sa.Text()),
        _required("resource", sa.Text()),
        _required("outcome", sa.String(32)),
        _required("reason", sa.Text()),
        _primary("decisions", "id"),
    )
    op.create_table(
        "reading_windows",
        _required("certificate_id", CERTIFICATE_ID),
        _required("seen", sa.LargeBinary()),
        _required("changed_at", sa.BigInteger()),
        _primary("reading_windows", "certificate_id"),
    )
    op.create_table(
        "decision_counts",
        _required("action", sa.String(64)),
        _required("outcome", sa.String(32)),
        _required("reason", sa.String(128)),
        _required("count", NUMBER),
        _primary("decision_counts", "action", "outcome", "reason"),
    )


def _authority() -> None:
    op.create_table(
        "intents",
        _required("id", sa.String(64)),
        _required("issuer_id", CERTIFICATE_ID),
        _required("profile", NAME),
        _optional("thing", NAME),
        _optional("request", sa.LargeBinary()),
        _required("request_digest", sa.String(64)),
        _required("public_key", sa.LargeBinary()),
        _required("subject", sa.LargeBinary()),
        _required("san", sa.Text()),
        _required("serial", sa.String(64)),
        _required("not_before", sa.BigInteger()),
        _required("not_after", sa.BigInteger()),
        _required("method", sa.String(64)),
        _required("proof", sa.Text()),
        _required("actor", sa.Text()),
        _required("state", sa.String(32)),
        _optional("certificate_id", CERTIFICATE_ID),
        _optional("refusal", sa.Text()),
        _required("created_at", sa.BigInteger()),
        _primary("intents", "id"),
        _unique("intents", "issuer_id", "serial"),
    )
    _index("intents", "state", "created_at")
    _index("intents", "request_digest", "created_at")
    op.create_table(
        "crl_scopes",
        _required("issuer_id", CERTIFICATE_ID),
        _required("shard", sa.Integer()),
        _required("number", sa.BigInteger()),
        _primary("crl_scopes", "issuer_id", "shard"),
    )
    op.create_table(
        "crls",
        _required("issuer_id", CERTIFICATE_ID),
        _required("shard", sa.Integer()),
        _required("kind", sa.String(16)),
        _required("number", sa.BigInteger()),
        _optional("base_number", sa.BigInteger()),
        _required("this_update", sa.BigInteger()),
        _required("next_update", sa.BigInteger()),
        _required("entries", sa.Integer()),
        _required("sha256", sa.String(64)),
        _required("der", sa.LargeBinary()),
        _primary("crls", "issuer_id", "shard", "kind"),
    )


def _enrollment() -> None:
    op.create_table(
        "tokens",
        _required("id", sa.String(64)),
        _required("digest", sa.String(64)),
        _required("thing", NAME),
        _required("profile", NAME),
        _required("created_at", sa.BigInteger()),
        _required("expires_at", sa.BigInteger()),
        _optional("spent_at", sa.BigInteger()),
        _optional("intent_id", sa.String(64)),
        _optional("revoked_at", sa.BigInteger()),
        _required("created_by", sa.Text()),
        _primary("tokens", "id"),
        _unique("tokens", "digest"),
    )
    _index("tokens", "thing", "id")
    _index("tokens", "expires_at")


def _renewals() -> None:
    op.create_table(
        "renewals",
        _required("intent_id", sa.String(64)),
        _required("thing", NAME),
        _required("predecessor_id", CERTIFICATE_ID),
        _required("created_at", sa.BigInteger()),
        _optional("due_at", sa.BigInteger()),
        _optional("outcome", sa.String(32)),
        _primary("renewals", "intent_id"),
    )
    _index("renewals", "thing", "created_at")
    _index("renewals", "due_at")
    _index("renewals", "created_at")


def _enrollments() -> None:
    op.create_table(
        "enrollments",
        _required("name", NAME),
        _required("document", sa.Text()),
        _required("version", sa.Integer()),
        _required("updated_at", sa.BigInteger()),
        _primary("enrollments", "name"),
    )
    op.create_table(
        "requests",
        _required("id", sa.String(64)),
        _required("enrollment", NAME),
        _required("thing", NAME),
        _required("request_digest", sa.String(64)),
        _required("request", sa.LargeBinary()),
        _required("key_digest", sa.String(64)),
        _required("evidence", sa.Text()),
        _required("address", sa.Text()),
        _required("state", sa.String(32)),
        _required("created_at", sa.BigInteger()),
        _required("expires_at", sa.BigInteger()),
        _optional("decided_at", sa.BigInteger()),
        _optional("decided_by", sa.Text()),
        _optional("intent_id", sa.String(64)),
        _primary("requests", "id"),
        _unique("requests", "enrollment", "thing", "request_digest"),
    )
    _index("requests", "state", "id")
    _index("requests", "expires_at")
    op.create_table(
        "bindings",
        _required("thing", NAME),
        _required("credential", sa.String(200)),
        _required("bound_at", sa.BigInteger()),
        _primary("bindings", "thing"),
    )
    op.create_table(
        "enrollment_counts",
        _required("scope", sa.String(16)),
        _required("name", sa.String(200)),
        _required("until", sa.BigInteger()),
        _required("count", sa.Integer()),
        _primary("enrollment_counts", "scope", "name"),
    )
    _index("enrollment_counts", "until")


def _strangers() -> None:
    op.create_table(
        "keys_seen",
        _required("key_digest", sa.String(64)),
        _optional("thing", NAME),
        _optional("blocked_at", sa.BigInteger()),
        _primary("keys_seen", "key_digest"),
    )
    op.create_table(
        "foreign_issuers",
        _required("issuer_id", CERTIFICATE_ID),
        _required("name", NAME),
        _required("purpose", sa.String(32)),
        _required("state", sa.String(32)),
        _required("der", sa.LargeBinary()),
        _optional("crl", sa.LargeBinary()),
        _required("proven", sa.Boolean()),
        _required("auto_registration", sa.Boolean()),
        _optional("template", sa.String(64)),
        _required("created_at", sa.BigInteger()),
        _primary("foreign_issuers", "issuer_id"),
        _unique("foreign_issuers", "name"),
    )
    op.create_table(
        "registration_codes",
        _required("code", sa.String(64)),
        _required("created_at", sa.BigInteger()),
        _required("expires_at", sa.BigInteger()),
        _optional("used_at", sa.BigInteger()),
        _primary("registration_codes", "code"),
    )


def _provisioning() -> None:
    op.create_table(
        "templates",
        _required("name", NAME),
        _required("type", sa.String(32)),
        _required("document", sa.Text()),
        _required("options", sa.Text()),
        _required("version", sa.Integer()),
        _required("updated_at", sa.BigInteger()),
        _primary("templates", "name"),
    )
    op.create_table(
        "ownerships",
        _required("digest", sa.String(64)),
        _required("intent_id", sa.String(64)),
        _required("claim_id", CERTIFICATE_ID),
        _required("server_key", sa.Boolean()),
        _required("created_at", sa.BigInteger()),
        _required("expires_at", sa.BigInteger()),
        _optional("spent_at", sa.BigInteger()),
        _optional("spent_on", sa.String(64)),
        _optional("answer", sa.Text()),
        _primary("ownerships", "digest"),
    )
    _index("ownerships", "claim_id", "spent_at")
    _index("ownerships", "expires_at")
