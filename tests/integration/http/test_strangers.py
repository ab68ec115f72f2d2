"""Devices that come with what a maker (IEEE 802.1AR) or a customer gave them: impostors beside honest twins."""

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.fixtures.doors import RunningDoors, curl
from tests.fixtures.issuance import certificates, entries
from tests.fixtures.strangers import DAY, OPERATOR, Bearer, Maker, a_request, come, enrollment, register

from troth.authority.revoke import revoke_thing
from troth.enrollment.newcomers import readmit
from troth.enrollment.withdraw import withdraw_thing
from troth.journal.change import change
from troth.keys.file import generate
from troth.registry.foreign_issuers import ForeignPurpose, ForeignState, replace_crl, set_foreign_state
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock
from troth.tls.server import HandshakeFailure
from troth.x509.algorithms import KeyAlgorithm

pytestmark = pytest.mark.needs("curl")

CAMERAS = """
name = "cameras"
profile = "device"
proofs = ["idevid"]
[thing]
name = "cam-{serial}"
create = true
[idevid]
serials = ["A1", "A2"]
"""


def issued(site: TestAuthority) -> int:
    return len([entry for entry in entries(site.db, "certificate.issued") if entry.data["thing"]])


@pytest.fixture
def maker(live_clock: FakeClock, tmp_path: Path) -> Maker:
    return Maker.new(tmp_path, live_clock.now())


@pytest.fixture
def cameras(live_authority: TestAuthority, maker: Maker) -> TestAuthority:
    """A site that takes the maker's cameras, registered before its doors open."""
    register(live_authority, maker)
    enrollment(live_authority, CAMERAS)
    return live_authority


def test_a_makers_device_gets_a_local_identity(cameras: TestAuthority, doors: RunningDoors, maker: Maker) -> None:
    answer = come(doors, "cameras", a_request(), maker.device("A1"))
    assert answer.status == 200
    (row,) = certificates(cameras.db, "cam-A1")
    assert (row.method, row.subject) == ("idevid", "CN=cam-A1")
    line = maker.under("Line 4")
    assert come(doors, "cameras", a_request(), line.device("A2", above=[line.certificate])).status == 200
    (intended,) = [each for each in entries(cameras.db, "certificate.intended") if each.data["thing"] == "cam-A2"]
    assert (intended.data["proof"]["issuer"], intended.data["proof"]["enrollment"]) == ("acme", "cameras")


def test_a_lost_answer_is_given_again_and_a_device_may_come_again(
    cameras: TestAuthority, doors: RunningDoors, maker: Maker
) -> None:
    device, body = maker.device("A1"), a_request()
    assert come(doors, "cameras", body, device).body == come(doors, "cameras", body, device).body
    assert issued(cameras) == 1
    assert come(doors, "cameras", a_request(), device).status == 200
    assert issued(cameras) == 2


Forge = Callable[[Maker, Path], Bearer]


STRANGERS: dict[str, tuple[Forge, HandshakeFailure]] = {
    "another maker of the same name": (
        lambda maker, folder: Maker.new(folder, maker.now).device("A1"),
        HandshakeFailure.UNKNOWN_ISSUER,
    ),
    "expired": (lambda maker, _: maker.device("A1", lasts=DAY / 2), HandshakeFailure.UNKNOWN_ISSUER),
    "not yet valid": (lambda maker, _: maker.device("A1", since=DAY), HandshakeFailure.UNKNOWN_ISSUER),
    "a server's": (lambda maker, _: maker.device("A1", server=True), HandshakeFailure.WRONG_PURPOSE),
    "a CA's": (lambda maker, _: maker.device("A1", ca=True), HandshakeFailure.UNKNOWN_ISSUER),
    "under one that is no CA": (
        lambda maker, _: _under_a_device(maker),
        HandshakeFailure.UNKNOWN_ISSUER,
    ),
}


def _under_a_device(maker: Maker) -> Bearer:
    device = maker.device("A2")
    forger = Maker(device.certificate, device.key, maker.folder, maker.now)
    return forger.device("A1", above=[device.certificate])


@pytest.mark.parametrize("who", STRANGERS)
def test_impostors_do_not_come_through_the_handshake(
    cameras: TestAuthority, doors: RunningDoors, maker: Maker, tmp_path: Path, who: str
) -> None:
    forge, reason = STRANGERS[who]
    with pytest.raises(subprocess.CalledProcessError):
        come(doors, "cameras", a_request(), forge(maker, tmp_path))
    assert doors.observer.failures == [reason]
    assert issued(cameras) == 0
    assert come(doors, "cameras", a_request(), maker.device("A1")).status == 200


