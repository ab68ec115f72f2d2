"""The door for MQTT: accepts connections on a socket that was bound before, and lets TLS prove who they are."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final, cast

from troth.gateway.balancers import Network, front
from troth.gateway.mqtt.gate import Gate
from troth.gateway.mqtt.session import Session
from troth.gateway.refusal import Reason, Refusal
from troth.gateway.report import HANDSHAKE, Report, Who
from troth.gateway.witness import Witness, shown
from troth.keys.randomness import random_id
from troth.limits import Limits
from troth.tls.server import Acceptor, PendingHandshakes, ServerTLS

LISTENER: Final = "mqtt"
"""What this door is called in settings, status and logs."""
ALPN: Final = ("mqtt", "x-amzn-mqtt-ca")
"""What clients may say that they speak here: MQTT by its own name, and by AWS IoT's for mutual TLS on port 443."""


class _Full(asyncio.Protocol):
    """A connection for which there is no room: closed before its first byte."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        address = shown(transport.get_extra_info("peername"))
        refusal = Refusal(Reason.TOO_MANY_CONNECTIONS, action=HANDSHAKE, resource=LISTENER)
        self._report.refused(Who(random_id(), address), refusal)
        cast("asyncio.Transport", transport).abort()


class Door:
    """The open door. `pending` can be shared with the other doors of the process."""

    def __init__(self, gate: Gate, server_tls: ServerTLS, limits: Limits, balancers: Sequence[Network] = ()) -> None:
        self._gate = gate
        self._session = partial(Session, gate)
        self._connections_max = limits.connections_max
        self._pending = PendingHandshakes.within(limits)
        witness = Witness(gate.report, LISTENER)
        self._acceptor = Acceptor(server_tls, witness, self._pending)
        self._front = front(balancers, witness, self._pending, limits.handshake_s)
        self._server: asyncio.Server | None = None

    async def open(self, listening: socket.socket) -> None:
        """Accept from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self._front(self._accept), sock=listening)

    def show(self, server_tls: ServerTLS) -> None:
        """Show and demand what `server_tls` says from the next connection on; those that are open stay as they are."""
        self._acceptor = replace(self._acceptor, tls=server_tls)

    def close(self) -> None:
        """Accept no more, and end the handshakes that are under way."""
        if self._server is not None:
            self._server.close()
        self._pending.abort_all()

    def _accept(self) -> asyncio.Protocol:
        if len(self._gate.roster) + len(self._pending) >= self._connections_max:
            return _Full(self._gate.report)
        return self._acceptor.protocol(self._session)
