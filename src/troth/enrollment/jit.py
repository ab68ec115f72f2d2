"""A device with a certificate of a registered customer CA connects for the first time: it is registered on sight.

Without a template its certificate waits for an operator (AWS: JITR); with one it becomes a thing at once (AWS: JITP).
The CA must have signed it itself. AWS IoT developer guide, "Just-in-time registration" and "Just-in-time provisioning".
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import Connection

from troth.clock import Clock
from troth.enrollment.limits import HOUR, count_each
from troth.enrollment.newcomers import bind, find_binding, require_own
from troth.enrollment.proofs.claim import not_proven
from troth.enrollment.proofs.foreign import issuer_of
from troth.enrollment.template_apply import apply_plan
from troth.enrollment.template_plan import plan
from troth.enrollment.template_resources import CERTIFICATE_ID, TemplateType
from troth.enrollment.template_values import PSEUDO
from troth.enrollment.templates import TemplateRow, find_template, get_template
from troth.errors import Fault, Kind, PeerFault
from troth.journal.change import Change, change
from troth.limits import (
    FIRST_CONNECTIONS_PER_ADDRESS_PER_HOUR_MAX,
    FIRST_CONNECTIONS_PER_CA_PER_HOUR_MAX,
    PENDING_PER_CA_MAX,
    Limits,
)
from troth.points import Point, reached
from troth.registry.certificates import CertificateRow, CertificateState, find_certificate, get_certificate
from troth.registry.foreign_certificates import is_waiting_full, register_certificate
from troth.registry.foreign_issuers import (
    ForeignIssuer,
    ForeignPurpose,
    ForeignState,
    list_foreign_issuers,
    set_registration,
)
from troth.registry.keys_seen import find_key, key_digest, other_things_key
from troth.registry.things import find_thing
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.certificates import attributes, certificate_id, parse_certificate
from troth.x509.public_keys import read_subject_key

REGISTERED: Final = "jitr"
PROVISIONED: Final = "jitp"
"""The methods of such certificates, as policies can ask for them."""

_NAMES: Final[Mapping[str, x509.ObjectIdentifier]] = {
    "Country": NameOID.COUNTRY_NAME,
    "Organization": NameOID.ORGANIZATION_NAME,
    "OrganizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "DistinguishedNameQualifier": NameOID.DN_QUALIFIER,
    "StateName": NameOID.STATE_OR_PROVINCE_NAME,
    "CommonName": NameOID.COMMON_NAME,
    "SerialNumber": NameOID.SERIAL_NUMBER,
}


@dataclass(frozen=True, slots=True)
class FirstMet:
    """What a first connection has come to."""

    certificate: CertificateRow
    thing: str | None
    """The thing that it is now; None while its certificate waits for an operator."""


def set_first_connections(change: Change, ca: str, *, registers: bool, template: str | None) -> ForeignIssuer:
    """Say whether certificates of a customer's CA are registered on first connection, and by which template, if any.

    Raises `Fault`: not found (the CA, the template); rejected for a maker's CA, and for a template of another type.
    """
    if template is not None and get_template(change.connection, template).type is not TemplateType.JITP:
        hint = "make one that is: troth template create NAME FILE --type jitp"
        raise Fault(Kind.REJECTED, f"template {template!r} is not for first connections", hint=hint)
    return set_registration(change, ca, registers=registers, template=template)


def meet(db: Database, clock: Clock, limits: Limits, leaf: x509.Certificate, address: str) -> FirstMet:
    """Register the certificate of a peer whose key TLS has proven held, and make it a thing if its CA says so. Blocks.

    One that is registered already is returned as it is. Raises `Fault`, and then nothing has been registered:
    unauthenticated when no CA says that it may; bad key for a kind that is not taken, one that is blocked or another
    thing's; rate limited; rejected, malformed, conflict, not found and too large for what its template comes to.
    """
    identity = certificate_id(leaf)
    with read(db) as connection:
        met = _met(connection, identity)
        if met is not None:
            return met
        # Who may not come must not queue with those who write.
        _registrar(connection, leaf, clock.now())
    try:
        return _meet(db, clock, limits, leaf, address)
    except Fault as fault:
        # On PostgreSQL changes run side by side: another connection of the same device may have been the first.
        with read(db) as connection:
            met = _met(connection, identity) if fault.kind is Kind.CONFLICT else None
        if met is None:
            raise
        return met


def _met(connection: Connection, identity: str) -> FirstMet | None:
    there = find_certificate(connection, identity)
    return None if there is None else FirstMet(there, there.thing)


def _meet(db: Database, clock: Clock, limits: Limits, leaf: x509.Certificate, address: str) -> FirstMet:
    identity = certificate_id(leaf)
    with change(db, clock, f"certificate:{identity}", why="first connection") as changing:
        met = _met(changing.connection, identity)
        if met is not None:
            return met
        issuer = _registrar(changing.connection, leaf, changing.at)
        _require_good(leaf)
        count_each(
            changing,
            {
                ("first-ca", issuer.issuer_id): (FIRST_CONNECTIONS_PER_CA_PER_HOUR_MAX, HOUR),
                ("first-address", address[:200]): (FIRST_CONNECTIONS_PER_ADDRESS_PER_HOUR_MAX, HOUR),
            },
        )
        if issuer.template is None:
            met = _register(changing, leaf, issuer)
        else:
            met = _provision(changing, leaf, issuer, issuer.template, limits)
        reached(Point.MET)
    return met


def subject_parameters(leaf: x509.Certificate) -> dict[str, str]:
    """Return what a template may make of a certificate: each part of its subject that it has exactly once."""
    found = {CERTIFICATE_ID: certificate_id(leaf)}
    for name, kind in _NAMES.items():
        values = leaf.subject.get_attributes_for_oid(kind)
        if len(values) == 1 and isinstance(values[0].value, str):
            found[PSEUDO + name] = values[0].value
    return found


def _registrar(connection: Connection, leaf: x509.Certificate, at: datetime) -> ForeignIssuer:
    """Return the CA that has issued `leaf` and has such certificates registered."""
    issuers = [
        each
        for each in list_foreign_issuers(connection, ForeignPurpose.CUSTOMER)
        if each.state is ForeignState.ACTIVE and each.registers
    ]
    try:
        return issuer_of(leaf, (), issuers, at)
    except PeerFault as fault:
        raise not_proven(f"no CA has its devices registered that has issued it: {fault.message}") from fault


def _require_good(leaf: x509.Certificate) -> None:
    """Return if a certificate can be anybody's here: bounded, read whole, of a kind of key that is taken."""
    parse_certificate(leaf.public_bytes(Encoding.DER))
    # What policies say of it would otherwise be found unreadable at each of its connections.
    attributes(leaf)
    read_subject_key(_key(leaf))


