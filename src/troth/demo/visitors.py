"""Whoever comes to a door: connects with what it has, does what it came for, and says what it was told.

Honest or not, everybody uses the same few lines: only what they bring and what they ask for differs.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509

from troth.clock import Clock
from troth.demo.cases import LET_IN
from troth.demo.policies import WHAT_DEVICES_SAY
from troth.device.connack import Refused
from troth.device.connection import ConnectionFault, dial
from troth.device.endpoint import Address
from troth.device.mqtt import Client
from troth.device.slots import Slot
from troth.device.waiting import Wait
from troth.errors import Fault, Kind
from troth.keys.randomness import random_id
from troth.protocols.mqtt import SUBSCRIPTION_REFUSED, Connect, Publish, Will

KEEP_ALIVE_S: Final = 60
PATIENCE_S: Final = 10.0
"""How long to wait for what must come."""
HOME: Final = "home"

Errand = Callable[[Client], str]
"""What a visitor does once it is connected; it returns what it was told, `LET_IN` when it got what it wanted."""


@dataclass(frozen=True, slots=True)
class Door:
    """An MQTT door, and whom its visitors trust to be behind it."""

    address: Address
    server_name: str
    root: x509.Certificate


@dataclass(frozen=True, slots=True)
class Told:
    """How a visit ended, as the visitor saw it."""

    address: str
    """The visitor's own ``host:port``; empty when the handshake did not end."""
    word: str
    """`LET_IN`; ``alert:NAME``, ``CONNACK N`` or ``SUBACK 0xNN`` for what the server answered; else how it ended."""
    detail: str = ""

    def report(self) -> dict[str, str]:
        """Return it as evidence."""
        return {"address": self.address, "told": self.word, "detail": self.detail}


def visit(
    door: Door,
    own: Slot | None,
    client_id: str,
    clock: Clock,
    errand: Errand,
    *,
    will: Will | None = None,
    judge: Clock | None = None,
) -> Told:
    """Connect to `door` with the key and certificate in `own`, as `client_id`, and do `errand`.

    With a `judge` the server is judged by the time that this tells, and not by this machine's. Raises `Fault` only for
    what is neither a refusal nor an end of the connection.
    """
    try:
        connection = dial(door.address, door.server_name, (door.root,), own, judge=judge)
    except ConnectionFault as fault:
        return Told("", fault.refusal.word, fault.refusal.detail)
    except Fault as fault:
        if fault.kind is not Kind.EXPIRED:
            raise
        return Told("", fault.kind.value, fault.detail or "")
    client = Client(connection, clock, address=door.address)
    host, port = client.local_address
    address = f"{host}:{port}"
    try:
        client.open(Connect(client_id, keep_alive_s=KEEP_ALIVE_S, will=will))
        word = errand(client)
        client.disconnect()
    except Refused as refused:
        return Told(address, f"CONNACK {refused.code:d}", refused.message)
    except ConnectionFault as fault:
        return Told(address, fault.refusal.word, fault.refusal.detail)
    finally:
        client.close()
    return Told(address, word)


def nonce() -> str:
    """Return a word that nobody has said before."""
    return random_id()


def message(word: str) -> bytes:
    """Return a reading with `word` in it, by which it is known when it arrives."""
    return json.dumps({"celsius": 21.5, "nonce": word}).encode()


def publishes(topic: str, word: str) -> Errand:
    """Send a message with `word` in it; let in when the gateway has taken it over."""

    def errand(client: Client) -> str:
        client.publish(topic, message(word), qos=1)
        return LET_IN

    return errand


def subscribes(*filters: str, then: Errand | None = None) -> Errand:
    """Subscribe to `filters`; when all of them are granted, go on with `then`."""

    def errand(client: Client) -> str:
        codes = client.subscribe(filters)
        if SUBSCRIPTION_REFUSED in codes:
            return ", ".join(f"SUBACK 0x{code:02x}" for code in codes)
        return then(client) if then is not None else LET_IN

    return errand


def dies(client: Client) -> str:
    """Go without a word, so that the will is published."""
    client.close()
    return LET_IN


class HomeService:
    """The home service: subscribed to every reading and status, for as long as `client` is connected."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._heard: list[Publish] = []

    def subscribe(self) -> None:
        """Subscribe to what all devices say. Raises `Fault`."""
        codes = self._client.subscribe([f"{HOME}/+/{each}" for each in WHAT_DEVICES_SAY])
        if SUBSCRIPTION_REFUSED in codes:
            raise Fault(Kind.FORBIDDEN, "the home service may not subscribe to what devices say")

    def hears(self, word: str) -> Publish | None:
        """Return the message with `word` in it, waiting for it; None when it does not come. Raises `Fault`."""
        wait = Wait(self._clock, PATIENCE_S)
        while (found := self.heard(word)) is None:
            came = self._client.receive(wait.left_s())
            if came is None:
                return None
            self._heard.append(came)
        return found

    def heard(self, word: str) -> Publish | None:
        """Return the message with `word` in it if it has come."""
        return next((each for each in self._heard if word.encode() in each.payload), None)

    def count(self, word: str) -> int:
        """Return how many messages with `word` in them have come."""
        return sum(word.encode() in each.payload for each in self._heard)

    def has_in_order(self, words: Sequence[str]) -> bool:
        """Say whether messages with these words came one behind the other, whatever came twice."""
        came = [word for each in self._heard for word in words if word.encode() in each.payload]
        return list(dict.fromkeys(came)) == list(words)

    def tell(self, topic: str, word: str) -> None:
        """Send a message with `word` in it. Raises `Fault`."""
        self._client.publish(topic, message(word), qos=1)

    def leave(self) -> None:
        """Take leave."""
        self._client.disconnect()


def described(came: Publish | None) -> dict[str, Any] | None:
    """Return a message that came as evidence."""
    return None if came is None else {"topic": came.topic, "payload": came.payload.decode(errors="replace")}
