"""A request as a home would decide it now: the certificate, its things and the policies that are attached."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from sqlalchemy import Connection

from troth.cli.policy_explain import Asked, Wanted, required
from troth.cli.server import Opened
from troth.errors import Fault, Kind
from troth.limits import POLICY_DOCUMENT_CHARS_MAX, Limits
from troth.policy.actions import Action, parse_action, request_resource
from troth.policy.attachment import NamedPolicy, effective
from troth.policy.catalogue import CONNECT_KEYS, find_key
from troth.policy.context import ConnectionContext, Thing, resolve_thing
from troth.policy.document import parse_document
from troth.policy.questions import Question
from troth.registry import certificates, decisions, things
from troth.registry.certificates import CertificateRow, CertificateState
from troth.registry.decisions import DecisionRow
from troth.registry.inventory import Search, list_certificates
from troth.registry.principals import Principal, find_principal
from troth.store.read import read
from troth.x509.certificates import attributes

_OF_CONNECTION: Final = frozenset({"iot:domainname", "troth:tlsversion"})
"""Folded names of the keys that neither the registry nor the log of decisions knows."""


def of_holder(here: Opened, wanted: Wanted) -> Asked:
    """Return the request of a thing, or of a certificate's holder. Raises `Fault`: malformed, not found."""
    action, resource = required(wanted)
    with read(here.db) as connection:
        row, notes = _certificate(connection, wanted)
        principal = _principal(connection, row.certificate_id)
    client_id = wanted.client_id if wanted.client_id is not None else wanted.thing
    if client_id is None:
        client_id = row.thing
    asked = _asked(here, principal, parse_action(action), resource, client_id, wanted.source_ip, here.clock.now())
    return Asked(asked.question, asked.policies, (*notes, *asked.notes))


def of_decision(here: Opened, number: int) -> Asked:
    """Return the request of a decision in the log, by the policies as they are now. Raises `Fault`."""
    with read(here.db) as connection:
        row = decisions.find_decision(connection, number)
        if row is None:
            raise Fault(Kind.NOT_FOUND, f"there is no decision {number}", hint="troth decision list shows their ids")
        action = _action(row)
        if row.certificate_id is None:
            raise _not_by_policy(row)
        principal = _principal(connection, row.certificate_id)
    resource = row.resource.removeprefix(request_resource(action, ""))
    asked = _asked(here, principal, action, resource, row.client_id, _host(row.address), row.at)
    then = f"decided at {row.at:%Y-%m-%d %H:%M:%SZ}: {row.outcome}, {row.reason}"
    return Asked(asked.question, asked.policies, (then, "policies and things are as they are now", *asked.notes))


def _certificate(connection: Connection, wanted: Wanted) -> tuple[CertificateRow, list[str]]:
    """Return the certificate that is meant, and how it was chosen."""
    if wanted.cert is not None:
        return certificates.get_certificate(connection, wanted.cert), []
    if wanted.thing is None:
        raise Fault(Kind.MALFORMED, "say whose request it is", hint="give files, --thing T, --cert ID or --decision ID")
    things.get_thing(connection, wanted.thing)
    held = list_certificates(connection, Search(thing=wanted.thing))
    if not held:
        raise Fault(Kind.NOT_FOUND, f"thing {wanted.thing} has no certificate", hint="enroll it first")
    active = [row for row in held if row.state is CertificateState.ACTIVE]
    row = max(active or held, key=lambda row: row.created_at)
    return row, _chosen(row, active)


def _chosen(row: CertificateRow, active: Sequence[CertificateRow]) -> list[str]:
    others = f", the newest of {len(active)} in force" if len(active) > 1 else ""
    return [f"asked with certificate {row.certificate_id[:16]}{others}"]


def _principal(connection: Connection, certificate_id: str) -> Principal:
    principal = find_principal(connection, certificate_id)
    if principal is None:
        raise Fault(Kind.NOT_FOUND, f"certificate {certificate_id[:16]} is not registered")
    return principal


def _asked(
    here: Opened,
    principal: Principal,
    action: Action,
    resource: str,
    client_id: str | None,
    source_ip: str,
    at: datetime,
) -> Asked:
    row = principal.certificate
    attached = [Thing(each.name, each.type, each.attributes, each.exclusive, each.groups) for each in principal.things]
    thing = resolve_thing(attached, client_id)
    context = ConnectionContext(
        realm=here.settings.realm,
        certificate=attributes(x509.load_der_x509_certificate(row.der)),
        source_ip=source_ip,
        client_id=client_id,
        thing=thing,
        current_time=at,
        not_before=row.not_before,
        not_after=row.not_after,
        enrollment_method=row.method,
        key_protection=row.key_protection,
    )
    # They were within the bounds of the day when they were stored.
    limits = Limits(policy_chars_max=POLICY_DOCUMENT_CHARS_MAX)
    policies = [
        NamedPolicy(each.name, parse_document(each.document, limits), each.target_kind, each.target)
        for each in principal.policies
    ]
    refused = row.state is not CertificateState.ACTIVE
    notes = [f"the certificate is {row.state}: no connection is let in, whatever policies say"] if refused else []
    counting = effective(policies, row.certificate_id, thing, client_id)
    return Asked(Question("", action, resource, context), counting, (*notes, *_unknown(counting, action)))


def _unknown(policies: Sequence[NamedPolicy], action: Action) -> list[str]:
    """Return what policies read of a connection that only the connection itself could tell."""
    read_names = frozenset[str]().union(*(each.names for policy in policies for each in policy.document.statements))
    told_by_connection = _OF_CONNECTION | (CONNECT_KEYS if action is Action.CONNECT else frozenset())
    keys = [find_key(name) for name in sorted(read_names & told_by_connection)]
    names = ", ".join(key.name for key in keys if key is not None)
    return [f"not known here, and read by these policies: {names}"] if names else []


def _action(row: DecisionRow) -> Action:
    try:
        action = parse_action(row.action)
    except Fault as fault:
        raise _not_by_policy(row) from fault
    if not row.resource.startswith(request_resource(action, "")):
        raise _not_by_policy(row)
    return action


def _not_by_policy(row: DecisionRow) -> Fault:
    return Fault(Kind.UNSUPPORTED, f"decision {row.id} was made before any policy was asked: {row.reason}")


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")
