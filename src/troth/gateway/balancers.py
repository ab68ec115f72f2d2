"""Load balancers in front of a door: who is listed says by PROXY v2, before the first byte, whom it has passed on.

From a listed address nothing else counts, and from any other the header is garbage like any other: who could reach a
door past its balancers could otherwise choose the address that policies see.
"""

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import cast

from troth.errors import PeerFault
from troth.protocols.proxy import read_header
from troth.tls.server import Address, HandshakeFailure, HandshakeObserver, PendingHandshakes, address_of

Network = IPv4Network | IPv6Network
Make = Callable[[], asyncio.Protocol]
Front = Callable[[Make], asyncio.Protocol]
"""What meets a connection first, given what is behind it."""


def direct(make: Make) -> asyncio.Protocol:
    """Let every connection straight in."""
    return make()


def front(
    balancers: Sequence[Network], observer: HandshakeObserver, pending: PendingHandshakes, wait_s: float
) -> Front:
    """Return what reads the headers of `balancers`; a connection of anybody else goes straight to what is behind.

    A header has `wait_s` seconds to come, and a place in `pending` until it has. `observer` hears of those that fail.
    """
    if not balancers:
        return direct
    return lambda make: _Preamble(tuple(balancers), observer, pending, wait_s, make)


class _Preamble(asyncio.Protocol):
    """One connection until it is known for whom it was made."""

    __slots__ = ("_address", "_balancers", "_make", "_observer", "_outer", "_pending", "_read", "_timer", "_wait_s")

    _outer: asyncio.Transport

    def __init__(
        self,
        balancers: Sequence[Network],
        observer: HandshakeObserver,
        pending: PendingHandshakes,
        wait_s: float,
        make: Make,
    ) -> None:
        self._balancers = balancers
        self._observer = observer
        self._pending = pending
        self._wait_s = wait_s
        self._make = make
        self._address: Address | None = None
        self._read = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask where it comes from."""
        self._outer = cast("asyncio.Transport", transport)
        self._address = address_of(transport.get_extra_info("peername"))
        if self._address is None or not _is_listed(self._balancers, self._address[0]):
            self._hand_over(self._outer)
        elif self._pending.enter(self) is None:
            self._timer = asyncio.get_running_loop().call_later(self._wait_s, self._out_of_time)
        else:
            self._refuse(HandshakeFailure.TOO_MANY, "every place for a handshake is taken")

    def data_received(self, data: bytes) -> None:
        """Take the header, and what came behind it."""
        if self._outer.is_closing():
            return
        self._read += data
        try:
            header = read_header(self._read)
        except PeerFault as fault:
            self._refuse(HandshakeFailure.PROXY_HEADER, fault.message)
            return
        if header is None:
            return
        self._let_go()
        outer = self._outer
        if header.source is not None:
            outer = cast("asyncio.Transport", _PassedOn(self._outer, header.source))
        behind = self._hand_over(outer)
        rest = self._read[header.size :]
        if rest and not outer.is_closing():
            behind.data_received(rest)

    def eof_received(self) -> None:
        """It went before it had said for whom it came."""
        self._tell(HandshakeFailure.PEER_CLOSED, f"after {len(self._read)} bytes of a PROXY header")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._tell(HandshakeFailure.PEER_CLOSED, f"after {len(self._read)} bytes of a PROXY header")

    def abort(self) -> None:
        """End it, as when the door closes."""
        self._refuse(HandshakeFailure.OTHER, "ended by us")

    def _hand_over(self, transport: asyncio.Transport) -> asyncio.Protocol:
        behind = self._make()
        self._outer.set_protocol(behind)
        behind.connection_made(transport)
        return behind

    def _out_of_time(self) -> None:
        self._refuse(HandshakeFailure.TIMEOUT, f"after {len(self._read)} bytes of a PROXY header")

    def _refuse(self, reason: HandshakeFailure, detail: str) -> None:
        self._tell(reason, detail, always=True)
        self._outer.abort()

    def _tell(self, reason: HandshakeFailure, detail: str, *, always: bool = False) -> None:
        """Tell of the end, once: who has been told of has no timer any more."""
        if always or self._timer is not None:
            self._let_go()
            self._observer.on_failure(self._address, reason, detail)

    def _let_go(self) -> None:
        self._pending.leave(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _PassedOn:
    """A balancer's connection that says it comes from the client, and is the balancer's in all else."""

    __slots__ = ("_outer", "_source")

    def __init__(self, outer: asyncio.Transport, source: Address) -> None:
        self._outer = outer
        self._source = source

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return the client as ``peername``, and no ``socket``, whose far end is the balancer."""
        if name == "peername":
            return self._source
        return default if name == "socket" else self._outer.get_extra_info(name, default)

    def __getattr__(self, name: str) -> object:
        return getattr(self._outer, name)


def _is_listed(networks: Sequence[Network], host: str) -> bool:
    address = ip_address(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        # How a socket for both families shows an IPv4 peer.
        address = address.ipv4_mapped
    return any(address in network for network in networks)
