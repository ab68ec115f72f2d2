"""The way to the broker: one connection for each session, by TCP, mutual TLS or a Unix socket.

The gateway proves itself with its own user and password; what the device wrote there goes no further. Knows no policy.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, cast
from urllib.parse import urlsplit

from troth.errors import Fault, Kind
from troth.gateway.mqtt.names import Flavour
from troth.limits import (
    UPSTREAM_LINGER_S_MAX,
    UPSTREAM_PACKET_BYTES_MAX,
    UPSTREAM_WRITE_QUEUE_BYTES_MAX,
)
from troth.protocols.mqtt import Connect, Packet, Reader, Role, StreamFault, render
from troth.tls.client import client_context

KEEP_ALIVE_S_MIN: Final = 60
"""Keep-alive towards the broker, unless the device's own is longer."""

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and how the gateway proves itself there. Paths of files are absolute; empty means none."""

    url: str
    """``mqtt://host:port``, ``mqtts://host:port`` or ``unix:/path``."""
    flavour: str = Flavour.MQTT.value
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


class Listener(Protocol):
    """The session that a link belongs to."""

    def broker_sent(self, packets: list[Packet], fault: StreamFault | None) -> None:
        """Packets have come; `fault` is what the broker broke the protocol with behind them."""
        ...

    def broker_slow(self, slow: bool) -> None:
        """The broker takes no more for now, or takes it again."""
        ...

    def broker_gone(self) -> None:
        """The broker has closed the connection."""
        ...


class Link(asyncio.Protocol):
    """One connection to the broker. It says CONNECT as soon as it stands."""

    __slots__ = ("_connect", "_lingering", "_listener", "_reader", "_transport")

    def __init__(self, listener: Listener, connect: bytes, packet_bytes_max: int) -> None:
        self._listener: Listener | None = listener
        self._connect = connect
        self._reader = Reader(packet_bytes_max, Role.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._lingering: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say CONNECT, unless the session has ended meanwhile."""
        self._transport = cast("asyncio.Transport", transport)
        if self._listener is None:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=UPSTREAM_WRITE_QUEUE_BYTES_MAX)
        self._transport.write(self._connect)
        self._connect = b""

    def data_received(self, data: bytes) -> None:
        """Read what the broker sent."""
        if self._listener is None:
            # Of a connection that is being left.
            return
        fault = None
        try:
            packets = self._reader.feed(data)
        except StreamFault as caught:
            packets, fault = list(caught.before), caught
        self._listener.broker_sent(packets, fault)

    def pause_writing(self) -> None:
        """Pass on that the broker is slow."""
        if self._listener is not None:
            self._listener.broker_slow(True)

    def resume_writing(self) -> None:
        """Pass on that it has caught up."""
        if self._listener is not None:
            self._listener.broker_slow(False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that the broker has gone."""
        if self._lingering is not None:
            self._lingering.cancel()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.broker_gone()

    def hand_over(self, listener: Listener) -> None:
        """Tell another what happens from now on."""
        self._listener = listener

    def write(self, data: bytes) -> None:
        """Send bytes to the broker; ignored when it has gone."""
        if self._transport is not None:
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Take no more from the broker until `resume_reading`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take from the broker again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the broker has not yet taken."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def finish(self) -> bool:
        """Say that no more comes, without a DISCONNECT; return whether the broker has yet to close for its part."""
        if self._transport is None or self._transport.is_closing():
            return False
        if self._transport.can_write_eof():
            self._transport.resume_reading()
            self._transport.write_eof()
        else:
            # By TLS, a close waits for the other's.
            self._transport.close()
        return True

    def close(self) -> None:
        """Send what is written and go when the broker has, without waiting long; the listener hears no more.

        Not before: closed with something of the broker's unread, the connection would be reset, and Mosquitto reads
        nothing of one that is.
        """
        self._listener = None
        if self.finish() and self._transport is not None:
            linger = asyncio.get_running_loop().call_later
            self._lingering = linger(UPSTREAM_LINGER_S_MAX, self._transport.abort)


class Upstream:
    """Opens links to one broker. Raises `Fault` (misconfigured, bad key) when told of one that cannot be reached so."""

    def __init__(self, broker: Broker, packet_bytes: int) -> None:
        self.flavour = Flavour(broker.flavour)
        self._username = broker.username or None
        self._password = broker.password.encode() if broker.username else None
        self._packet_bytes_max = max(packet_bytes, UPSTREAM_PACKET_BYTES_MAX)
        self._path = broker.url.removeprefix("unix:") if broker.url.startswith("unix:") else None
        parts = urlsplit(broker.url)
        if self._path is None and (parts.scheme not in _PORTS or not parts.hostname):
            raise Fault(Kind.MISCONFIGURED, f"broker.url: {broker.url!r} is not mqtt://, mqtts:// or unix:")
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS.get(parts.scheme, 0)
        self._tls = client_context(**_identity(broker)) if parts.scheme == "mqtts" else None

    def prepare(self, listener: Listener, connect: Connect, client_id: str, keep_alive_s: int) -> Link:
        """Return a link that will say `connect`, under `client_id` and as ourselves, once it is dialled."""
        ours = Connect(
            client_id=client_id,
            clean_session=connect.clean_session,
            keep_alive_s=max(keep_alive_s, KEEP_ALIVE_S_MIN),
            will=connect.will,
            username=self._username,
            password=self._password,
        )
        return Link(listener, render(ours), self._packet_bytes_max)

    async def dial(self, link: Link) -> None:
        """Connect a link to the broker. Raises `Fault` (unavailable). Does not watch the time: its caller does."""
        loop = asyncio.get_running_loop()
        try:
            if self._path is not None:
                await loop.create_unix_connection(lambda: link, self._path)
            else:
                await loop.create_connection(lambda: link, self._host, self._port, ssl=self._tls)
        except OSError as error:
            raise Fault(Kind.UNAVAILABLE, "the broker does not answer", detail=str(error)) from error


def _identity(broker: Broker) -> dict[str, Any]:
    try:
        roots = Path(broker.ca_file).read_bytes()
    except OSError as error:
        raise Fault(Kind.MISCONFIGURED, f"broker.ca_file: cannot read it: {error}") from error
    return {
        "roots": roots,
        "chain_path": Path(broker.cert_file) if broker.cert_file else None,
        "key_path": Path(broker.key_file) if broker.key_file else None,
    }
