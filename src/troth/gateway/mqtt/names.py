"""Names on their way to the broker: what policy saw must be what the broker does.

Client ids are mapped so that two owners never meet in one upstream session. Topics and filters go through as they are,
or not at all: one that the broker would read in another way is refused. Knows no policy.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from troth.errors import PeerFault
from troth.limits import DEFAULT, NATS_TOPIC_BYTES_MAX
from troth.protocols.mqtt import split_share


class Flavour(StrEnum):
    """What kind of broker stands upstream."""

    MQTT = "mqtt"
    """Any broker that reads topics as the standard does."""
    NATS = "nats"
    """A NATS server, which turns topics into subjects of its own."""


class NameProblem(StrEnum):
    """Why a topic or a filter does not go upstream, in a word for the log."""

    TOO_LONG = "topic-too-long"
    TOO_DEEP = "topic-too-deep"
    """It has more levels than are passed on."""
    RESERVED = "topic-reserved"
    """Its first level begins with ``$`` and is not ``$aws``: there brokers keep their own switches and messages. Or it
    is, or reaches, what the gateway itself answers."""
    NOT_CARRIED = "topic-not-carried"
    """It holds a character that the broker would read as something else, or not take at all."""
    SHARED = "shared-subscription"
    """A shared subscription that the broker does not offer, or that is not well formed."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a client id and its session are: the thing's if the certificate resolved to one, else the certificate's."""

    kind: Literal["thing", "certificate"]
    name: str


def upstream_client_id(owner: Owner, client_id: str) -> str:
    """Return the client id that the broker sees: 64 hex digits, another for every pair of owner and client id.

    Each part goes into the hash with its length before it, so that no two pairs can be joined into the same bytes.
    """
    digest = hashlib.sha256()
    for part in (owner.kind, owner.name, client_id):
        raw = part.encode()
        digest.update(len(raw).to_bytes(4) + raw)
    return digest.hexdigest()


ASSIGNED: Final = "troth-"
"""How a client id begins that the gateway gives to a device without one."""

_PASSED: Final = "$aws"
OWN: Final = ("$aws/certificates/", "$aws/provisioning-templates/")
"""How topics begin that the gateway itself answers: they have no place at the broker."""
EVENTS: Final = "$aws/events/"
"""How topics begin on which the gateway itself publishes: others may subscribe there, and nobody else speaks."""
_OWN_LEVELS: Final = frozenset({"certificates", "provisioning-templates", "+", "#"})
_SHARE: Final = "$share/"

# What "should not" be in a text (section 1.5.3): control characters and code points that are no characters. A broker
# may close the connection for them, and Mosquitto does.
_NO_TEXT: Final = frozenset(
    chr(code)
    for code in (
        *range(0x20),
        *range(0x7F, 0xA0),
        *range(0xFDD0, 0xFDF0),
        *(plane << 16 | last for plane in range(17) for last in (0xFFFE, 0xFFFF)),
    )
)
# NATS takes these for wildcards, or for the end of a word of its protocol: it closes the connection for a space, and
# quietly matches too much for the others.
_NATS_MEANS: Final = frozenset("*> ")
# First words of subjects on which NATS servers and clients answer each other.
_NATS_OWN: Final = frozenset({"_INBOX", "_R_", "_GR_"})


class Names:
    """Judges topics and filters for one upstream. `bytes_max` bounds either, in UTF-8, and `levels_max` its levels.

    The share and group of a shared subscription are no levels, as on AWS.
    """

    __slots__ = ("_bytes_max", "_flavour", "_slashes_max")

    def __init__(self, flavour: Flavour, bytes_max: int, levels_max: int = DEFAULT.topic_levels_max) -> None:
        self._flavour = flavour
        self._bytes_max = min(bytes_max, NATS_TOPIC_BYTES_MAX) if flavour is Flavour.NATS else bytes_max
        self._slashes_max = levels_max - 1

    def topic_problem(self, topic: str) -> NameProblem | None:
        """Return what keeps a device's well-formed topic name from going upstream; None when nothing does."""
        # A filter that ends in `#` matches the level above it, too.
        if topic.startswith(EVENTS) or topic == EVENTS[:-1]:
            return NameProblem.RESERVED
        return self._problem(topic)

    def filter_problem(self, topic_filter: str) -> NameProblem | None:
        """Return what keeps a well-formed topic filter from going upstream; None when nothing does.

        A first level that is a wildcard does not match what is reserved [MQTT-4.7.2-1]; brokers hold to that.
        """
        if topic_filter.startswith(_SHARE) and not self._is_too_long(topic_filter):
            return self._shared_problem(topic_filter)
        return self._problem(topic_filter)

    def leaves_some(self, topic_filter: str) -> bool:
        """Say whether the broker goes on with a part of a filter that is given back, until the connection ends.

        NATS makes two subscriptions of ``a/#``, the other one of ``a``, and ends the first.
        """
        return self._flavour is Flavour.NATS and topic_filter.endswith("/#")

    def _shared_problem(self, topic_filter: str) -> NameProblem | None:
        if self._flavour is Flavour.NATS:
            # It grants them and never delivers a message.
            return NameProblem.SHARED
        try:
            _, shared = split_share(topic_filter)
        except PeerFault:
            return NameProblem.SHARED
        # Whoever reaches behind the share must not find there what is closed in front of it.
        return self._problem(shared)

    def _problem(self, name: str) -> NameProblem | None:
        if self._is_too_long(name):
            return NameProblem.TOO_LONG
        if name.count("/") > self._slashes_max:
            return NameProblem.TOO_DEEP
        first = name.partition("/")[0]
        if first.startswith("$") and first != _PASSED:
            return NameProblem.RESERVED
        # A filter that reaches over them would let a neighbour listen, and the broker speak in the gateway's name.
        if first == _PASSED and name[len(_PASSED) + 1 :].partition("/")[0] in _OWN_LEVELS:
            return NameProblem.RESERVED
        if not _NO_TEXT.isdisjoint(name):
            return NameProblem.NOT_CARRIED
        if self._flavour is Flavour.NATS:
            if not _NATS_MEANS.isdisjoint(name):
                return NameProblem.NOT_CARRIED
            if first in _NATS_OWN:
                return NameProblem.RESERVED
        return None

    def _is_too_long(self, name: str) -> bool:
        # A character takes four bytes at most, so that most names need no second look.
        return len(name) * 4 > self._bytes_max and len(name.encode()) > self._bytes_max
