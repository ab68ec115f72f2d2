"""What every way of proving one's identity offers to the flow, and what it has proven."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from cryptography import x509
from sqlalchemy import Connection

from troth.enrollment.definitions import Definition
from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.x509.requests import Request


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A thing that is made when it enrolls, if there is none of its name; what is said of it, and what it may do."""

    type: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    policies: tuple[str, ...] = ()
    creates: bool = True
    """False: only its binding is kept; the thing must exist."""
    bound_to: str | None = None
    """What alone may enroll it from now on; None: nothing new."""


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's word that is still needed. Everything else has been proven."""

    enrollment: str
    request_id: str | None
    """The request that waits; None when there is none yet."""
    lifetime: timedelta
    """How long it may wait, and how long what was approved may be fetched."""
    retry_after: float
    address: str = ""
    """Where the request comes from."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Who has asked, how that was proven, and what it may have. Goes into the intent as it is."""

    method: str
    """The way's name: ``token``."""
    thing: str
    profile: str
    evidence: Mapping[str, object]
    """What an auditor can follow: JSON values, nothing secret."""
    intent_id: str | None
    """The intent that this proof, with this very request, has led to before; None when it has led to none."""
    alternative_names: tuple[str, ...] = ()
    """What the certificate is to name beside the thing; what the request asks for decides nothing."""
    newcomer: Newcomer | None = None
    """What is to be done about the thing before it gets a certificate."""
    approval: Approval | None = None
    """What is still missing; nothing is issued meanwhile."""
    subject: x509.Name | None = None
    """What the request may be named, beside the thing's own name: the subject of the certificate that is renewed, which
    was no thing's when it was issued."""
    definition: Definition | None = None
    """The enrollment that this is proven to, as it stood, whose bounds count; None for a renewal."""
    address: str = ""
    """Where it was shown; empty where that is not known."""


class Claim(Protocol):
    """Something shown by one who asks: not yet believed."""

    def prove(self, connection: Connection, at: datetime, request: Request, *, lock: bool = False) -> Proof:
        """Return what is proven at the time `at` for `request`.

        With `lock`, in a change, it stays true until the commit. Raises `Fault` (unauthenticated), the same for every
        reason, the true one in its detail: `not_proven`.
        """
        ...

    def spend(self, change: Change, proof: Proof, intent_id: str) -> None:
        """Use the proof up for an intent, in the change in which it was proven with `lock`."""
        ...


_MESSAGE: Final = "the thing's name and what was shown for it do not go together, or no longer"


def not_proven(reason: str) -> Fault:
    """Return the one refusal of all claims; `reason` is for the log alone."""
    return Fault(
        Kind.UNAUTHENTICATED, _MESSAGE, detail=reason, hint="ask the operator for a new token: troth token create"
    )
