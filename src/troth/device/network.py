"""How a device reaches others: TLS to the doors of its home, and UDP to whoever tells it the time.

Passed in wherever a device speaks to anybody, so that the same rooms can live for years over a wire in memory, at a
time that is not now. Knows no protocol above TLS.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from cryptography import x509

from troth.clock import Clock
from troth.device.connection import ConnectionFault, Credential, client_tls, dial, require_in_time, through_stunnel
from troth.device.endpoint import Address
from troth.device.identity import Identity
from troth.device.slot_keys import handshake_turn_on_loop
from troth.device.trusted_time import judge_of
from troth.errors import Fault
from troth.limits import DEVICE_STEP_S_MAX
from troth.protocols.roughtime.servers import TimeServer
from troth.tls import client as tls

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Network(Protocol):
    """What is between a device and its home."""

    def dial(
        self,
        address: Address,
        server_name: str,
        roots: Sequence[x509.Certificate],
        own: Credential | None = None,
        *,
        checks_time: bool = True,
        judge: Clock | None = None,
    ) -> tls.Stream:
        """Return a TLS connection to a server that has proven itself. As `troth.device.connection.dial`."""
        ...

    async def open_streams(self, identity: Identity) -> Streams:
        """Return both ways of a TLS connection to the identity's gateway, which has proven itself.

        Raises `ConnectionFault`; `Fault`: expired, and what tells the time raises.
        """
        ...

    def judge_of(self, servers: Sequence[TimeServer]) -> Clock | None:
        """Return what certificates are judged by where there are servers to ask; None: the device's own clock is."""
        ...


@dataclass(frozen=True, slots=True)
class Internet:
    """The real one: a `Network`."""

    def dial(
        self,
        address: Address,
        server_name: str,
        roots: Sequence[x509.Certificate],
        own: Credential | None = None,
        *,
        checks_time: bool = True,
        judge: Clock | None = None,
    ) -> tls.Stream:
        """Connect by TCP. See `Network.dial`."""
        return dial(address, server_name, roots, own, checks_time=checks_time, judge=judge)

    async def open_streams(self, identity: Identity) -> Streams:
        """Connect by TCP. See `Network.open_streams`."""
        address = identity.endpoint.mqtt
        judge = self.judge_of(identity.time_servers)
        at = await asyncio.to_thread(judge.now) if judge is not None else None
        try:
            context = await asyncio.to_thread(client_tls, identity.trust, identity.slot, checks_time=at is None)
        except Fault as fault:
            name, trust, slot = identity.endpoint.name_of(address), identity.trust, identity.slot
            tunnel = partial(through_stunnel, address, name, trust, slot, fault, by_our_clock=at is None)
            plain = await asyncio.to_thread(tunnel)
            plain.setblocking(False)
            return await asyncio.open_unix_connection(sock=plain)
        try:
            async with asyncio.timeout(DEVICE_STEP_S_MAX), handshake_turn_on_loop(identity.slot.path):
                reader, writer = await asyncio.open_connection(
                    address.host, address.port, ssl=context, server_hostname=identity.endpoint.name_of(address)
                )
        except TimeoutError:
            raise ConnectionFault(address, tls.Refusal("timeout", "no connection in time")) from None
        except OSError as error:
            raise ConnectionFault(address, tls.refusal(error)) from error
        try:
            require_in_time(writer.get_extra_info("ssl_object"), at)
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer

    def judge_of(self, servers: Sequence[TimeServer]) -> Clock | None:
        """Ask over UDP. See `Network.judge_of`."""
        return judge_of(servers)


INTERNET: Final[Network] = Internet()
