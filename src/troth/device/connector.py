"""One MQTT connection kept up: made again with back-off when it drops, made anew with a renewed credential.

The new connection is made before the old one ends, under the same client id: the home lets a thing take over its own
session. A credential that the home does not take gives way to the one before, if that still works. Knows no queue.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from cryptography import x509

from troth.device.connack import Refused
from troth.device.connection import ConnectionFault
from troth.device.events import Event, Tell, reason
from troth.device.identity import Identity, open_identity, read_chain
from troth.device.link import Link, open_link
from troth.device.network import INTERNET, Network
from troth.device.renew import go_back, retire_previous
from troth.device.schedule import back_off_s
from troth.device.slots import Slot, Slots
from troth.errors import Fault
from troth.limits import DEVICE_LINGER_S_MAX, DEVICE_RECONNECT_S_MAX
from troth.protocols.mqtt import SUBSCRIPTION_REFUSED, ConnackCode, Connect, Publish, matches, split_share
from troth.x509.certificates import certificate_id

STEADY_S: Final = 30.0
"""A connection that has lasted so long was a good one: the next failure is a first one again."""


class Connector:
    """The connection of one identity. `link` is what others send by."""

    def __init__(
        self,
        path: Path,
        tell: Tell,
        draw: Callable[[], float],
        changing: asyncio.Lock,
        *,
        client_id: str | None,
        keep_alive_s: int,
        network: Network = INTERNET,
    ) -> None:
        """`draw` returns a new number from 0 to below 1; `changing` is held while this process changes the folder."""
        self._changing, self._network = changing, network
        self._path, self._tell, self._draw = path, tell, draw
        self._client_id, self._keep_alive_s = client_id, keep_alive_s
        self._filters: dict[str, int] = {}
        self._asked: set[str] = set()
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._renewed = asyncio.Event()
        self._is_switching = False

    def credential_changed(self) -> None:
        """Say that there is another credential to connect with."""
        self._renewed.set()

    async def link(self) -> Link:
        """Return the connection to send by, waiting until there is one."""
        while self._link is None or not self._link.is_open or self._is_switching:
            self._up.clear()
            await self._up.wait()
        return self._link

    async def subscribe(self, filters: Sequence[str], qos: int) -> tuple[int, ...]:
        """Subscribe now and on every connection from now on; return a code for each filter. Raises `Fault`."""
        link = await self.link()
        known = dict(self._filters)
        # Before they are asked for: messages may come before the answer does.
        self.want(filters, qos)
        try:
            codes = await link.subscribe(filters, qos=qos)
        except Fault:
            self._filters = known
            raise
        for each, code in zip(filters, codes, strict=True):
            if code == SUBSCRIPTION_REFUSED:
                self._filters.pop(each, None)
            else:
                self._asked.add(each)
        return codes

    def want(self, filters: Sequence[str], qos: int) -> None:
        """Subscribe on every connection from the next one on; what is refused is told of."""
        self._filters |= dict.fromkeys(filters, qos)

    async def receive(self) -> Publish:
        """Return the next message of any subscription, acknowledged, through whatever becomes of connections."""
        while True:
            link = await self.link()
            try:
                return await link.receive()
            except Fault:
                if link.is_open:
                    raise

    async def run(self) -> None:
        """Keep the connection until cancelled; then take our leave. Raises `Fault` when there is no identity."""
        try:
            failures = 0
            while True:
                failures = await self._hold(failures)
        finally:
            if self._link is not None:
                await self._link.disconnect()

    async def _hold(self, failures: int) -> int:
        """Connect, and stay so until the end or a new credential; return how many failures in a row there are now."""
        self._renewed.clear()
        identity = open_identity(self._path)
        try:
            link, proven, refused = await self._connect(identity)
        except Fault as fault:
            await self._pause(failures, Event.NOT_CONNECTED, fault)
            return failures + 1
        began = asyncio.get_running_loop().time()
        await self._take_over(link)
        await self._tidy(proven, refused)
        end = await self._until_end_or_renewal(link)
        if end is None:
            self._tell(Event.SWITCHING)
            # Nothing more is sent by the old one; what it was sent is answered, so that nothing need be sent twice.
            self._is_switching = True
            await link.settled(DEVICE_LINGER_S_MAX)
            return 0
        failures = 0 if asyncio.get_running_loop().time() - began >= STEADY_S else failures
        await self._pause(failures, Event.DISCONNECTED, end)
        return failures + 1

    async def _take_over(self, link: Link) -> None:
        old, self._link, self._is_switching = self._link, link, False
        self._up.set()
        if old is not None:
            await old.disconnect()

    async def _connect(self, identity: Identity) -> tuple[Link, Slot, x509.Certificate | None]:
        """Return a connection, the slot whose credential it was made with, and what was refused before, if anything."""
        previous = Slots(self._path).previous()
        refused = None
        try:
            link = await self._open(identity)
        except Fault as fault:
            if previous is None or not _is_about_us(fault):
                raise
            refused = identity.certificate
            identity = replace(identity, slot=previous, chain=read_chain(previous.chain_file))
            link = await self._open(identity)
            self._tell(Event.WENT_BACK, **reason(fault))
        self._tell(
            Event.CONNECTED,
            address=str(identity.endpoint.mqtt),
            certificate_id=certificate_id(identity.certificate),
            until=identity.certificate.not_valid_after_utc,
        )
        return link, identity.slot, refused

    async def _tidy(self, proven: Slot, refused: x509.Certificate | None) -> None:
        """Keep in use what has worked, and nothing beside it."""
        try:
            async with self._changing:
                if refused is not None:
                    await asyncio.to_thread(go_back, self._path, proven, refused)
                elif await asyncio.to_thread(retire_previous, self._path, proven):
                    self._tell(Event.PREVIOUS_REMOVED)
        except Fault:
            pass  # another process changes the folder just now; the next connection comes to the same

    async def _open(self, identity: Identity) -> Link:
        # The session is kept from one connection to the next, so that no message is lost between them.
        client_id = self._client_id or identity.thing
        request = Connect(client_id, clean_session=False, keep_alive_s=self._keep_alive_s)
        link = await open_link(identity, request, self._wants, self._network)
        try:
            # What this process has asked for stands in a session that was kept.
            wanted = [each for each in self._filters if not link.session_present or each not in self._asked]
            for topic_filter in wanted:
                (code,) = await link.subscribe([topic_filter], qos=self._filters[topic_filter])
                self._asked.add(topic_filter)
                if code == SUBSCRIPTION_REFUSED:
                    self._tell(Event.SUBSCRIPTION_REFUSED, filter=topic_filter)
        except BaseException:
            await link.close()
            raise
        return link

    def _wants(self, topic: str) -> bool:
        return any(matches(split_share(each)[1], topic) for each in self._filters)

    async def _until_end_or_renewal(self, link: Link) -> Fault | None:
        """Return how the connection ended; None when there is a new credential before that."""
        end = asyncio.create_task(link.ended())
        renewed = asyncio.create_task(self._renewed.wait())
        try:
            await asyncio.wait({end, renewed}, return_when=asyncio.FIRST_COMPLETED)
            return end.result() if end.done() else None
        finally:
            end.cancel()
            renewed.cancel()

    async def _pause(self, failures: int, event: Event, fault: Fault) -> None:
        wait_s = back_off_s(failures, self._draw(), DEVICE_RECONNECT_S_MAX)
        self._tell(event, again_in_s=round(wait_s, 1), **reason(fault))
        # The old connection, if there is one, goes on being used meanwhile.
        self._is_switching = False
        self._up.set()
        try:
            async with asyncio.timeout(wait_s):
                await self._renewed.wait()
        except TimeoutError:
            pass


def _is_about_us(fault: Fault) -> bool:
    """Say whether the home has refused who we are, and not the connection."""
    if isinstance(fault, Refused):
        return fault.code is ConnackCode.NOT_AUTHORIZED
    return isinstance(fault, ConnectionFault) and fault.refusal.alert is not None
