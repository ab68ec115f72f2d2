"""The gateway of one worker, put together: everything that devices meet on the MQTT door, and what keeps it true."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from troth.clock import Clock
from troth.enrollment.conclusions import Conclusions
from troth.enrollment.hook import Hooks
from troth.enrollment.provisioning import Provisioning
from troth.errors import Fault, Kind
from troth.gateway.admission import Admission
from troth.gateway.balancers import Network
from troth.gateway.control import Control
from troth.gateway.first_connections import FirstConnections
from troth.gateway.first_use import FirstUses
from troth.gateway.http.data import DataDoor
from troth.gateway.meter import Meter
from troth.gateway.mqtt.courier import Courier
from troth.gateway.mqtt.events import Events
from troth.gateway.mqtt.flight import Flight
from troth.gateway.mqtt.gate import Gate
from troth.gateway.mqtt.listener import Door
from troth.gateway.mqtt.names import Names
from troth.gateway.mqtt.provisioning import Desk
from troth.gateway.mqtt.seats import Seats
from troth.gateway.mqtt.terms import Terms
from troth.gateway.mqtt.upstream import Broker, Upstream
from troth.gateway.presence import Presence
from troth.gateway.principals import Principals
from troth.gateway.readings import Readings
from troth.gateway.refusal import Reason
from troth.gateway.report import Report
from troth.gateway.roster import Roster
from troth.journal.change import change
from troth.limits import CLIENT_IDS_WATCHED_MAX, ENROLLMENT_WAIT_S_MAX, Limits
from troth.names import Realm
from troth.registry.kicks import kick
from troth.registry.measures import Measures
from troth.registry.sessions import Which
from troth.store.connect import Database
from troth.tls.rates import Rates
from troth.tls.server import ClientAuth, ServerTLS

TICK_S: Final = 1.0
FAREWELL_S: Final = 1.0
"""How long a stop waits for devices to take what they were told last."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the gateway treats what it must refuse or cannot know."""

    drops_denied: bool = False
    """A denied PUBLISH is dropped and counted; otherwise it ends the connection, as on AWS."""
    unknown_state_for: timedelta = timedelta(seconds=30)
    """How long live sessions go on while the database does not answer."""
    balancers: tuple[Network, ...] = ()
    """The load balancers that say by PROXY v2 for whom they connect."""
    envelopes: bool = False
    """What only MQTT 5 can say goes to the broker in an envelope around the payload; otherwise it is refused."""
    aws: bool = False
    """The protocol is AWS IoT's with its departures, not the standard's."""


@dataclass(frozen=True, slots=True)
class Issuing:
    """What provisioning needs beside the database."""

    public_url: str
    ring: Callable[[], object]
    """Wakes the authority, and never blocks."""


