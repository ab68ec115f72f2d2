"""Faults as they happen: a process is killed or hangs, the database is locked, gone or full.

What can live on does, nothing unauthorised passes, nothing acknowledged is lost, and all of it mends by itself.
"""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.estate import ACTOR, Credential, Estate
from tests.fixtures.mqtt import Talk, allow, device
from tests.fixtures.platform import CommandFailed, Platform, environment, is_alive, until

from troth.journal.change import change
from troth.protocols.mqtt import Will
from troth.registry.certificates import CertificateState, get_certificate
from troth.registry.sessions import Which, list_sessions
from troth.registry.states import revoke
from troth.store.read import read
from troth.x509.crl import Reason

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.needs("openssl", "curl")]

UNKNOWN_STATE_FOR = timedelta(seconds=2)
OURS = ("authority", "gateway-0", "gateway-1", "web")
REFUSED, UNAVAILABLE = 5, 3
"""CONNACK codes of MQTT 3.1.1."""
EXIT_MALFORMED, EXIT_NOT_FOUND, EXIT_UNAVAILABLE = 10, 13, 21
SPEAKS = (allow("iot:Connect", "client/mouth-*"), allow("iot:Publish", "topic/home/*"))
LISTENS = (
    allow("iot:Connect", "client/ear-*"),
    allow("iot:Subscribe", "topicfilter/*"),
    allow("iot:Receive", "topic/*"),
)


class Site:
    """A running platform with two gateway workers, and those who come to it."""

    def __init__(self, platform: Platform, estate: Estate) -> None:
        self.platform = platform
        self.estate = estate
        self.talks: list[Talk] = []

    def device(self, *statements: dict[str, object]) -> Credential:
        """Return a new device, certified by the home's own door as the authority's process has it."""
        return self.estate.certified("device", self.estate.thing("lamp", *statements), at=self.estate.clock.now())

    def talk(self, who: Credential) -> Talk:
        """Return a proven connection that has not said CONNECT."""
        talk = device(self.platform.address("mqtt")[1], who, self.estate.root_file.read_bytes())
        self.talks.append(talk)
        return talk

    def live(self, who: Credential, **fields: Any) -> Talk:
        """Return a connection that is let in at once."""
        talk = self.talk(who)
        assert talk.connect(who.thing, **fields).code == 0
        return talk

    def code(self, who: Credential) -> int:
        """Return how a CONNECT is answered now; -1 when it is not."""
        try:
            talk = self.talk(who)
            with suppress(AssertionError):
                return int(talk.connect(who.thing).code)
        except OSError:
            pass
        return -1

    def back(self, who: Credential, **fields: Any) -> Talk:
        """Return a connection, as soon as there can be one."""

        def attempt() -> Talk | None:
            with suppress(OSError, AssertionError):
                talk = self.talk(who)
                return talk if talk.connect(who.thing, **fields).code == 0 else None
            return None

        found = until(attempt, f"{who.thing} is let in again")
        assert found is not None
        return found

    def revoke(self, who: Credential) -> None:
        with change(self.estate.db, self.estate.clock, ACTOR) as changing:
            revoke(changing, who.certificate_id, Reason.KEY_COMPROMISE)

    def worker_of(self, talk: Talk) -> str:
        """Return the name of the worker that a connection is at."""

        def look() -> str:
            with read(self.estate.db) as connection:
                rows = list_sessions(connection, self.estate.clock.now(), limit=1000)
            return next((row.worker.split("/")[1] for row in rows if row.address == talk.address), "")

        return until(look, "a listed session")

    def child(self, name: str) -> int:
        return int(self.platform.processes()[name]["pid"])

    def heal(self) -> None:
        """Wait until every process runs."""
        until(lambda: all(each["state"] == "running" for each in self.platform.processes().values()), "all running")

    def killed(self, name: str) -> None:
        """Kill a child, and return once it is dead."""
        pid = self.child(name)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid), f"the end of {name}")


