"""The process that people connect to."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Final

from troth.app.wiring.doors import Shown, keep_files_shown, keep_shown, stamps
from troth.app.wiring.parts import GRACE_S, Job, Ready, listening, parts, server_tls, until, worker_name
from troth.clock import SystemClock
from troth.gateway.report import Report
from troth.gateway.witness import Witness
from troth.tls.server import ClientAuth
from troth.web.serve import serve_web
from troth.x509.profiles import Purpose

ALPN: Final = ("http/1.1",)


async def run(job: Job, stop: asyncio.Event, ready: Ready) -> None:
    """Serve operators until `stop` is set."""
    with parts(job) as (home, settings, db):
        known = stamps(home.servers)
        clock, limits = SystemClock(), settings.limits.resolve()
        door_tls = partial(
            server_tls, home, db, job["server_key"], "web", Purpose.OPERATORS, settings, ClientAuth.REQUIRED, ALPN
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
            shown = Shown(lambda: partial(door.show, door_tls()))
            await until(
                stop,
                asyncio.shield(reporting),
                keep_shown(db, clock, shown),
                keep_files_shown(home.servers, known, shown),
            )
        finally:
            await door.close(GRACE_S)
            reporting.cancel()
            with suppress(asyncio.CancelledError):
                await reporting
            await report.close()
