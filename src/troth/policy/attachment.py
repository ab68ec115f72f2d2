"""Which policies count for a connection: those of its certificate, of its thing and of its thing's groups.

Knows nothing of what they say. AWS IoT developer guide, "AWS IoT Core policies" and "Static thing groups".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from troth.policy.context import Thing
from troth.policy.statement import Document


class TargetKind(StrEnum):
    """What a policy is attached to. A thing is Troth's own addition: its policies outlive each of its certificates."""

    CERTIFICATE = "certificate"
    THING = "thing"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A document under its name, and what it is attached to."""

    name: str
    document: Document
    target_kind: TargetKind = TargetKind.CERTIFICATE
    target: str = ""
    """The certificate's id, or the name of the thing or group."""


def effective(
    attached: Iterable[NamedPolicy], certificate_id: str, thing: Thing | None, client_id: str | None
) -> tuple[NamedPolicy, ...]:
    """Return those policies that count for a connection of `thing`, as `resolve_thing` found it; order is kept.

    Those of the certificate always; those of the thing whenever the connection is that thing; those of its groups
    only where the client id is the thing's name, as on AWS.
    """
    groups = thing.groups if thing is not None and thing.name == client_id else frozenset()
    targets = {(TargetKind.CERTIFICATE, certificate_id), *((TargetKind.GROUP, group) for group in groups)}
    if thing is not None:
        targets.add((TargetKind.THING, thing.name))
    return tuple(policy for policy in attached if (policy.target_kind, policy.target) in targets)
