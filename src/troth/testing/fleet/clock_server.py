"""Somebody elsewhere who tells the time: a Roughtime server as RFC 10049 has it, with a key that devices know."""

from datetime import timedelta
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from troth.clock import Clock
from troth.gateway.time import RADIUS_S
from troth.keys.file import generate
from troth.protocols.roughtime.request import parse_request
from troth.protocols.roughtime.response import delegate, respond
from troth.protocols.roughtime.servers import TimeServer
from troth.x509.algorithms import KeyAlgorithm

_DAY: Final = timedelta(days=1)


class ClockServer:
    """Tells the time of the story."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._key = clock, generate(KeyAlgorithm.ED25519)
        self._public = cast("Ed25519PublicKey", self._key.public_key).public_bytes_raw()
        self.listed = TimeServer("clock", self._public, "clock.example:2002")
        """How devices know it."""

    def answer(self, question: bytes) -> bytes:
        """Return the answer to a question."""
        now = self._clock.now()
        certificate = delegate(self._key.sign, self._public, now - _DAY, now + _DAY)
        return respond([parse_request(question)], now, RADIUS_S, certificate, self._key.sign)[0]
