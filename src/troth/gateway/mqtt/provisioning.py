"""Provisioning at the MQTT door: requests out of a session, answers straight down the same connection.

Nothing of it goes to the broker: a neighbour with the same claim policy could read a private key there. The requests of
one connection are dealt with one after the other. What is asked is decided in `troth.enrollment.provisioning`.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from troth.enrollment.provisioning import Asker, Provisioning
from troth.errors import Fault, Kind
from troth.gateway.mqtt.own_topics import OwnTopics
from troth.gateway.report import Who
from troth.limits import PROVISIONING_UNDER_WAY_MAX, PROVISIONING_WAITING_MAX, Limits
from troth.protocols.provisioning import (
    ACCEPTED,
    REJECTED,
    Created,
    Operation,
    Registered,
    Rejection,
    Topic,
    parse_create,
    parse_create_from_csr,
    parse_registration,
    rejection,
    render_answer,
)

Deliver = Callable[[str, bytes], None]
"""Sends a message down the connection: topic and payload."""

_Request = tuple[Topic, str, bytes]
"""What it asks for, the name of its topic, its payload."""

log = structlog.get_logger()


class Desk:
    """All provisioning of one worker."""

    def __init__(self, provisioning: Provisioning) -> None:
        self._provisioning = provisioning
        self.waiting = 0
        """Requests that wait or are under way, of all connections."""

    def close(self) -> None:
        """End the threads behind it; what is under way in them is waited for."""
        self._provisioning.close()

    async def answer(self, asker: Asker, topic: Topic, payload: bytes) -> Created | Registered:
        """Do what a request asks. Raises `Fault`."""
        match topic.operation:
            case Operation.CREATE:
                parse_create(topic.format, payload)
                return await self._provisioning.create(asker)
            case Operation.CREATE_FROM_CSR:
                csr = parse_create_from_csr(topic.format, payload)
                return await self._provisioning.create_from_csr(asker, csr)
            case Operation.PROVISION:
                asked = parse_registration(topic.format, payload)
                return await self._provisioning.register(asker, topic.template or "", asked)


class Counter:
    """One connection's place at the desk, if there is a desk."""

    __slots__ = ("_deliver", "_desk", "_task", "_waiting", "_who", "topics")

    def __init__(self, desk: Desk | None, who: Who, limits: Limits) -> None:
        self._desk = desk
        self._who = who
        self._deliver: Deliver = _nowhere
        self._waiting: deque[_Request] | None = None
        self._task: asyncio.Task[None] | None = None
        ask = self._ask if desk is not None else None
        self.topics = OwnTopics(ask, limits.subscriptions_per_connection_max)
        """What the connection's exchange is to keep from the broker."""

    def open(self, deliver: Deliver) -> None:
        """Answers go to `deliver` until `close`."""
        self._deliver = deliver

    def close(self) -> None:
        """The connection has ended: nobody hears an answer any more."""
        self._deliver = _nowhere
        self.topics.close()
        if self._task is not None:
            self._task.cancel()

    def _ask(self, topic: Topic, name: str, payload: bytes) -> None:
        """Take a request, which is answered under its topic's name; too many at a time are rejected at once."""
        desk = self._desk
        assert desk is not None, "nothing is taken where nothing is offered"
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) >= PROVISIONING_WAITING_MAX or desk.waiting >= PROVISIONING_UNDER_WAY_MAX:
            self._reject(topic, name, Fault(Kind.RATE_LIMITED, "too many requests wait: ask again later"))
            return
        self._waiting.append((topic, name, payload))
        desk.waiting += 1
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work(desk, self._waiting))

    async def _work(self, desk: Desk, waiting: deque[_Request]) -> None:
        try:
            while waiting:
                await self._answer(desk, *waiting[0])
                waiting.popleft()
                desk.waiting -= 1
        finally:
            desk.waiting -= len(waiting)
            waiting.clear()
            self._task = None

    async def _answer(self, desk: Desk, topic: Topic, name: str, payload: bytes) -> None:
        try:
            said = await desk.answer(self._asker(), topic, payload)
        except Fault as fault:
            self._reject(topic, name, fault)
            return
        except Exception:
            log.exception("provisioning.failed", **self._about(name))
            internal = Rejection(500, "InternalFailure", "internal error")
            self._deliver(name + REJECTED, render_answer(topic.format, internal))
            return
        told = {"thing": said.thing} if isinstance(said, Registered) else {"made": said.certificate_id}
        log.info("provisioning.granted", **told, **self._about(name))
        self._deliver(name + ACCEPTED, render_answer(topic.format, said))

    def _reject(self, topic: Topic, name: str, fault: Fault) -> None:
        reason = fault.detail or fault.message
        log.warning("provisioning.refused", kind=fault.kind.value, reason=reason, **self._about(name))
        self._deliver(name + REJECTED, render_answer(topic.format, rejection(fault)))

    def _asker(self) -> Asker:
        who = self._who
        assert who.certificate_id is not None
        assert who.client_id is not None
        return Asker(who.certificate_id, who.client_id, who.address)

    def _about(self, name: str) -> dict[str, str | None]:
        who = self._who
        return {
            "connection": who.connection,
            "peer": who.address,
            "certificate_id": who.certificate_id,
            "client_id": who.client_id,
            "topic": name,
        }


def _nowhere(_topic: str, _payload: bytes) -> None:
    """Where answers go that nobody waits for any more."""
