"""The one exception that the product raises on purpose, and the kinds it comes in.

Knows nothing of surfaces: how a kind is shown is a table per surface (`troth.cli.output`, `troth.protocols.problem`,
`troth.protocols.mqtt.reasons`), and a repository test holds each table to every kind.
"""

from collections.abc import Sequence
from enum import StrEnum


class Kind(StrEnum):
    """What went wrong, in a word that every surface can translate."""

    MALFORMED = "malformed"
    """The bytes or the document cannot be read."""
    UNAUTHENTICATED = "unauthenticated"
    """Who asks has not been proven."""
    FORBIDDEN = "forbidden"
    """Who asks is known and may not."""
    NOT_FOUND = "not-found"
    """What is asked for does not exist."""
    CONFLICT = "conflict"
    """It exists already, or is in a state that does not admit this."""
    REJECTED = "rejected"
    """It can be read and is refused for what it asks."""
    BAD_KEY = "bad-key"
    """A key is of the wrong kind, too weak, locked or not the one expected."""
    TOO_LARGE = "too-large"
    """A named bound of `troth.limits` is exceeded."""
    RATE_LIMITED = "rate-limited"
    """Too much, too soon; the same request may succeed later."""
    EXPIRED = "expired"
    """Its time is over, or has not come."""
    UNSUPPORTED = "unsupported"
    """A valid request for something that is not offered."""
    UNAVAILABLE = "unavailable"
    """Something that is needed does not answer; the same request may succeed later."""
    MISCONFIGURED = "misconfigured"
    """A setting, a file or a home cannot be used as it is."""


class Fault(Exception):
    """A failure that the product foresees.

    `message` is safe to show to whoever asked. `detail` is for the log only. `hint` tells a person what to do next.
    `retry_after` is in seconds, where the same request may succeed later. `parts` are the faults of the parts, where
    one request has several.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        retry_after: float | None = None,
        parts: Sequence["Fault"] = (),
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.detail = detail
        self.hint = hint
        self.retry_after = retry_after
        self.parts = tuple(parts)

    def __str__(self) -> str:
        return self.message


class PeerFault(Fault):
    """The other side sent what it must not; raised by every parser of bytes from outside, and nothing else is."""


class OurFault(Fault):
    """Our own side asked a protocol core for something that the protocol does not allow now."""


class Bug(Exception):
    """A broken invariant of our own; caught only by the outermost loop, which logs it and answers "internal error"."""