class Gateway:
    """A gateway at work. `admission` and `report` are for the other doors of the same process."""

    def __init__(
        self,
        gate: Gate,
        control: Control,
        principals: Principals,
        first_uses: FirstUses,
        first_connections: FirstConnections,
        events: Events,
        clock: Clock,
        door: Door,
    ) -> None:
        self.admission = gate.admission
        self.report = gate.report
        self._roster = gate.roster
        self._control = control
        self._principals = principals
        self._first_uses = first_uses
        self._first_connections = first_connections
        self._events = events
        self._clock = clock
        self._door = door
        self._desk = gate.desk
        self.readings = gate.readings
        self._seats = gate.seats
        self._gate = gate
        self._flight = gate.flight
        self._tasks: list[asyncio.Task[None]] = []

    def data_door(self, db: Database, limits: Limits) -> DataDoor:
        """Return the door by which the same devices, under the same policies, come over HTTPS."""
        gate, clock = self._gate, self._clock

        async def end(actor: str, client_id: str, sends_will: bool) -> int:
            def record() -> int:
                with change(db, clock, actor) as changing:
                    return kick(changing, Which(client_id=client_id), sends_will=sends_will)

            return await asyncio.to_thread(record)

        courier, names = Courier(gate.upstream, gate.terms), gate.terms.names
        return DataDoor(gate.admission, courier, gate.readings, names, gate.report, limits, gate.flight, end)

    @property
    def position(self) -> int:
        """The number of the last journal entry that has reached every session here."""
        return self._control.position

    async def start(self, listening: socket.socket) -> None:
        """Learn where the journal stands, then accept. Raises `Fault` (unavailable)."""
        await self._control.start()
        await self._first_connections.start()
        self._run(self._control.run())
        self._run(self.report.run())
        self._run(self._first_uses.run())
        self._run(self.readings.run())
        self._run(self._first_connections.run())
        self._run(self._events.run())
        self._run(self._ticking())
        await self._door.open(listening)

    def show(self, server_tls: ServerTLS) -> None:
        """Show and demand what `server_tls` says from the next connection on."""
        self._door.show(self._first_connections.door(server_tls))

    async def failed(self) -> None:
        """Wait for ever; raise what broke a part that should have gone on for ever."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def close(self) -> None:
        """Accept no more, end every session, and send the last of the report."""
        self._door.close()
        for connection in self._roster:
            connection.end(Reason.SHUTDOWN)
        await self._roster.empty(FAREWELL_S)
        self._seats.close()
        await self._events.close(FAREWELL_S)
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        await self.report.close()
        await self.readings.flush()
        self._principals.close()
        await asyncio.to_thread(self._first_connections.close)
        if self._desk is not None:
            await asyncio.to_thread(self._desk.close)

    def _run(self, part: Coroutine[None, None, None]) -> None:
        self._tasks.append(asyncio.create_task(part))

    async def _ticking(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_S)
            self._control.tick()
            self._events.tick()
            self._flight.tick()
            now_s, at = loop.time(), self._clock.now()
            for connection in self._roster:
                connection.tick(now_s, at)


async def serve(
    db: Database,
    clock: Clock,
    realm: Realm,
    limits: Limits,
    *,
    server_tls: ServerTLS,
    broker: Broker,
    listening: socket.socket,
    worker: str,
    options: Options,
    issuing: Issuing | None = None,
) -> Gateway:
    """Return a gateway that accepts on `listening` and passes on to `broker`. `worker` names it among all workers.

    Without `issuing` devices are not provisioned here.

    Raises `Fault`: misconfigured, bad key, unavailable.
    """
    if server_tls.client_auth is not ClientAuth.REQUIRED:
        raise Fault(Kind.MISCONFIGURED, "the MQTT door must require a certificate of every client")
    upstream = Upstream(broker, limits.packet_bytes)
    principals = Principals(db, limits)
    roster, first_uses = Roster(principals), FirstUses(db, clock)
    names = Names(upstream.flavour, limits.topic_bytes_max, limits.topic_levels_max)
    events = Events(upstream, names)
    conclusions = Conclusions()
    first = FirstConnections(db, clock, realm, limits, events.publish)
    readings = Readings(db, clock)
    told = (conclusions.apply, first.apply, readings.apply)
    control = Control(db, clock, principals, roster, options.unknown_state_for, also=told)
    flight, meter = Flight(limits.in_flight_bytes_max), Meter()

    def measure() -> Measures:
        return meter.read(is_upstream_up=events.is_connected, events_lost=events.lost, bytes_in_flight=flight.total)

    connects = limits.connects_per_client_id_per_second_max
    desk = None
    if issuing is not None:
        ring, wait_s = issuing.ring, ENROLLMENT_WAIT_S_MAX
        desk = Desk(Provisioning(db, clock, realm, limits, issuing.public_url, conclusions, ring, Hooks(), wait_s))
    gate = Gate(
        admission=Admission(principals, clock, realm, limits, control.is_up_to_date, first_uses, first.greet),
        roster=roster,
        upstream=upstream,
        seats=Seats(upstream, limits.connections_max),
        flight=flight,
        terms=Terms(names, limits, clock, options.drops_denied, options.envelopes, options.aws),
        report=Report(db, clock, worker, limits, Presence(clock, events.publish), measure),
        meter=meter,
        readings=readings,
        often=Rates(connects, CLIENT_IDS_WATCHED_MAX) if connects else None,
        desk=desk,
    )
    door = Door(gate, first.door(server_tls), limits, options.balancers)
    gateway = Gateway(gate, control, principals, first_uses, first, events, clock, door)
    await gateway.start(listening)
    return gateway
