"""The process that people connect to."""

import asyncio
from contextlib import suppress
from functools import partial

from troth.app.wiring.doors import keep_shown
from troth.app.wiring.parts import GRACE_S, Job, Ready, listening, parts, server_tls, until, worker_name
from troth.clock import SystemClock
from troth.gateway.report import Report
from troth.gateway.witness import Witness
from troth.tls.server import ClientAuth
from troth.web.serve import serve_web
from troth.x509.profiles import Purpose


async def run(job: Job, stop: asyncio.Event, ready: Ready) -> None:
    """Serve operators until `stop` is set."""
    with parts(job) as (home, settings, db):
        clock, limits = SystemClock(), settings.limits.resolve()
        door_tls = partial(
            server_tls, home, db, job["server_key"], "web", Purpose.OPERATORS, settings, ClientAuth.REQUIRED
        )
        report = Report(db, clock, worker_name(job), limits)
        reporting = asyncio.create_task(report.run())
        door = await serve_web(
            db,
            clock,
            limits,
            bell=home.doorbell if settings.processes.authority else None,
            server_tls=door_tls(),
            observer=Witness(report, "operators"),
            operators=listening(job, "operators"),
        )
        try:
            ready()
            shown = keep_shown(db, clock, lambda: partial(door.show, door_tls()))
            await until(stop, asyncio.shield(reporting), shown)
        finally:
            await door.close(GRACE_S)
            reporting.cancel()
            with suppress(asyncio.CancelledError):
                await reporting
            await report.close()