def test_one_that_may_not_come_hears_no_more_than_one_without_a_certificate(
    cameras: TestAuthority, doors: RunningDoors, maker: Maker
) -> None:
    own = cameras.device("lamp-1")
    ours = Bearer(own.certificate, maker.key, own.chain_file, own.key_file)
    impostors = {
        "not listed": (maker.device("B7"), "serial number 'B7'"),
        "nothing shown": (None, "no certificate of another CA"),
        "one of ours": (ours, "no certificate of another CA"),
    }
    before = issued(cameras)
    answers = {}
    for name, (bearer, reason) in impostors.items():
        with capture_logs() as logs:
            answers[name] = come(doors, "cameras", a_request(), bearer)
        (refused,) = [each for each in logs if each["event"] == "enrollment.refused"]
        assert reason in refused["reason"]
    assert {answer.status for answer in answers.values()} == {401}
    assert len({answer.body for answer in answers.values()}) == 1
    assert issued(cameras) == before


@pytest.mark.parametrize("name", ["cam-A2", "lamp-1", "cam-a1"])
def test_nobody_gets_another_name(cameras: TestAuthority, doors: RunningDoors, maker: Maker, name: str) -> None:
    assert come(doors, "cameras", a_request(name), maker.device("A1")).status == 422
    assert issued(cameras) == 0
    assert come(doors, "cameras", a_request("cam-A1"), maker.device("A1")).status == 200


def test_a_thing_is_its_first_devices_until_an_operator_says_otherwise(
    cameras: TestAuthority, doors: RunningDoors, maker: Maker, live_clock: FakeClock
) -> None:
    first, twin = maker.device("A1"), maker.device("A1", common_name="the same serial number")
    assert come(doors, "cameras", a_request(), first).status == 200
    assert come(doors, "cameras", a_request(), twin).status == 401
    with change(cameras.db, cameras.clock, OPERATOR) as changing:
        readmit(changing, "cam-A1")
    assert come(doors, "cameras", a_request(), twin).status == 200
    assert come(doors, "cameras", a_request(), first).status == 401


def test_a_thing_that_was_enrolled_otherwise_is_not_taken(
    cameras: TestAuthority, doors: RunningDoors, maker: Maker
) -> None:
    cameras.device("cam-A1")
    assert come(doors, "cameras", a_request(), maker.device("A1")).status == 401
    # One that was only written down is there to be taken.
    cameras.thing("cam-A2")
    assert come(doors, "cameras", a_request(), maker.device("A2")).status == 200


def test_what_was_withdrawn_does_not_come_back_by_itself(
    cameras: TestAuthority, doors: RunningDoors, maker: Maker, live_clock: FakeClock
) -> None:
    device = maker.device("A1")
    assert come(doors, "cameras", a_request(), device).status == 200
    live_clock.advance(timedelta(seconds=1))
    with change(cameras.db, cameras.clock, OPERATOR) as changing:
        revoke_thing(changing, "cam-A1")
    assert come(doors, "cameras", a_request(), device).status == 401
    live_clock.advance(timedelta(seconds=1))
    with change(cameras.db, cameras.clock, OPERATOR) as changing:
        readmit(changing, "cam-A1")
    assert come(doors, "cameras", a_request(), device).status == 200


def test_a_thing_that_was_withdrawn_whole_is_barred(
    cameras: TestAuthority, doors: RunningDoors, maker: Maker, live_clock: FakeClock
) -> None:
    device = maker.device("A1")
    assert come(doors, "cameras", a_request(), device).status == 200
    with change(cameras.db, cameras.clock, OPERATOR) as changing:
        withdraw_thing(changing, "cam-A1")
    # At the very instant, too.
    assert come(doors, "cameras", a_request(), device).status == 401
    assert [entry.subject for entry in entries(cameras.db, "thing.barred")] == ["cam-A1"]
    live_clock.advance(timedelta(seconds=1))
    with change(cameras.db, cameras.clock, OPERATOR) as changing:
        readmit(changing, "cam-A1")
    assert come(doors, "cameras", a_request(), device).status == 200


