"""``troth device run``: the agent as a service, and its log: a line an event, as text or as JSON."""

import asyncio
import json
import signal
from contextlib import suppress
from datetime import datetime
from typing import Annotated

import typer

from troth.cli.device_messages import message_row
from troth.cli.device_options import IDENTITY, ClientIdOption, IdentityOption
from troth.cli.output import answer
from troth.clock import SystemClock
from troth.device.agent import Agent
from troth.device.events import Event


def run(
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="F", help="Subscribe, and tell of each message; may be repeated."),
    ] = None,
    client_id: ClientIdOption = None,
    identity: IdentityOption = IDENTITY,
    as_json: Annotated[bool, typer.Option("--json", help="Each line of the log is a JSON object.")] = False,
) -> None:
    """Keep the identity alive, one connection up and the queue empty, until ended by SIGTERM or SIGINT.

    Renews in time, asks the home which roots are in force, comes again with back-off, and goes over to a new credential
    without losing a message. Feed it with `troth device publish --queue`. SIGHUP: ask the home now when to renew and
    which roots are in force, whenever that would be due.
    """
    agent = Agent(identity, SystemClock(), EventLog(as_json=as_json), filters=filters or (), client_id=client_id)
    asyncio.run(_run(agent, as_json=as_json, listens=bool(filters)))


async def _run(agent: Agent, *, as_json: bool, listens: bool) -> None:
    work = [asyncio.create_task(agent.run())]
    if listens:
        work.append(asyncio.create_task(_hear(agent, EventLog(as_json=as_json))))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work[0].cancel)
    loop.add_signal_handler(signal.SIGHUP, agent.keeper.ask_soon)
    try:
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*work)
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)


async def _hear(agent: Agent, tell: "EventLog") -> None:
    while True:
        message = await agent.connector.receive()
        tell(Event.MESSAGE, **message_row(message))


class EventLog:
    """Writes events to stdout."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._clock = SystemClock()

    def __call__(self, event: Event, **fields: object) -> None:
        """Write a line. Who reads it may have gone away; that ends nothing."""
        at = self._clock.now().replace(microsecond=0)
        row = {"at": at, "event": event.value, **fields}
        words = [f"{name}={_shown(value)}" for name, value in fields.items()]
        with suppress(OSError):
            answer(row, " ".join([f"{at:%Y-%m-%dT%H:%M:%SZ}", event.value, *words]), as_json=self._as_json)


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    text = str(value)
    return text if text.isprintable() and not set(text) & set(' "=') else json.dumps(text)
