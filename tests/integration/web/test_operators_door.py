"""The operators' door with curl: who comes in, who stays outside, and what is said of the home."""

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families
from tests.fixtures.doors import PATIENCE_S, Answer, Listener, curl, listening

from troth.errors import Fault, Kind
from troth.limits import DEFAULT
from troth.registry.decisions import DecisionKey, append
from troth.registry.measures import OPENING_S, Measures
from troth.registry.sessions import SessionRow, replace_sessions
from troth.testing.authority import Held, TestAuthority
from troth.testing.clock import FakeClock
from troth.tls.server import ClientAuth, ServerTLS
from troth.web.serve import serve_web
from troth.x509.profiles import Purpose

pytestmark = pytest.mark.needs("curl")


class RunningWeb:
    """The operators' door on `port` of the loopback, and an authority where one is wanted."""

    def __init__(self, site: TestAuthority, bell: Path, *, with_authority: bool = True) -> None:
        self.site = site
        self.observer = Listener()
        self._sock = listening()
        self.port: int = self._sock.getsockname()[1]
        self._bell = bell
        self._with_authority = with_authority
        self._tls = tls(site, ClientAuth.REQUIRED)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._live()), name="web")
        self._thread.start()
        assert self._started.wait(PATIENCE_S)

    async def _live(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with AsyncExitStack() as stack:
            if self._with_authority:
                await stack.enter_async_context(self.site.serving(self._bell))
            server = await serve_web(
                self.site.db,
                self.site.clock,
                DEFAULT,
                bell=self._bell,
                server_tls=self._tls,
                observer=self.observer,
                operators=self._sock,
            )
            self._started.set()
            await self._stop.wait()
            await server.close(1.0)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)

    def get(self, held: Held | None, path: str = "/health", *words: str) -> Answer:
        own = ["--cert", str(held.chain_file), "--key", str(held.key_file)] if held else []
        return curl(f"https://localhost:{self.port}{path}", *own, *words, root=self.site.root_file)


def tls(site: TestAuthority, client_auth: ClientAuth) -> ServerTLS:
    return ServerTLS(site.server().server_identity, (site.issuer(Purpose.OPERATORS),), client_auth, ("http/1.1",))


@pytest.fixture
def web(live_authority: TestAuthority, tmp_path: Path) -> Iterator[RunningWeb]:
    running = RunningWeb(live_authority, tmp_path / "bell")
    yield running
    running.close()


def test_an_operator_sees_that_all_is_well(web: RunningWeb) -> None:
    anna = web.site.operator("anna")
    health = web.get(anna)
    assert (health.status, json.loads(health.body)) == (200, {"status": "alive"})
    assert health.headers["cache-control"] == "no-store"
    ready = web.get(anna, "/ready")
    parts = {"database": "ok", "schema": "ok", "authority": "ok"}
    assert (ready.status, json.loads(ready.body)) == (200, {"ready": True, "parts": parts})


def test_a_revoked_operator_is_refused_on_every_path(web: RunningWeb) -> None:
    anna, bert = web.site.operator("anna"), web.site.operator("bert")
    assert web.get(anna).status == 200
    web.site.revoke(anna)
    for path in ("/health", "/ready", "/metrics", "/elsewhere"):
        answer = web.get(anna, path)
        assert (answer.status, json.loads(answer.body)["type"]) == (403, "urn:troth:fault:forbidden")
        assert anna.certificate_id.encode() not in answer.body
    assert web.get(bert).status == 200


def test_a_device_does_not_come_through_the_handshake(web: RunningWeb) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        web.get(web.site.device("lamp-1"))
    assert "unknown-issuer" in web.observer.failures


