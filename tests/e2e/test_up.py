"""`troth up` as an operator meets it: ready, watched, mended, drained, and plain about what keeps it from starting."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.clients import Door, Visit, mosquitto, openssl
from tests.fixtures.estate import Credential, Estate, run
from tests.fixtures.mosquitto import mosquitto as mosquitto_server
from tests.fixtures.platform import Platform, is_alive, troth, until

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl", "curl", "mosquitto_pub")]

CHILDREN = ("broker", "authority", "gateway-0", "gateway-1", "web", "time")
SERVER_UNAVAILABLE = 3
"""The CONNACK code of MQTT 3.1.1."""
Start = Callable[..., Platform]
NOT_FOUND, CONFLICT, BAD_KEY, MISCONFIGURED = 13, 14, 16, 22


@pytest.fixture
def start() -> Iterator[Start]:
    """A starter of platforms that are not left running when a test fails."""
    made: list[Platform] = []

    def starting(home: Path, *words: str, **settings: str) -> Platform:
        made.append(Platform(home, {f"TROTH_{name}": value for name, value in settings.items()}))
        return made[-1].start(*words)

    yield starting
    for platform in made:
        if platform.process is not None:
            platform.kill()


@pytest.fixture(scope="module")
def running(born: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose processes may be killed."""
    home = shutil.copytree(born, tmp_path_factory.mktemp("running") / "home")
    platform = Platform(home, {"TROTH_PROCESSES__GATEWAY": "2"}).start()
    yield platform
    pids = [each["pid"] for each in platform.processes().values()]
    assert platform.stop() == 0
    assert not [pid for pid in pids if is_alive(pid)]


@pytest.fixture
def estate(running: Platform, tmp_path: Path) -> Iterator[Estate]:
    """A maker of things."""
    with Estate(running, tmp_path) as made:
        yield made


def phones_home(platform: Platform, who: Credential) -> bool:
    """Say whether a device is let in and heard."""
    door = Door(platform.address("mqtt")[1], platform.home / "root.pem")
    return mosquitto(door, Visit(who, who.thing, f"home/{who.thing}/x", "x")).acknowledged


def test_ready_says_what_status_says(running: Platform) -> None:
    status = running.run("status")
    assert status["running"]
    assert status["listen"] == running.listen
    assert set(running.listen) == {"mqtt", "https", "public", "operators", "time"}
    for name in running.listen.keys() - {"time"}:  # which is asked by UDP, in test_device_clocks
        socket.create_connection(running.address(name)).close()
    assert [each["name"] for each in status["processes"]] == list(CHILDREN)
    assert {each["state"] for each in status["processes"]} == {"running"}
    assert all(is_alive(each["pid"]) for each in status["processes"])
    assert status["counts"]["certificates"] >= 3
    text = troth(running.home, "status").stdout
    assert text.startswith("localhost: running\n")
    assert all(address in text for address in running.listen.values())
    assert all(str(each["pid"]) in text for each in status["processes"])


def test_the_operator_sees_that_the_home_is_ready(running: Platform, estate: Estate) -> None:
    operator = running.home / "operator"
    url = f"https://localhost:{running.address('operators')[1]}/ready"
    status, body = estate.curl("--cert", str(operator / "operator.pem"), "--key", str(operator / "operator.key"), url)
    assert (status, json.loads(body)["ready"]) == (200, True)
    status, body = estate.curl(f"http://localhost:{running.address('public')[1]}/health")
    assert (status, json.loads(body)) == (200, {"status": "alive"})


@pytest.mark.parametrize("name", CHILDREN)
def test_a_child_that_is_killed_is_back_and_serves(running: Platform, estate: Estate, name: str) -> None:
    thermostat = estate.enrolled("thermostat")
    before, mark = running.processes()[name], running.mark()
    os.kill(before["pid"], signal.SIGKILL)
    died = running.wait_for("child.died", mark, child=name)
    assert (died["pid"], died["code"]) == (before["pid"], -signal.SIGKILL)
    assert running.wait_for("child.restarts", mark, child=name)["after_s"] > 0
    until(partial(back, running, name, before), f"{name} running again")
    assert running.processes()[name]["restarts"] == before["restarts"] + 1
    until(lambda: phones_home(running, thermostat), "phoning home")
    assert phones_home(running, estate.enroll(thermostat.thing)), "nobody can be enrolled"
    url = f"https://localhost:{running.address('operators')[1]}/ready"
    operator = running.home / "operator"
    shown = ("--cert", str(operator / "operator.pem"), "--key", str(operator / "operator.key"))
    assert json.loads(estate.curl(*shown, url)[1])["ready"]


def back(platform: Platform, name: str, before: dict[str, Any]) -> bool:
    """Say whether a child runs under another process id."""
    processes = json.loads((platform.home / "run" / "status.json").read_text())["processes"]
    (now,) = [each for each in processes if each["name"] == name]
    return bool(now["state"] == "running" and now["pid"] != before["pid"])