def test_a_key_of_another_thing_is_refused_and_reported(
    cameras: TestAuthority, doors: RunningDoors, maker: Maker
) -> None:
    key = generate(KeyAlgorithm.P256)
    assert come(doors, "cameras", a_request(key=key), maker.device("A1")).status == 200
    with capture_logs() as logs:
        answer = come(doors, "cameras", a_request(key=key), maker.device("A2"))
    assert answer.status == 422
    assert b"cam-A1" not in answer.body
    (refused,) = [each for each in logs if each["event"] == "enrollment.refused"]
    assert "is that of thing 'cam-A1', asked for by 'cam-A2'" in refused["reason"]
    assert issued(cameras) == 1
    assert come(doors, "cameras", a_request(), maker.device("A2")).status == 200


def test_a_ca_counts_from_its_registration_to_its_deactivation(
    live_authority: TestAuthority, doors: RunningDoors, maker: Maker
) -> None:
    site, device = live_authority, maker.device("A1")
    enrollment(site, CAMERAS)
    with pytest.raises(subprocess.CalledProcessError):
        come(doors, "cameras", a_request(), device)
    register(site, maker)
    doors.settle()
    assert come(doors, "cameras", a_request(), device).status == 200
    with change(site.db, site.clock, OPERATOR) as changing:
        set_foreign_state(changing, "acme", ForeignState.INACTIVE)
    doors.settle()
    with pytest.raises(subprocess.CalledProcessError):
        come(doors, "cameras", a_request(), device)
    assert issued(site) == 1


def test_a_revoked_device_stays_out_and_an_old_crl_lets_nobody_in(
    live_authority: TestAuthority, maker: Maker, live_clock: FakeClock, tmp_path: Path
) -> None:
    good, bad = maker.device("A1"), maker.device("A2")
    register(live_authority, maker, crl=maker.crl(bad.certificate, lasts=2 * DAY))
    enrollment(live_authority, CAMERAS)
    running = RunningDoors(live_authority, tmp_path / "bell-3")
    try:
        assert come(running, "cameras", a_request(), good).status == 200
        with pytest.raises(subprocess.CalledProcessError):
            come(running, "cameras", a_request(), bad)
        live_clock.advance(2 * DAY)
        with pytest.raises(subprocess.CalledProcessError):
            come(running, "cameras", a_request(), good)
        later = Maker(maker.certificate, maker.key, maker.folder, live_clock.now())
        with change(live_authority.db, live_authority.clock, OPERATOR) as changing:
            replace_crl(changing, "acme", later.crl(bad.certificate))
        running.settle()
        assert come(running, "cameras", a_request(), good).status == 200
    finally:
        running.close()


def test_a_customers_ca_is_not_a_makers(
    live_authority: TestAuthority, doors: RunningDoors, maker: Maker, tmp_path: Path, live_clock: FakeClock
) -> None:
    site, customer = live_authority, Maker.new(tmp_path, live_clock.now(), "A customer")
    register(site, maker)
    register(site, customer, "customer-1", ForeignPurpose.CUSTOMER)
    enrollment(site, CAMERAS)
    rooms = 'name = "rooms"\nprofile = "device"\nproofs = ["customer-ca"]\n'
    enrollment(site, rooms + '[thing]\nname = "room-{cn}"\ncreate = true\n')
    doors.settle()
    assert come(doors, "cameras", a_request(), customer.device("A1")).status == 401
    assert come(doors, "rooms", a_request(), maker.device("A1")).status == 401
    assert issued(site) == 0
    assert come(doors, "rooms", a_request(), customer.device("A1", common_name="12")).status == 200
    assert [row.method for row in certificates(site.db, "room-12")] == ["customer-ca"]


def test_a_stranger_can_renew_nothing_and_is_nobody_elsewhere(
    cameras: TestAuthority, doors: RunningDoors, maker: Maker
) -> None:
    device = maker.device("A1")
    assert come(doors, "cameras", a_request(), device).status == 200
    words = ["--cert", str(device.chain_file), "--key", str(device.key_file)]
    url = f"https://localhost:{doors.https}/.well-known/est/cameras/simplereenroll"
    header = ["--header", "Content-Type: application/pkcs10"]
    assert curl(url, *words, *header, root=cameras.root_file, data=a_request("cam-A1")).status == 403
    assert issued(cameras) == 1


def test_an_enrollment_that_is_not_there_or_closed(cameras: TestAuthority, doors: RunningDoors, maker: Maker) -> None:
    enrollment(cameras, CAMERAS.replace('"cameras"', '"closed"').replace("[thing]", "enabled = false\n[thing]"))
    for label in ("nothing", "closed"):
        assert come(doors, label, a_request(), maker.device("A1")).status == 404
    assert issued(cameras) == 0