def test_another_cas_operator_does_not_come_through_the_handshake(
    web: RunningWeb, tmp_path: Path, live_clock: FakeClock
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    with TestAuthority(folder, clock=live_clock) as other, pytest.raises(subprocess.CalledProcessError):
        web.get(other.operator("anna"))
    assert "unknown-issuer" in web.observer.failures


def test_nobody_comes_without_a_certificate(web: RunningWeb) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        web.get(None)
    assert "no-certificate" in web.observer.failures


def test_other_paths_and_methods_are_refused(web: RunningWeb) -> None:
    anna = web.site.operator("anna")
    assert web.get(anna, "/").status == 404
    posted = web.get(anna, "/health", "--request", "POST")
    assert (posted.status, posted.headers["allow"]) == (405, "GET, HEAD")


def test_a_home_without_its_authority_is_not_ready(live_authority: TestAuthority, tmp_path: Path) -> None:
    running = RunningWeb(live_authority, tmp_path / "bell", with_authority=False)
    try:
        answer = running.get(live_authority.operator("anna"), "/ready")
    finally:
        running.close()
    assert answer.status == 503
    assert json.loads(answer.body)["parts"]["authority"] == "silent"


def test_without_its_database_the_process_lives_and_the_home_is_not_ready(web: RunningWeb, tmp_path: Path) -> None:
    anna = web.site.operator("anna")
    web.site.db.dispose()
    assert web.site.db.path is not None
    gone = web.site.db.path.rename(tmp_path / "gone.db")
    try:
        assert web.get(anna, "/health").status == 200
        assert web.get(anna, "/ready").status == 503
        assert web.get(anna, "/elsewhere").status == 503
    finally:
        web.site.db.dispose()
        gone.rename(web.site.db.path)


def test_a_door_that_asks_for_no_certificate_is_not_opened(live_authority: TestAuthority) -> None:
    async def work() -> None:
        with listening() as sock:
            await serve_web(
                live_authority.db,
                live_authority.clock,
                DEFAULT,
                bell=None,
                server_tls=tls(live_authority, ClientAuth.OPTIONAL),
                observer=Listener(),
                operators=sock,
            )

    with pytest.raises(Fault) as caught:
        asyncio.run(work())
    assert caught.value.kind is Kind.MISCONFIGURED


def test_an_operator_scrapes_what_workers_carry_and_decide(web: RunningWeb) -> None:
    """In Prometheus's own format, read back by its own parser."""
    db, until = web.site.db, web.site.clock.now() + timedelta(seconds=15)
    measures = Measures(10, 20, (3, *[0] * (len(OPENING_S) - 1), 1), 60.5, is_upstream_up=True, events_lost=2, paced=4)
    row = SessionRow("host/gateway-0/1", "c1", "0" * 64, "lamp-1", "lamp-1", "192.0.2.1:5", web.site.clock.now())
    replace_sessions(db, row.worker, until, [row], measures)
    replace_sessions(db, "host/gone", web.site.clock.now() - timedelta(seconds=1), [], Measures())
    append(db, [], {DecisionKey("iot:Publish", "ALLOW", ""): 7, DecisionKey("tls:Handshake", "X", "expired"): 1})
    answer = web.get(web.site.operator("anna"), "/metrics")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found = {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }
    assert found["troth_decisions_total", "iot:Publish", "ALLOW", ""] == 7
    assert found["troth_decisions_total", "tls:Handshake", "X", "expired"] == 1
    assert found["troth_sessions", row.worker] == found["troth_upstream_up", row.worker] == 1
    assert (found["troth_received_bytes_total", row.worker], found["troth_sent_bytes_total", row.worker]) == (10, 20)
    assert found["troth_paced_total", row.worker] == 4
    assert found["troth_opening_seconds_bucket", str(OPENING_S[0]), row.worker] == 3
    assert found["troth_opening_seconds_bucket", "+Inf", row.worker] == 4
    assert found["troth_opening_seconds_sum", row.worker] == 60.5
    assert found["troth_journal_entries_total",] > 0
    assert ("troth_sessions", "host/gone") not in found
    page = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
    families = {family.name for family in text_string_to_metric_families(answer.body.decode())}
    assert {name.removesuffix("_total") for name in re.findall(r"^\| `(troth_\w+)`", page, re.MULTILINE)} == families
