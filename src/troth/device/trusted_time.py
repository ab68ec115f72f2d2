"""The time for a device that has none it could trust: asked of Roughtime servers whose keys it was given. RFC 10049.

Asked anew for every judgement, with a nonce of its own: neither a clock that is decades off nor one that stands still
counts for anything, and no old answer does. The system's clock is not set. Knows no certificate.
"""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from troth.device.endpoint import parse_address
from troth.errors import Fault, Kind, PeerFault
from troth.keys.randomness import random_below, random_bytes
from troth.protocols.roughtime.request import NONCE_BYTES, build_request
from troth.protocols.roughtime.response import RESPONSE_BYTES_MAX, Told, verify_response
from troth.protocols.roughtime.servers import TimeServer

PORT: Final = 2002
ASKED_MAX: Final = 3
"""Servers asked for one judgement."""
ATTEMPTS: Final = 3
WAIT_S: Final = 2.0
"""How long an answer may take. Also how far it may be made to lag behind: the time told is that of the answer."""
STRAYS_MAX: Final = 8
"""Datagrams looked at for one question that are no answer to it."""


Exchange = Callable[[TimeServer, bytes], Iterator[bytes]]
"""Sends a question to a server and yields what comes back, whoever it is from. May raise OSError."""
_Place = tuple[int, int, int, str, Any]
"""One of the addresses of a name, as `socket.getaddrinfo` gives them."""


class TrustedTime:
    """A `troth.clock.Clock` that asks whenever it is read. `servers` are the ones to believe, at least one."""

    def __init__(
        self,
        servers: Sequence[TimeServer],
        *,
        attempts: int = ATTEMPTS,
        wait_s: float = WAIT_S,
        exchange: Exchange | None = None,
    ) -> None:
        """`exchange` is how servers are asked: over UDP, if it is not given."""
        self._servers = tuple(servers)
        self._exchange = exchange or self._over_udp
        self._attempts = attempts
        self._wait_s = wait_s

    def now(self) -> datetime:
        """Return the time that the servers tell.

        Raises `Fault`: unavailable when none of them answers; unauthenticated when what they prove to have said cannot
        all be true, or when something answers that is none of them.
        """
        told: list[Told] = []
        faults: list[Fault] = []
        for server in _some(self._servers):
            try:
                told.append(self._ask(server))
            except Fault as fault:
                faults.append(fault)
        if not told:
            raise faults[0]
        return _agreed(told, timedelta(seconds=ASKED_MAX * self._attempts * self._wait_s))

    def _ask(self, server: TimeServer) -> Told:
        request = build_request(random_bytes(NONCE_BYTES), server.public_key)
        stranger: PeerFault | None = None
        try:
            for packet in self._exchange(server, request):
                try:
                    return verify_response(packet, request, server.public_key)
                except PeerFault as fault:
                    stranger = fault
        except OSError as error:
            raise _silent(server, error.strerror or str(error)) from error
        if stranger is not None:
            message = f"what answers for the time server {server.name} is not it"
            raise Fault(Kind.UNAUTHENTICATED, message, detail=stranger.message)
        raise _silent(server, None)

    def _over_udp(self, server: TimeServer, request: bytes) -> Iterator[bytes]:
        address = parse_address(server.address, PORT)
        for place in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM):
            yield from self._answers(place, request)

    def _answers(self, place: _Place, request: bytes) -> Iterator[bytes]:
        """Yield what comes back from one address and from no other."""
        family, kind, protocol, _, address = place
        with socket.socket(family, kind, protocol) as asking:
            asking.settimeout(self._wait_s)
            for _ in range(self._attempts):
                with suppress(TimeoutError, ConnectionRefusedError):
                    asking.connect(address)
                    asking.send(request)
                    for _ in range(STRAYS_MAX):
                        yield asking.recv(RESPONSE_BYTES_MAX + 1)


def judge_of(servers: Sequence[TimeServer]) -> TrustedTime | None:
    """Return what certificates are judged by where there are servers to ask; None: the device's own clock is."""
    return TrustedTime(servers) if servers else None


def _some(servers: Sequence[TimeServer]) -> list[TimeServer]:
    """Return a few of `servers` in an order that nobody can foresee."""
    left = list(servers)
    chosen: list[TimeServer] = []
    while left and len(chosen) < ASKED_MAX:
        chosen.append(left.pop(random_below(len(left))))
    return chosen


def _agreed(told: Sequence[Told], asking: timedelta) -> datetime:
    """Return the middle of what all of them can have meant, who were asked within the time `asking`."""
    earliest = max(each.midpoint - each.radius for each in told)
    latest = min(each.midpoint + each.radius for each in told)
    if earliest > latest + asking:
        raise Fault(
            Kind.UNAUTHENTICATED,
            "the time servers contradict each other: one of them lies, or its clock is wrong",
            detail=", ".join(each.midpoint.isoformat() for each in told),
        )
    return earliest + (latest - earliest) / 2


def _silent(server: TimeServer, detail: str | None) -> Fault:
    return Fault(
        Kind.UNAVAILABLE,
        f"the time server {server.name} at {server.address} does not answer",
        hint="without a time that it can trust, this device judges no certificate; check UDP to that address",
        detail=detail,
    )
