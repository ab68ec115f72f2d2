"""The process that devices connect to: MQTT, EST and what is public."""

import asyncio
from collections.abc import Callable
from functools import partial

from troth.app.wiring.doors import Shown, keep_files_shown, keep_shown, stamps
from troth.app.wiring.parts import GRACE_S, Job, Ready, listening, parts, server_tls, until, worker_name
from troth.authority.bell import ring
from troth.clock import SystemClock
from troth.gateway.balancers import Front, front
from troth.gateway.http.serve import ALPN as HTTPS_ALPN
from troth.gateway.http.serve import Fronts, serve_http
from troth.gateway.mqtt.listener import ALPN as MQTT_ALPN
from troth.gateway.mqtt.upstream import Broker
from troth.gateway.serve import Issuing, Options
from troth.gateway.serve import serve as serve_mqtt
from troth.gateway.witness import Witness
from troth.tls.server import ClientAuth, PendingHandshakes
from troth.x509.profiles import Purpose


async def run(job: Job, stop: asyncio.Event, ready: Ready) -> None:
    """Serve devices until `stop` is set."""
    with parts(job) as (home, settings, db):
        door_tls = partial(server_tls, home, db, job["server_key"], "gateway", Purpose.DEVICES, settings)
        known = stamps(home.servers)
        clock, limits = SystemClock(), settings.limits.resolve()
        gateway = await serve_mqtt(
            db,
            clock,
            settings.realm,
            limits,
            server_tls=door_tls(ClientAuth.REQUIRED, MQTT_ALPN),
            broker=Broker(**job["upstream"]),
            listening=listening(job, "mqtt"),
            worker=worker_name(job),
            options=Options(
                drops_denied=settings.gateway.on_denied_publish == "drop",
                unknown_state_for=settings.gateway.unknown_state_for,
                balancers=settings.gateway.balancers,
                envelopes=settings.carries_envelopes,
                aws=settings.compat.aws,
            ),
            issuing=Issuing(settings.site.public_url, partial(ring, home.doorbell)),
        )

        def fronted(listener: str) -> Front:
            pending = PendingHandshakes(limits.handshakes_pending_max)
            return front(settings.gateway.balancers, Witness(gateway.report, listener), pending, limits.handshake_s)

        try:
            doors = await serve_http(
                db,
                clock,
                limits,
                public_url=settings.site.public_url,
                bell=home.doorbell,
                server_tls=door_tls(ClientAuth.OPTIONAL, HTTPS_ALPN),
                observer=Witness(gateway.report, "https"),
                https=listening(job, "https"),
                public=listening(job, "public"),
                fronts=Fronts(fronted("https"), fronted("public")),
                data=gateway.data_door(db, limits),
            )
            try:

                def make() -> Callable[[], None]:
                    mqtt = door_tls(ClientAuth.REQUIRED, MQTT_ALPN)
                    https = door_tls(ClientAuth.OPTIONAL, HTTPS_ALPN)

                    def show() -> None:
                        gateway.show(mqtt)
                        doors.show(https)

                    return show

                ready()
                shown = Shown(make)
                keeping = keep_shown(db, clock, shown), keep_files_shown(home.servers, known, shown)
                await until(stop, gateway.failed(), doors.failed(), *keeping)
            finally:
                await doors.close(GRACE_S)
        finally:
            await gateway.close()
