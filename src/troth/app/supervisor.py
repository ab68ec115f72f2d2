"""`troth up`: binds the doors, starts the processes in order, keeps them alive, stops them in reverse.

Holds no CA key and parses no packet.
"""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final

import structlog

from troth.app.broker import external, prepare_embedded
from troth.app.child import Child, Job, stop_all
from troth.app.home import Home, running
from troth.app.listeners import Listener, bind_all, close_all
from troth.app.settings import Settings
from troth.app.settings_values import parse_address
from troth.gateway.mqtt.upstream import Broker
from troth.keys.files import write_private

DRAIN_S: Final = 10.0
PROBE_S: Final = 0.02

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the supervisor passes on at start, each to the one kind of child that needs it; PEM, decrypted."""

    authority_passphrase: str | None
    server_keys: dict[str, str]
    token_pin: str | None = None
    """Of the tokens that hold CA keys, where no file has it."""


async def run(
    home: Home, settings: Settings, secrets: Secrets, *, style: str, told_ready: Callable[[dict[str, object]], None]
) -> None:
    """Run the whole platform until SIGTERM or SIGINT. Raises `Fault` when it cannot start."""
    gateways = _gateway_count(settings)
    with running(home):
        web, time = settings.processes.web, _tells_time(home, settings)
        listeners = bind_all(settings.listen, gateways=gateways, web=web, time=time)
        try:
            await _Platform(home, settings, secrets, listeners, style).run(told_ready)
        finally:
            close_all(listeners)


def _gateway_count(settings: Settings) -> int:
    wanted = settings.processes.gateway
    return (os.cpu_count() or 1) if wanted == "per-core" else wanted


def _tells_time(home: Home, settings: Settings) -> int:
    """Where the long-term key is not, nobody gives leave to tell the time."""
    return int(bool(settings.processes.time and settings.processes.authority and home.time_key.exists()))


class _Platform:
    """The processes of one `troth up`, and what is said about them."""

    def __init__(
        self, home: Home, settings: Settings, secrets: Secrets, listeners: dict[str, Listener], style: str
    ) -> None:
        self._home = home
        self._settings = settings
        self._secrets = secrets
        self._listeners = listeners
        self._style = style
        self._children: list[Child] = []

    async def run(self, told_ready: Callable[[dict[str, object]], None]) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        stopped = asyncio.create_task(stop.wait())
        try:
            starting = asyncio.create_task(self._start())
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                told_ready(self.describe())
                await stopped
            starting.cancel()
            with suppress(asyncio.CancelledError):
                await starting
        finally:
            stopped.cancel()
            await self._stop()

    async def _start(self) -> None:
        upstream = await self._start_broker()
        # Side by side: none of them needs another to be ready, and each takes a second to load.
        if self._settings.processes.authority:
            secrets = {"passphrase": self._secrets.authority_passphrase, "pin": self._secrets.token_pin}
            self._add(self._job("authority", "authority", **secrets))
        for index in range(_gateway_count(self._settings)):
            self._add(self._gateway_job(index, upstream))
        if self._settings.processes.web:
            self._add(self._door_job("web", "web", {"operators": 0}))
        if "time" in self._listeners:
            time = self._job("time", "time")
            time.descriptors["time"] = self._listeners["time"].sockets[0].fileno()
            self._add(time)
        await asyncio.gather(*(child.started() for child in self._children))

    async def _start_broker(self) -> Broker:
        if self._settings.broker.url != "embedded":
            return external(self._home, self._settings.broker)
        upstream, command = prepare_embedded(self._home, self._settings.broker, self._settings.limits.resolve())
        host, port = parse_address(upstream.url.removeprefix("mqtt://"))
        job = self._job("broker", "broker", command=command)
        await self._add(job, ready=partial(_accepts, host, port)).started()
        return upstream

    async def _stop(self) -> None:
        """End what devices and people talk to first, so that nothing is asked of a process that is gone."""
        doors = [child for child in self._children if child.job.role in {"gateway", "web", "time"}]
        await stop_all(doors, DRAIN_S)
        for child in reversed([child for child in self._children if child not in doors]):
            await child.stop(DRAIN_S)
        log.info("stopped")

    def _add(self, job: Job, *, ready: Callable[[], Awaitable[None]] | None = None) -> Child:
        child = Child(job, ready=ready, changed=self._write_status)
        self._children.append(child)
        return child

    def _job(self, name: str, role: str, **settings: object) -> Job:
        return Job(name, role, {"home": str(self._home.path), "style": self._style, **settings})

    def _gateway_job(self, index: int, upstream: Broker) -> Job:
        sockets = {"mqtt": index, "https": index, "public": index}
        return self._door_job(f"gateway-{index}", "gateway", sockets, upstream=asdict(upstream))

    def _door_job(self, name: str, role: str, sockets: dict[str, int], **settings: object) -> Job:
        job = self._job(name, role, server_key=self._secrets.server_keys[role], **settings)
        for listener, index in sockets.items():
            job.descriptors[listener] = self._listeners[listener].sockets[index].fileno()
        return job

    def describe(self) -> dict[str, object]:
        """Return endpoints and processes, as `troth status --json` tells them."""
        return {
            "pid": os.getpid(),
            "listen": {name: listener.address for name, listener in self._listeners.items()},
            "broker": self._settings.broker.url,
            "processes": [
                {"name": child.job.name, "state": child.state, "pid": child.pid, "restarts": child.restarts}
                for child in self._children
            ],
        }

    def _write_status(self) -> None:
        write_private(self._home.status_file, json.dumps(self.describe()).encode(), overwrite=True)


async def _accepts(host: str, port: int) -> None:
    """Return when something listens at the address."""
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(PROBE_S)
        else:
            writer.close()
            return
