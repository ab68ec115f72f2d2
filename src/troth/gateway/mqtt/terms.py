"""On what terms a worker serves its devices: what is the same for every connection, and changes nothing of policy."""

from dataclasses import dataclass

from troth.clock import Clock
from troth.gateway.mqtt.names import Names
from troth.limits import Limits


@dataclass(frozen=True, slots=True)
class Terms:
    """Settings of the MQTT door."""

    names: Names
    limits: Limits
    clock: Clock
    drops_denied: bool = False
    """A PUBLISH that is denied is dropped and counted; otherwise, where it has no answer, it ends the connection."""
    envelopes: bool = False
    """What only MQTT 5 can say goes to the broker in an envelope around the payload; otherwise it is refused."""
    aws: bool = False
    """The protocol is AWS IoT's with its departures, not the standard's."""
