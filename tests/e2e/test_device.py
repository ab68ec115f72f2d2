"""The device's own commands, as processes that have nothing of the home but its root."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.clients import Visit, mosquitto
from tests.fixtures.commands import Done, command
from tests.fixtures.lines import Lines
from tests.fixtures.platform import environment, troth, until
from tests.fixtures.story import Story, new_nonce

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl", "curl", "mosquitto_pub", "mosquitto_sub")]

UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, CONFLICT, UNAVAILABLE = 11, 12, 13, 14, 21


class Device:
    """A folder with the identity of a thing, and what its owner does with it."""

    def __init__(self, story: Story, folder: Path, thing: str) -> None:
        self.story = story
        self.thing = thing
        self.folder = folder
        self.environment = {"TROTH_IDENTITY": str(folder / f"identity-of-{thing}")}

    @property
    def enroll(self) -> tuple[str, ...]:
        """The words that enroll it, the token by standard input."""
        https, mqtt = self.story.platform.address("https")[1], self.story.door.port
        where = ("--endpoint", f"localhost:{https}", "--mqtt", f"localhost:{mqtt}")
        trust = ("--trust", str(self.story.estate.root_file))
        return ("device", "enroll", *where, *trust, "--thing", self.thing, "--token-file", "-")

    def run(self, *words: str, stdin: bytes = b"") -> Done:
        """Run a command of it, which knows of no home."""
        return command(words, environment(self.folder / "nowhere", self.environment), stdin)

    def answer(self, *words: str, stdin: bytes = b"") -> Any:
        """Return what a command that ends well answers."""
        done = self.run(*words, "--json", stdin=stdin)
        assert done.returncode == 0, done
        return json.loads(done.stdout)


@pytest.fixture
def device(embedded: Story, tmp_path: Path) -> Device:
    """A device that is enrolled."""
    made = Device(embedded, tmp_path, embedded.estate.thing("lamp"))
    made.answer(*made.enroll, stdin=embedded.estate.token(made.thing).encode())
    return made


def test_enroll_and_show(embedded: Story, tmp_path: Path) -> None:
    new = Device(embedded, tmp_path, embedded.estate.thing("lamp"))
    assert new.run("device", "show").returncode == NOT_FOUND
    token = embedded.estate.token(new.thing).encode()
    done = troth(tmp_path / "nowhere", *new.enroll, stdin=token, extra=new.environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"enrolled {new.thing}, until ")
    shown = new.answer("device", "show")
    (row,) = embedded.platform.run("cert", "list", "--thing", new.thing)
    assert (shown["thing"], shown["certificate_id"]) == (new.thing, row["certificate_id"])
    assert (shown["key"], shown["expired"], shown["unfinished"]) == ("P-256", False, False)
    text = new.run("device", "show").stdout
    assert f"thing         {new.thing}\n" in text
    assert f"certificate   {row['certificate_id']}\n" in text
    # The token is spent, and is no good for another device.
    other = Device(embedded, tmp_path / "other", new.thing)
    assert other.run(*other.enroll, stdin=token).returncode == UNAUTHENTICATED
    assert not any(path.name == "current" for path in other.folder.rglob("*"))


def test_enrolling_again_gives_a_new_key_to_the_same_thing_only(device: Device, tmp_path: Path) -> None:
    before = device.answer("device", "show")["certificate_id"]
    token_file = tmp_path / "token"
    token_file.write_text(device.story.estate.token(device.thing) + "\n")
    after = device.answer(*device.enroll[:-1], str(token_file))["certificate_id"]
    assert after != before
    assert device.answer("device", "show")["certificate_id"] == after
    other = device.story.estate.thing("lamp")
    words = [other if word == device.thing else word for word in device.enroll]
    done = device.run(*words, stdin=device.story.estate.token(other).encode())
    assert done.returncode == CONFLICT
    assert device.answer("device", "show")["certificate_id"] == after


def test_a_fake_home_is_not_enrolled_with(device: Device, tmp_path: Path) -> None:
    """The root that the device was given is that of another home; the token does not leave the device."""
    new = Device(device.story, tmp_path / "new", device.story.estate.thing("lamp"))
    token = device.story.estate.token(new.thing)
    stranger = str(device.story.cast.other_ca.chain_file)
    words = [stranger if word == str(device.story.estate.root_file) else word for word in new.enroll]
    done = new.run(*words, stdin=token.encode())
    assert done.returncode == UNAUTHENTICATED
    assert "its certificate was issued by a CA that this device does not trust" in done.stderr
    assert new.run(*new.enroll, stdin=token.encode()).returncode == 0


def test_publish(device: Device) -> None:
    topic, nonce = f"home/{device.thing}/temperature", new_nonce()
    service = device.story.listen(topic)
    done = device.run("device", "publish", "--topic", topic, "--message", nonce)
    assert (done.returncode, done.stdout) == (0, f"published {len(nonce)} bytes to {topic}\n")
    service.wait_for(topic, nonce)
    nonce = new_nonce()
    sent = device.answer("device", "publish", "--topic", topic, "--file", "-", "--qos", "0", stdin=nonce.encode())
    assert sent == {"topic": topic, "bytes": len(nonce), "qos": 0, "retain": False}
    service.wait_for(topic, nonce)


@pytest.mark.parametrize("qos", ["0", "1"])
def test_publishing_as_another_is_forbidden(device: Device, qos: str) -> None:
    done = device.run("device", "publish", "--topic", "home/another/x", "--message", "x", "--qos", qos)
    assert done.returncode == FORBIDDEN
    assert "troth decision list --denied" in done.stderr
    done = device.run("device", "publish", "--topic", "x", "--message", "x", "--client-id", "another")
    assert done.returncode == FORBIDDEN
    assert "CONNACK 5" in done.stderr


@pytest.fixture
def subscriber(device: Device) -> Iterator[tuple[subprocess.Popen[str], Lines, Lines]]:
    """A ``troth device subscribe`` that waits for two messages, and what it says and prints."""
    words = ("--filter", f"home/{device.thing}/#", "--filter", "#", "--count", "2", "--timeout", "60s")
    process = subprocess.Popen(
        [sys.executable, "-m", "troth", "device", "subscribe", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(device.folder / "nowhere", device.environment),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    yield process, Lines(process.stdout), Lines(process.stderr)
    process.kill()
    process.wait()


def test_subscribe(device: Device, subscriber: tuple[subprocess.Popen[str], Lines, Lines]) -> None:
    process, printed, said = subscriber
    topic, nonces = f"home/{device.thing}/wanted", (new_nonce(), new_nonce())
    said.wait_for(lambda line: line == f"subscribed to home/{device.thing}/#", "its subscription")
    assert "refused: #" in said.seen()
    who = device.story.estate.enroll(device.thing)
    for nonce in nonces:
        assert mosquitto(device.story.door, Visit(who, f"{device.thing}:{nonce[-4:]}", topic, nonce)).acknowledged
    assert process.wait(30) == 0
    assert printed.wait_for_end() == [f"{topic} {nonce}" for nonce in nonces]
    said.wait_for_end()


def test_subscribing_in_vain(device: Device) -> None:
    done = device.run("device", "subscribe", "--filter", "home/another/x")
    assert (done.returncode, done.stdout) == (FORBIDDEN, "")
    done = device.run("device", "subscribe", "--filter", f"home/{device.thing}/x", "--count", "1", "--timeout", "1s")
    assert (done.returncode, done.stdout) == (UNAVAILABLE, "")
    assert "0 of 1 messages came within 1s" in done.stderr


def test_revoked(device: Device) -> None:
    device.story.platform.run("cert", "revoke", device.answer("device", "show")["certificate_id"])
    done = device.run("device", "publish", "--topic", f"home/{device.thing}/x", "--message", "x")
    assert done.returncode == FORBIDDEN
    assert "CONNACK 5" in done.stderr
    device.answer(*device.enroll, stdin=device.story.estate.token(device.thing).encode())
    assert device.run("device", "publish", "--topic", f"home/{device.thing}/x", "--message", "x").returncode == 0


def test_renew_goes_over_to_a_new_key_and_the_old_one_ends_with_its_first_use(device: Device) -> None:
    platform = device.story.platform
    before = device.answer("device", "show")
    renewed = device.answer("device", "renew")
    assert (renewed["slot"], renewed["resumed"], renewed["key"]) == ("b", False, before["key"])
    assert renewed["certificate_id"] != before["certificate_id"]
    assert platform.run("cert", "show", before["certificate_id"])["state"] == "ACTIVE"
    device.answer("device", "publish", "--topic", f"home/{device.thing}/temperature", "--message", "21.5")
    until(lambda: platform.run("cert", "show", before["certificate_id"])["state"] == "INACTIVE", "the old one's end")
    assert platform.run("cert", "show", renewed["certificate_id"])["state"] == "ACTIVE"
    assert device.answer("device", "renew", "--key", "P-384")["key"] == "P-384"
    device.answer("device", "publish", "--topic", f"home/{device.thing}/temperature", "--message", "21.5")


def test_renew_needs_an_identity_that_the_home_takes(device: Device) -> None:
    other = Device(device.story, device.folder / "elsewhere", "nobody")
    assert other.run("device", "renew").returncode == NOT_FOUND
    device.story.platform.run("cert", "revoke", device.answer("device", "show")["certificate_id"])
    assert device.run("device", "renew").returncode == UNAUTHENTICATED
