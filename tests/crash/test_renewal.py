"""A device that renews, and its home, killed anywhere, and answers lost: one identity works at the end, no orphans."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tests.crash import renewing
from tests.crash.checks import check_all, rows
from tests.crash.conftest import SQLITE, sqlite_templates
from tests.crash.playing import _CONTEXT, PATIENCE_S, copied, ended
from tests.crash.renewing import Home, certify_server, enroll_device
from tests.fixtures.platform import until

from troth.clock import SystemClock
from troth.device.identity import open_identity
from troth.device.renew import renew
from troth.enrollment.renewal import note_first_use
from troth.errors import Fault
from troth.points import Point
from troth.registry.certificates import CertificateState
from troth.registry.inventory import Search, all_certificates
from troth.store.read import read
from troth.testing.crashing import COMMIT, reached_in
from troth.x509.certificates import certificate_id
from troth.x509.profiles import ExtendedUse
from troth.x509.verify import verify_chain

__all__ = ["sqlite_templates"]

pytestmark = pytest.mark.slow

POINTS = (
    *(Point.INTENDED, Point.PROOF_SPENT, Point.BEGUN, Point.READ, Point.DRAFTED, Point.SIGNED, Point.VERIFIED),
    *(Point.CLOSED, Point.REGISTERED, Point.ATTACHED, Point.CONCLUDED),
)
CASES = [f"{point}:1" for point in POINTS] + [
    f"{point}:{time}" for point in (Point.COMMITTING, Point.COMMITTED) for time in (1, 2)
]
ATTEMPTS = 5
ANSWERS = 3
"""What a device asks in one renewal: for the certificate, for the issuers, and for its renewal times by the new one."""


@pytest.fixture(scope="module")
def template(sqlite_templates: dict[bool, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a home on SQLite that was never opened."""
    place = copied(sqlite_templates[True], tmp_path_factory.mktemp("renewing") / "place", SQLITE)
    certify_server(place)
    return place.folder


def made(template: Path, folder: Path) -> Home:
    """Return a home of its own, whose door is shut."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return Home(copied(template, folder, SQLITE), port)


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Home:
    """A home with a device, for one test; its door is shut."""
    home = made(template, tmp_path / "place")
    with opened(home):
        enroll_device(home, "lamp-9")
    home.place.trace("home").unlink()
    return home


@contextmanager
def opened(home: Home, die_at: str | None = None) -> Iterator[BaseProcess]:
    """Keep the home open for the length of the block; it may die before."""
    process = _CONTEXT.Process(target=renewing.run_home, args=(home, die_at), name="home")
    process.start()
    try:
        until(lambda: is_open(home) or not process.is_alive(), "the door's opening")
        yield process
    finally:
        process.kill()
        process.join(PATIENCE_S)


def is_open(home: Home) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", home.port)) == 0


def renewed(home: Home, thing: str) -> None:
    """Let a device renew in processes of its own until one has come to the end: a home may ask it to come again."""
    for _ in range(ATTEMPTS):
        process = started(home, thing)
        process.join(PATIENCE_S)
        if process.exitcode == 0:
            return
    raise AssertionError(f"{thing} was not renewed in {ATTEMPTS} attempts")


def cut_short(home: Home, thing: str, code: int, *, die_before: int | None = None, lose: int | None = None) -> None:
    """Let a device renew in a process of its own, which must end with this code."""
    ended(started(home, thing, die_before, lose), code)


def started(home: Home, thing: str, die_before: int | None = None, lose: int | None = None) -> BaseProcess:
    process = _CONTEXT.Process(target=renewing.run_device, args=(home, thing, die_before, lose), name="device")
    process.start()
    return process


def check(home: Home, thing: str, before: str) -> None:
    """The device holds one identity that works, and another than before; it is the only one once it has been used."""
    identity = open_identity(home.identity(thing))
    clock = SystemClock()
    verify_chain(identity.chain, identity.trust, at=clock.now(), use=ExtendedUse.CLIENT_AUTH)
    own = certificate_id(identity.certificate)
    assert own != before
    with home.place.database() as db:
        # As a gateway does when it has admitted the device.
        assert note_first_use(db, clock, own)
        with read(db) as connection:
            held = list(all_certificates(connection, Search(thing=thing)))
        in_force = [row.certificate_id for row in held if row.state is CertificateState.ACTIVE]
        assert in_force == [own]
        assert rows(db, f"SELECT intent_id FROM renewals WHERE due_at IS NOT NULL AND thing = '{thing}'") == []
        check_all(db)
    assert not list(home.identity(thing).glob("?/request.csr"))


def current(home: Home, thing: str) -> str:
    return certificate_id(open_identity(home.identity(thing)).certificate)


@pytest.fixture(scope="module")
def open_home(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home that is open for all devices."""
    home = made(template, tmp_path_factory.mktemp("open") / "place")
    with opened(home):
        yield home


@pytest.fixture(scope="module")
def changes(open_home: Home) -> int:
    """How many changes to its disk a device makes in a renewal that nobody disturbs."""
    enroll_device(open_home, "undisturbed")
    before = current(open_home, "undisturbed")
    renewed(open_home, "undisturbed")
    check(open_home, "undisturbed", before)
    return len(open_home.changes("undisturbed").read_text().splitlines())


def test_a_device_killed_before_any_change_to_its_disk(open_home: Home, changes: int) -> None:
    assert changes >= 12
    for number in range(1, changes + 1):
        thing = f"cut-{number}"
        enroll_device(open_home, thing)
        before = current(open_home, thing)
        cut_short(open_home, thing, -signal.SIGKILL, die_before=number)
        # Whatever is in use is good at the home. Cut behind the switch, this is another renewal, by the new one.
        renewed(open_home, thing)
        check(open_home, thing, before)


@pytest.mark.parametrize("number", range(1, ANSWERS + 1))
def test_any_answer_lost_once(open_home: Home, number: int) -> None:
    thing = f"lost-{number}"
    enroll_device(open_home, thing)
    before = current(open_home, thing)
    cut_short(open_home, thing, 1, lose=number)
    assert current(open_home, thing) == before
    renewed(open_home, thing)
    check(open_home, thing, before)
    with open_home.place.database() as db:
        # The answer that was lost is given again: one certificate for the enrollment, one for the renewal.
        assert len(rows(db, f"SELECT certificate_id FROM certificates WHERE thing = '{thing}'")) == 2


@pytest.mark.parametrize("point", CASES)
def test_a_home_killed_at_any_point(home: Home, point: str) -> None:
    before = current(home, "lamp-9")
    with opened(home, point) as process:
        with pytest.raises(Fault):
            renew(home.identity("lamp-9"), SystemClock())
        process.join(PATIENCE_S)
        assert process.exitcode == -signal.SIGKILL, f"never reached {point}"
    assert current(home, "lamp-9") == before
    with opened(home):
        renewed(home, "lamp-9")
    check(home, "lamp-9", before)


def test_these_are_the_points_that_a_home_passes(home: Home) -> None:
    with opened(home):
        renewed(home, "lamp-9")
    assert {each for each in reached_in(home.place.trace("home")) if each != COMMIT} == set(CASES)