def test_who_dies_again_and_again_is_waited_for_longer_and_longer(running: Platform) -> None:
    mark = running.mark()
    waits: list[float] = []
    for _ in range(2):
        before = running.processes()["web"]
        here = running.mark()
        os.kill(before["pid"], signal.SIGKILL)
        waits.append(running.wait_for("child.restarts", here, child="web")["after_s"])
        until(partial(back, running, "web", before), "web running again")
    assert waits[1] == 2 * waits[0]
    assert len(running.events("child.died", mark, child="web")) == 2


def test_sigterm_drains_and_leaves_nothing(start: Start, home: Path, tmp_path: Path) -> None:
    platform = start(home)
    with Estate(platform, tmp_path) as estate:
        thermostat = estate.enrolled("thermostat")
        # It stays when it has been answered, since nobody closes its input.
        process = subprocess.Popen(
            ["mosquitto_sub", "-h", "localhost", "-p", str(platform.address("mqtt")[1]), "-i", thermostat.thing,
             "--cafile", home / "root.pem", "--cert", thermostat.chain_file, "--key", thermostat.key_file,
             "-t", f"home/{thermostat.thing}/#"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: platform.run("session", "list"), "a session")
    pids = [each["pid"] for each in platform.processes().values()]
    mark = platform.mark()
    assert platform.stop() == 0
    process.kill()
    process.wait()
    assert platform.events("session.closed", mark, certificate_id=thermostat.certificate_id, reason="shutdown")
    assert not platform.events("child.killed", mark)
    assert not platform.events("child.died", mark)
    assert not [pid for pid in pids if is_alive(pid)]
    for name in platform.listen:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(platform.address(name))
    status = platform.run("status")
    assert (status["running"], status["listen"], status["processes"]) == (False, {}, [])
    assert platform.run("session", "list") == []


def test_no_child_outlives_a_supervisor_that_was_killed(start: Start, home: Path) -> None:
    platform = start(home)
    pids = {name: each["pid"] for name, each in platform.processes().items()}
    platform.kill()
    until(lambda: not [name for name, pid in pids.items() if is_alive(pid)], "the end of all children")
    assert not platform.run("status")["running"]
    # The home is free again, and Ctrl-C ends it as well as SIGTERM does.
    platform.start()
    assert platform.process is not None
    platform.process.send_signal(signal.SIGINT)
    assert platform.process.wait(30) == 0
    platform.kill()


@pytest.mark.needs("mosquitto")
def test_a_broker_that_wants_tls_a_certificate_and_a_password(start: Start, home: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("open sesame\n")
    users = tmp_path / "users"
    run("mosquitto_passwd", "-c", "-b", users, "gateway", "open sesame")
    server, operator = home / "servers" / "web", home / "operator" / "operator"
    anchors = tmp_path / "anchors.pem"
    anchors.write_bytes((home / "root.pem").read_bytes() + operator.with_suffix(".pem").read_bytes())
    settings = f"allow_anonymous false\npassword_file {users}"
    chain, key = server.with_suffix(".pem"), server.with_suffix(".key")
    with mosquitto_server(tmp_path / "broker", anchors=anchors, chain=chain, key=key, settings=settings) as broker:
        wanted = {
            "BROKER__URL": f"mqtts://localhost:{broker.port}",
            "BROKER__CA_FILE": "root.pem",
            "BROKER__CERT_FILE": "operator/operator.pem",
            "BROKER__KEY_FILE": "operator/operator.key",
            "BROKER__USERNAME": "gateway",
            "BROKER__PASSWORD_FILE": str(tmp_path / "password"),
            "PROCESSES__GATEWAY": "1",
            "PROCESSES__WEB": "0",
        }
        platform = start(home, **wanted)
        with Estate(platform, tmp_path) as estate:
            assert phones_home(platform, estate.enrolled("thermostat"))
        assert list(platform.processes()) == ["authority", "gateway-0", "time"]
        assert platform.stop() == 0


def test_a_broker_that_is_not_there(start: Start, home: Path, tmp_path: Path) -> None:
    """The home comes up without it, tells devices to come again, and says why in its log."""
    platform = start(home, BROKER__URL=f"unix:{tmp_path / 'nobody.sock'}", PROCESSES__GATEWAY="1")
    with Estate(platform, tmp_path) as estate:
        thermostat = estate.enrolled("thermostat")
        door = Door(platform.address("mqtt")[1], home / "root.pem")
        assert openssl(door, Visit(thermostat, thermostat.thing, "x", "x")).connack == SERVER_UNAVAILABLE
    assert platform.wait_for("connection.refused")["reason"] == "upstream-unavailable"
    assert platform.stop() == 0


def test_an_encrypted_home(start: Start, encrypted: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(encrypted, tmp_path / "home"))
    for key in home.rglob("*.key"):
        assert b"ENCRYPTED PRIVATE KEY" in key.read_bytes()
    platform = start(home, "--passphrase-file", str(encrypted.parent / "passphrase"))
    with Estate(platform, tmp_path) as estate:
        assert phones_home(platform, estate.enrolled("thermostat"))
    assert platform.process is not None
    for pid in (platform.process.pid, *(each["pid"] for each in platform.processes().values())):
        for file in ("cmdline", "environ"):
            assert b"correct horse" not in Path(f"/proc/{pid}/{file}").read_bytes()
    assert platform.stop() == 0
    assert "correct horse" not in platform.log_file.read_text()
