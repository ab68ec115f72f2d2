"""A gateway of a few lines, independent of ours: a test says whom it refuses, what it hangs up on, what it answers."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cryptography import x509
from tests.unit.device.home import Home

from troth.protocols.mqtt import (
    SUBSCRIPTION_REFUSED,
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Reader,
    Role,
    Suback,
    Subscribe,
    build_publish,
    render,
)
from troth.x509.certificates import certificate_id


@dataclass
class Gateway:
    """What it does, and what it has seen. Everything may be set at any time."""

    port: int = 0
    refused: set[str] = field(default_factory=set)
    """Certificates, by id, that are answered with CONNACK 5."""
    hangs_up_on: set[str] = field(default_factory=set)
    """Topics that nobody may send to."""
    refused_filters: set[str] = field(default_factory=set)
    answers: bool = True
    """Whether what is published is acknowledged."""
    connected: list[str] = field(default_factory=list)
    """The certificates that were let in, in order."""
    came: list[bytes] = field(default_factory=list)
    """Payloads of all that was acknowledged, in order."""
    again: list[bytes] = field(default_factory=list)
    """Payloads of all that was sent with DUP."""
    ignored: list[bytes] = field(default_factory=list)
    """Payloads of all that was not."""
    open: int = 0
    """Connections that are open now."""
    open_max: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def hang_up(self) -> None:
        """End every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def until(self, *payloads: bytes) -> None:
        """Wait until these have come, in whatever company."""
        while not set(payloads) <= {*self.came, *self.ignored}:
            self.changed.clear()
            await self.changed.wait()

    async def until_connected(self, times: int) -> None:
        """Wait until so many connections have been let in."""
        while len(self.connected) < times:
            self.changed.clear()
            await self.changed.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk with one device until either end hangs up."""
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        own = certificate_id(x509.load_der_x509_certificate(shown))
        mqtt = Reader(1 << 20, Role.SERVER)
        self._writers.append(writer)
        self.open += 1
        self.open_max = max(self.open, self.open_max)
        try:
            while data := await reader.read(65_536):
                for packet in mqtt.feed(data):
                    if not self._answer(packet, own, writer):
                        return
        except OSError:
            pass
        finally:
            self.open -= 1
            self._writers.remove(writer)
            writer.close()

    def _answer(self, packet: Packet, own: str, writer: asyncio.StreamWriter) -> bool:
        match packet:
            case Connect():
                is_in = own not in self.refused
                writer.write(render(Connack(ConnackCode.ACCEPTED if is_in else ConnackCode.NOT_AUTHORIZED)))
                if is_in:
                    self.connected.append(own)
                    self.changed.set()
                return is_in
            case Publish() if packet.topic in self.hangs_up_on:
                return False
            case Publish():
                (self.came if self.answers else self.ignored).append(packet.payload)
                if packet.dup:
                    self.again.append(packet.payload)
                self.changed.set()
                if packet.qos and self.answers:
                    writer.write(render(Puback(packet.packet_id)))
            case Subscribe():
                granted = [each for each in packet.subscriptions if each.topic_filter not in self.refused_filters]
                codes = tuple(each.qos if each in granted else SUBSCRIPTION_REFUSED for each in packet.subscriptions)
                writer.write(render(Suback(packet.packet_id, codes)))
                for each in granted:
                    writer.write(render(build_publish(each.topic_filter, b"welcome", qos=1, packet_id=1)))
            case Pingreq():
                writer.write(render(Pingresp()))
            case Disconnect():
                return False
        return True


@asynccontextmanager
async def gateway(home: Home, port: int = 0) -> AsyncIterator[Gateway]:
    """Run one for devices of this home."""
    made = Gateway()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.server.chain_file, home.server.key_file)
    context.load_verify_locations(home.root_file)
    context.verify_mode = ssl.CERT_REQUIRED
    server = await asyncio.start_server(made.serve, "127.0.0.1", port, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
        made.hang_up()
