"""What each entry of the journal touches, of all that a connection stands on: one table of every kind there is.

A kind that is not in it, of a newer version perhaps, touches all that it names: too many are decided again, and none
too few. Knows no connections.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from troth.gateway.refusal import Reason
from troth.journal.record import Entry
from troth.registry.states import (
    CERTIFICATE_DEACTIVATED,
    CERTIFICATE_HELD,
    CERTIFICATE_REVOKED,
    CERTIFICATE_SUPERSEDED,
)

Key = tuple[str, str]
"""What an entry of the journal can touch: a noun and its name, such as ``("thing", "lamp-1")``."""

Touch = Callable[[Entry], Iterable[Key]]


def _nothing(_: Entry) -> Iterable[Key]:
    return ()


def _its(noun: str) -> Touch:
    """Return what names the entry's subject."""
    return lambda entry: ((noun, entry.subject),)


def _target(entry: Entry) -> Iterable[Key]:
    """Whoever else has the policy is not touched."""
    return ((str(entry.data["target_kind"]), str(entry.data["target"])),)


def _thing_of(entry: Entry) -> Iterable[Key]:
    return (("thing", str(entry.data["thing"])),)


def _pruned(entry: Entry) -> Iterable[Key]:
    identities = entry.data["certificate_ids"]
    assert isinstance(identities, list)
    return (("certificate", str(each)) for each in identities)


TOUCHES: Final[Mapping[str, Touch]] = MappingProxyType(
    {
        # Of certificates there is none yet, or nobody can have come with it.
        "certificate.intended": _nothing,
        "certificate.refused": _nothing,
        "certificate.issued": _nothing,
        "certificate.registered": _nothing,
        "certificate.activated": _its("certificate"),
        "certificate.assigned": _its("certificate"),
        "certificate.deactivated": _its("certificate"),
        "certificate.held": _its("certificate"),
        "certificate.released": _its("certificate"),
        "certificate.revoked": _its("certificate"),
        "certificate.superseded": _its("certificate"),
        "certificates.pruned": _pruned,
        # The other certificates of the thing stay what they are.
        "principal.attached": _its("certificate"),
        "principal.detached": _its("certificate"),
        "thing.updated": _its("thing"),
        # One that is new has neither certificates nor policies; whom it is bound to is a question of enrollment.
        "thing.created": _nothing,
        "thing.bound": _nothing,
        "thing.barred": _nothing,
        "thing.readmitted": _nothing,
        "type.created": _nothing,
        # Who is in a group is decided anew alone; what a group loses when it ends, all who were in it lose.
        "group.member-added": _thing_of,
        "group.member-removed": _thing_of,
        "group.deleted": _its("group"),
        "group.created": _nothing,
        "group.updated": _nothing,
        # One that is new is attached to nothing.
        "policy.created": _nothing,
        "policy.updated": _its("policy"),
        "policy.deleted": _its("policy"),
        "policy.attached": _target,
        "policy.detached": _target,
        # Whose certificates are taken.
        "issuer.created": _its("issuer"),
        "issuer.activated": _its("issuer"),
        "issuer.retired": _its("issuer"),
        "issuer.revoked": _its("issuer"),
        "foreign-issuer.registered": _its("issuer"),
        "foreign-issuer.activated": _its("issuer"),
        "foreign-issuer.deactivated": _its("issuer"),
        "foreign-issuer.revoked": _its("issuer"),
        # What it has signed stays in force.
        "issuer.superseded": _nothing,
        "issuer.requested": _nothing,
        "issuer.crossed": _nothing,
        "foreign-issuer.crl-replaced": _nothing,
        "foreign-issuer.updated": _nothing,
        "registration-code.made": _nothing,
        "trust.told": _nothing,
        "trust.held": _nothing,
        # Sessions are ended by it, and nothing that they stand on is changed (`troth.gateway.control`).
        "session.kicked": _nothing,
        # How one gets a certificate, and what is told of them.
        "crl.intended": _nothing,
        "crl.published": _nothing,
        "enrollment-counts.pruned": _nothing,
        "enrollment.created": _nothing,
        "enrollment.deleted": _nothing,
        "enrollment.updated": _nothing,
        "intents.pruned": _nothing,
        "key.blocked": _nothing,
        "ownership.created": _nothing,
        "ownership.ended": _nothing,
        "ownership.spent": _nothing,
        "profile.applied": _nothing,
        "profile.deleted": _nothing,
        "renewal.ended": _nothing,
        "renewal.postponed": _nothing,
        "renewals.pruned": _nothing,
        "request.approved": _nothing,
        "request.denied": _nothing,
        "request.fetched": _nothing,
        "request.filed": _nothing,
        "requests.pruned": _nothing,
        "template.created": _nothing,
        "template.deleted": _nothing,
        "template.updated": _nothing,
        "token.created": _nothing,
        "token.revoked": _nothing,
        "token.spent": _nothing,
        "tokens.created": _nothing,
        "tokens.pruned": _nothing,
        "home.initialised": _nothing,
        "home.renewed": _nothing,
    }
)

ENDINGS: Final[Mapping[str, Reason]] = MappingProxyType(
    {
        CERTIFICATE_REVOKED: Reason.CERTIFICATE_REVOKED,
        CERTIFICATE_DEACTIVATED: Reason.CERTIFICATE_INACTIVE,
        CERTIFICATE_HELD: Reason.CERTIFICATE_INACTIVE,
        CERTIFICATE_SUPERSEDED: Reason.CERTIFICATE_INACTIVE,
        "issuer.retired": Reason.WRONG_ISSUER,
        "issuer.revoked": Reason.WRONG_ISSUER,
        "foreign-issuer.revoked": Reason.WRONG_ISSUER,
    }
)
"""What ends the connections that it touches without a look at anything else, and why."""


def touched_by(entry: Entry) -> Iterable[Key]:
    """Return what an entry changes, of all that a principal is made of."""
    return TOUCHES.get(entry.kind, _all_it_names)(entry)


_NAMING: Final = {
    "certificate_id": "certificate",
    "thing": "thing",
    "policy": "policy",
    "group": "group",
    "issuer_id": "issuer",
}


def _all_it_names(entry: Entry) -> Iterator[Key]:
    yield entry.kind.partition(".")[0], entry.subject
    for field, noun in _NAMING.items():
        if entry.data.get(field) is not None:
            yield noun, str(entry.data[field])
