"""Make what a template's plan says, all of it in the caller's one change: thing, certificate, policies.

Policies are attached to the thing, so that they outlive the certificate. What exists is overridden as the plan says.
"""

from collections.abc import Collection, Mapping

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from troth.enrollment.newcomers import bind, find_binding
from troth.enrollment.template_plan import CertificatePlan, Plan, ThingPlan
from troth.enrollment.template_resources import Override
from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.limits import DEFAULT, Limits
from troth.registry import states
from troth.registry.assigning import assign
from troth.registry.attachments import attach_principal, list_things_of
from troth.registry.certificates import CertificateRow, CertificateState, lock_certificate
from troth.registry.groups import list_groups_of, put_into
from troth.registry.inventory import Search, all_certificates
from troth.registry.keys_seen import key_digest, take_keys
from troth.registry.policies import attach_policy, create_policy
from troth.registry.things import Thing, create_thing, find_thing, lock_thing, update_thing
from troth.x509.certificates import parse_certificate


def apply_plan(
    change: Change, plan: Plan, certificate_id: str | None, *, profile: str, again: bool, limits: Limits = DEFAULT
) -> Thing:
    """Make the thing with its policies, and the certificate with this whole id its own. Return the thing.

    `again` says that a thing which has had a certificate may be given another; one that was withdrawn is given none
    until it is readmitted. Raises `Fault`: conflict for what exists and may not be overridden, for a thing that has had
    a certificate, and for a certificate that has a thing; bad key for one that is another thing's; not found, malformed
    and too large as the registry does.
    """
    thing = _thing(change, plan.thing)
    if certificate_id is not None and plan.certificate is not None:
        require_free(change, thing.name, {certificate_id}, f"certificate:{certificate_id}", again=again)
        _certificate(change, plan.certificate, thing.name, certificate_id, profile)
    for policy in plan.policies:
        if policy.document is not None:
            create_policy(change, policy.name, policy.document, limits)
        attach_policy(change, policy.name, thing=thing.name)
    return thing


def _thing(change: Change, wanted: ThingPlan) -> Thing:
    if find_thing(change.connection, wanted.name) is None:
        made = create_thing(change, wanted.name, wanted.type, wanted.attributes)
        put_into(change, wanted.name, wanted.groups)
        return made
    there = lock_thing(change, wanted.name)
    _groups(change, wanted)
    type = wanted.type if _replaces(wanted.on_type, there.type, wanted.type, "type") else there.type
    attributes: Mapping[str, str] = there.attributes
    if wanted.on_attributes is Override.MERGE:
        attributes = {**attributes, **wanted.attributes}
    elif _replaces(wanted.on_attributes, attributes, wanted.attributes, "attributes"):
        attributes = wanted.attributes
    return update_thing(change, wanted.name, type, attributes)


def _groups(change: Change, wanted: ThingPlan) -> None:
    """Put a thing that exists into groups, or leave it where it is, as the plan says."""
    held = list_groups_of(change.connection, wanted.name)
    if wanted.on_groups is Override.MERGE:
        put_into(change, wanted.name, [*held, *wanted.groups])
    elif _replaces(wanted.on_groups, set(held), set(wanted.groups), "groups"):
        put_into(change, wanted.name, wanted.groups)


def _replaces(override: Override, there: object, wanted: object, what: str) -> bool:
    """Say whether what is wanted goes in the place of what is there."""
    if there != wanted and override is Override.FAIL:
        raise Fault(Kind.CONFLICT, f"it exists with another {what}", hint="the template says FAIL")
    return override is Override.REPLACE


def require_free(change: Change, thing: str, besides: Collection[str], credential: str, *, again: bool) -> None:
    """Return if a thing may be given a certificate beside those with these ids.

    `credential` names who gets it, where an operator has let in one. Raises `Fault` (conflict).
    """
    bound = find_binding(change.connection, thing, lock=True)
    if bound is not None and bound.is_barred:
        hint = "let it in again: troth enrollment readmit THING"
        raise Fault(Kind.CONFLICT, f"thing {thing!r} has been withdrawn", hint=hint)
    if bound is not None and bound.is_open:
        # An operator has let one in, and no second.
        bind(change, thing, credential)
    elif not again and _was_enrolled(change, thing, besides):
        hint = "let the template say so: troth template update NAME --again"
        raise Fault(Kind.CONFLICT, f"thing {thing!r} has had a certificate", hint=hint)


def _was_enrolled(change: Change, thing: str, besides: Collection[str]) -> bool:
    """Say whether a thing has had a certificate, in force or not, besides those with these ids.

    One that was revoked counts: who stole a device holds its claim certificate too, and must not come back with it.
    """
    held = all_certificates(change.connection, Search(thing=thing))
    return any(row.certificate_id not in besides for row in held)


def _certificate(change: Change, wanted: CertificatePlan, thing: str, certificate_id: str, profile: str) -> None:
    row = lock_certificate(change, certificate_id)
    if row.thing is None:
        key = parse_certificate(row.der).public_key()
        digest = key_digest(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        (fault,) = take_keys(change, [(digest, thing)])
        if fault is not None:
            raise fault
        assign(change, certificate_id, thing, profile)
    if thing not in {each.thing for each in list_things_of(change.connection, certificate_id)}:
        attach_principal(change, thing, certificate_id, wanted.exclusive)
    if _sets_state(row, wanted):
        (states.activate if wanted.active else states.deactivate)(change, certificate_id)


def _sets_state(row: CertificateRow, wanted: CertificatePlan) -> bool:
    if row.state is CertificateState.PENDING_ACTIVATION:
        # Its state has never been anybody's decision.
        return True
    state = CertificateState.ACTIVE if wanted.active else CertificateState.INACTIVE
    return _replaces(wanted.on_status, row.state, state, "status")