def _key(leaf: x509.Certificate) -> bytes:
    return leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _register(change: Change, leaf: x509.Certificate, issuer: ForeignIssuer) -> FirstMet:
    seen = find_key(change.connection, key_digest(_key(leaf)))
    if seen is not None:
        raise other_things_key(seen)
    if is_waiting_full(change.connection, issuer.issuer_id, PENDING_PER_CA_MAX):
        raise Fault(Kind.RATE_LIMITED, f"too many certificates of CA {issuer.name!r} wait to be activated")
    return FirstMet(register_certificate(change, leaf, issuer_id=issuer.issuer_id, method=REGISTERED), None)


def _provision(change: Change, leaf: x509.Certificate, issuer: ForeignIssuer, name: str, limits: Limits) -> FirstMet:
    template = find_template(change.connection, name)
    if template is None or template.type is not TemplateType.JITP or not template.options.enabled:
        detail = f"template {name!r} of CA {issuer.name!r} is not there, not enabled or not for first connections"
        raise Fault(Kind.REJECTED, "nothing can be made of this certificate", detail=detail)
    planned = plan(template.template, {}, subject_parameters(leaf))
    thing, credential = planned.thing.name, _credential(leaf, issuer)
    _require_free(change, thing, credential, template)
    row = register_certificate(change, leaf, issuer_id=issuer.issuer_id, method=PROVISIONED)
    profile = template.options.profile
    apply_plan(change, planned, row.certificate_id, profile=profile, again=True, limits=limits)
    bind(change, thing, credential)
    return FirstMet(get_certificate(change.connection, row.certificate_id), thing)


def _require_free(change: Change, thing: str, credential: str, template: TemplateRow) -> None:
    """Return if a thing may be this device's: there is none yet, it is the very one, or its template takes any."""
    if template.options.again or find_thing(change.connection, thing) is None:
        return
    bound = find_binding(change.connection, thing, lock=True)
    if bound is None:
        detail = f"thing {thing!r} exists, and template {template.name!r} hands no existing thing to a newcomer"
        hint = "let the next one in: troth enrollment readmit THING; or any: troth template update NAME --again"
        raise Fault(Kind.CONFLICT, "the thing is somebody else's", detail=detail, hint=hint)
    require_own(change.connection, thing, bound, credential)


def _credential(leaf: x509.Certificate, issuer: ForeignIssuer) -> str:
    """Return what alone may be the thing from now on: a certificate of this CA with this subject."""
    subject = hashlib.sha256(leaf.subject.public_bytes()).hexdigest()
    return f"customer-ca:{issuer.issuer_id}:{subject}"


def waits(row: CertificateRow) -> bool:
    """Say whether a certificate waits for an operator after its device's first connection."""
    return row.state is CertificateState.PENDING_ACTIVATION and row.method == REGISTERED