@pytest.fixture(scope="module")
def running(born: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A platform whose processes may be killed and whose database may go."""
    folder = tmp_path_factory.mktemp("faults")
    home = Path(shutil.copytree(born, folder / "home"))
    settings = {"PROCESSES__GATEWAY": "2", "GATEWAY__UNKNOWN_STATE_FOR": f"{UNKNOWN_STATE_FOR.seconds}s"}
    platform = Platform(home, {f"TROTH_{name}": value for name, value in settings.items()}).start()
    try:
        with Estate(platform, folder) as estate:
            yield Site(platform, estate)
        pids = [each["pid"] for each in platform.processes().values()]
        assert platform.stop() == 0
        assert not [pid for pid in pids if is_alive(pid)]
    finally:
        if platform.process is not None:
            platform.kill()


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """The platform, whole."""
    running.heal()
    yield running
    while running.talks:
        running.talks.pop().close()


def own(who: Credential, name: str = "x") -> str:
    return f"home/{who.thing}/{name}"


def test_a_broker_that_is_killed_loses_nothing_that_it_acknowledged(site: Site) -> None:
    lamp, gone = site.device(), site.device()
    topic = own(lamp)
    reader = site.live(lamp, clean_session=False)
    assert reader.subscribe(topic, qos=1) == (1,)
    reader.close()
    mouth = site.estate.certified("device", site.estate.thing("mouth", *SPEAKS), at=site.estate.clock.now())
    writer = site.live(mouth)
    for number in range(30):
        writer.publish(topic, str(number).encode(), qos=1)
    leaving = site.live(gone)
    mark = site.platform.mark()
    site.killed("broker")
    assert writer.is_closed()
    assert leaving.is_closed()
    site.platform.wait_for("session.closed", mark, certificate_id=gone.certificate_id, reason="upstream-closed")
    # What is withdrawn while there is no broker is withdrawn.
    site.revoke(gone)
    again = site.back(lamp, clean_session=False)
    assert {again.message() for _ in range(30)} == {(topic, str(number).encode()) for number in range(30)}
    assert site.code(gone) == REFUSED
    site.back(mouth).publish(topic, b"goes on", qos=1)
    assert again.message() == (topic, b"goes on")


def test_events_wait_for_a_broker_that_was_killed(site: Site) -> None:
    lamp = site.device()
    ear = site.estate.certified("device", site.estate.thing("ear", *LISTENS), at=site.estate.clock.now())
    listening = site.live(ear, clean_session=False)
    assert listening.subscribe(f"$aws/events/presence/+/{lamp.thing}", qos=1) == (1,)
    talk = site.live(lamp)
    assert b'"connected"' in listening.message()[1]
    site.killed("broker")
    assert talk.is_closed()
    again = site.back(ear, clean_session=False)
    assert b'"SERVER_ERROR"' in again.message()[1]


def test_a_worker_that_is_killed_takes_nobody_else_along(site: Site) -> None:
    lamps = [site.device() for _ in range(20)]
    talks = {site.live(lamp, will=Will(own(lamp, "gone"), b"gone")): lamp for lamp in lamps}
    at = {talk: site.worker_of(talk) for talk in talks}
    assert len(set(at.values())) == 2, "the kernel gave all of them to one worker"
    ear = site.estate.certified("device", site.estate.thing("ear", *LISTENS), at=site.estate.clock.now())
    listening = site.back(ear)
    victim = next(name for name in set(at.values()) if name != site.worker_of(listening))
    assert listening.subscribe("home/+/gone") == (0,)
    site.killed(victim)
    dead = {talk for talk, name in at.items() if name == victim}
    for talk, lamp in talks.items():
        if talk in dead:
            assert talk.is_closed()
        else:
            talk.publish(own(lamp), b"x", qos=1)
    wills = {listening.message()[0] for _ in dead}
    assert wills == {own(talks[talk], "gone") for talk in dead}
    for talk in dead:
        site.back(talks[talk])
    site.heal()
    # Also at the worker that has taken its place, withdrawn means now.
    for lamp in lamps:
        site.revoke(lamp)
    assert {site.code(lamp) for lamp in lamps} == {REFUSED}


def test_sessions_do_not_need_the_web_nor_an_authority_that_answers(site: Site) -> None:
    lamp, other, newcomer = site.device(), site.device(), site.device()
    talk, twin = site.live(lamp), site.live(other)
    authority = site.child("authority")
    os.kill(authority, signal.SIGSTOP)
    try:
        site.killed("web")
        talk.publish(own(lamp), b"x", qos=1)
        assert site.live(newcomer).is_alive()
        site.revoke(other)
        assert twin.is_closed()
        assert site.code(other) == REFUSED
        talk.publish(own(lamp), b"x", qos=1)
    finally:
        os.kill(authority, signal.SIGCONT)
    assert site.live(site.estate.enrolled("lamp")).is_alive()
    site.killed("authority")
    talk.publish(own(lamp), b"x", qos=1)
    site.heal()
    assert site.live(site.estate.enrolled("lamp")).is_alive()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep everybody else from writing to an SQLite database."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def test_a_locked_database_holds_up_changes_and_nobody_who_is_in_force(site: Site) -> None:
    lamp, other, newcomer = site.device(), site.device(), site.device()
    talk, twin = site.live(lamp), site.live(other)
    assert site.estate.db.path is not None
    with locked(site.estate.db.path):
        revoking = threading.Thread(target=site.revoke, args=(other,))
        revoking.start()
        talk.publish(own(lamp), b"x", qos=1)
        assert site.live(newcomer).is_alive()
        # Nobody has been told yet that it is revoked.
        assert revoking.is_alive()
        assert twin.is_alive()
    revoking.join()
    assert twin.is_closed()
    assert site.code(other) == REFUSED


def test_while_the_database_is_gone_nobody_new_comes_in_and_nobody_stays_for_long(site: Site) -> None:
    lamp, newcomer = site.device(), site.device()
    talk = site.live(lamp)
    path, mark = site.estate.db.path, site.platform.mark()
    assert path is not None
    hidden = path.with_suffix(".hidden")
    site.estate.db.dispose()
    path.rename(hidden)
    try:
        until(lambda: site.code(newcomer) == UNAVAILABLE, "a refusal for want of knowledge")
        assert talk.is_closed()
        site.platform.wait_for("session.closed", mark, certificate_id=lamp.certificate_id, reason="state-unknown")
        assert site.code(newcomer) == UNAVAILABLE
    finally:
        hidden.rename(path)
    site.back(newcomer)
    site.back(lamp).publish(own(lamp), b"x", qos=1)
    site.revoke(newcomer)
    assert site.code(newcomer) == REFUSED


@contextmanager
def full(pids: list[int]) -> Iterator[None]:
    """Let no file of these processes grow: a full disk that takes no rights. The log is one of them."""
    before = [resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY)) for pid in pids]
    try:
        yield
    finally:
        for pid, limits in zip(pids, before, strict=True):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_stops_changes_and_no_session_nor_what_withdraws_one(site: Site) -> None:
    lamp, other, kept = site.device(), site.device(), site.device()
    talk, twin = site.live(lamp), site.live(other)
    with full([site.child(name) for name in OURS]):
        # Decisions and sessions cannot be written, nor can the log; messages can, and are decided.
        denied = site.live(kept)
        assert denied.subscribe("not/mine") == (0x80,)
        talk.publish(own(lamp), b"x", qos=1)
        site.revoke(other)
        assert twin.is_closed()
        assert site.code(other) == REFUSED
        command = [sys.executable, "-m", "troth", "cert", "revoke", kept.certificate_id]
        limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        done = subprocess.run(
            command,
            env=environment(site.platform.home, site.platform.extra),
            capture_output=True,
            timeout=60,
            preexec_fn=limit,
            check=False,
        )
        assert done.returncode == EXIT_UNAVAILABLE, done.stderr
        assert state(site, kept) is CertificateState.ACTIVE
        assert denied.is_alive()
    talk.publish(own(lamp), b"x", qos=1)
    site.revoke(kept)
    assert denied.is_closed()
    # The next line that can be written is followed by how many could not.
    site.platform.wait_for("log.lost")


def state(site: Site, who: Credential) -> CertificateState:
    with read(site.estate.db) as connection:
        return get_certificate(connection, who.certificate_id).state


def test_a_kick_reaches_every_worker(site: Site) -> None:
    lamp, neighbour = site.device(), site.live(site.device())
    # Fewer are all at one worker now and then.
    talks = [site.talk(lamp) for _ in range(20)]
    for number, talk in enumerate(talks):
        assert talk.connect(f"{lamp.thing}:{number}").code == 0
    assert len({site.worker_of(talk) for talk in talks}) == 2, "the kernel gave all of them to one worker"
    rows = site.platform.run("session", "list", "--thing", lamp.thing)
    assert {row["address"] for row in rows} == {talk.address for talk in talks}
    assert {row["certificate_id"] for row in rows} == {lamp.certificate_id}
    one = site.platform.run("session", "kick", "--client", f"{lamp.thing}:0", "--cert", lamp.certificate_id[:16])
    assert (one["listed"], one["will"]) == (1, True)
    assert talks[0].is_closed()
    assert all(talk.is_alive() for talk in talks[1:])
    said = site.platform.run("session", "kick", "--thing", lamp.thing, "--no-will", "--why", "it floods us")
    assert said["will"] is False
    assert all(talk.is_closed() for talk in talks[1:])
    assert neighbour.is_alive()
    assert site.live(lamp).is_alive()
    (entry,) = [each for each in site.platform.run("journal", "show") if each["number"] == said["entry"]]
    assert (entry["kind"], entry["why"]) == ("session.kicked", "it floods us")
    for words, code in (((), EXIT_MALFORMED), (("--thing", "nobody"), EXIT_NOT_FOUND)):
        with pytest.raises(CommandFailed) as caught:
            site.platform.run("session", "kick", *words)
        assert caught.value.code == code


def test_what_is_listed_is_what_is_there_after_all_that(site: Site) -> None:
    lamp = site.device()
    talk = site.live(lamp)
    site.worker_of(talk)
    with read(site.estate.db) as connection:
        (row,) = list_sessions(connection, site.estate.clock.now(), Which(client_id=lamp.thing))
    assert row.address == talk.address
