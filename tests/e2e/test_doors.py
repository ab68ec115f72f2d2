"""The doors of a platform as a device meets them: names, protocols, and certificates that change while it stays."""

import os
import shutil
import signal
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.balancers import LISTED, all_that_comes, dial, header
from tests.fixtures.estate import OWN, Credential, Estate
from tests.fixtures.mqtt import Talk, allow
from tests.fixtures.platform import Platform, until
from tests.unit.tls.certificates import SERVER, authority, leaf

from troth.clock import SystemClock
from troth.keys.file import FileKey, render_key
from troth.registry.sessions import list_sessions
from troth.store.read import read
from troth.tls.client import client_context, refusal

pytestmark = pytest.mark.e2e

ELSEWHERE = authority("A public CA")
NAME = "iot.example.org"


def put(folder: Path, name: str = NAME) -> x509.Certificate:
    """Put a certificate of another CA, and its key, where the doors look for them."""
    held = leaf(name, ELSEWHERE, SERVER, names=[name])
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.key").write_bytes(render_key(FileKey(held.key), None))
    (folder / f"{name}.pem").write_bytes(held.certificate.public_bytes(Encoding.PEM))
    return held.certificate


@pytest.fixture(scope="module")
def platform(born: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with two workers, a second certificate and a load balancer."""
    home = shutil.copytree(born, tmp_path_factory.mktemp("doors") / "home")
    put(home / "servers" / "names")
    settings = {"BALANCERS": f"{LISTED}/32", "UNKNOWN_SERVER_NAME": "refuse"}
    extra = {f"TROTH_GATEWAY__{name}": value for name, value in settings.items()}
    started = Platform(home, {"TROTH_PROCESSES__GATEWAY": "2", **extra}).start()
    yield started
    assert started.stop() == 0


@pytest.fixture(scope="module")
def estate(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    with Estate(platform, tmp_path_factory.mktemp("estate")) as made:
        yield made


def connection(
    platform: Platform, who: Credential | None, name: str = "localhost", *, alpn: tuple[str, ...] = (), at: str = "mqtt"
) -> ssl.SSLSocket:
    """Return a connection whose handshake is done."""
    plain = socket.create_connection(platform.address(at), 10)
    return context_of(platform, who, alpn).wrap_socket(plain, server_hostname=name)


def context_of(platform: Platform, who: Credential | None, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """Return what a client has that trusts both CAs."""
    roots = [*x509.load_pem_x509_certificates((platform.home / "root.pem").read_bytes()), ELSEWHERE.certificate]
    chain, key = (who.chain_file, who.key_file) if who else (None, None)
    return client_context(roots, chain_path=chain, key_path=key, alpn=alpn)


def shown(platform: Platform, name: str = "localhost") -> x509.Certificate:
    """Return the certificate of whichever worker is met."""
    with connection(platform, None, name) as talk:
        return x509.load_der_x509_certificate(talk.getpeercert(binary_form=True) or b"")


@pytest.mark.parametrize(
    ("at", "good", "wrong"),
    [("mqtt", ("mqtt", "x-amzn-mqtt-ca"), "http/1.1"), ("https", ("http/1.1", "x-amzn-http-ca"), "mqtt")],
)
def test_a_door_speaks_its_own_protocol_alone(platform: Platform, at: str, good: tuple[str, ...], wrong: str) -> None:
    for each in good:
        with connection(platform, None, alpn=("h2", each), at=at) as talk:
            assert talk.selected_alpn_protocol() == each
    with connection(platform, None, at=at) as talk:
        assert talk.selected_alpn_protocol() is None
    mark = platform.mark()
    with pytest.raises(ssl.SSLError) as refused:
        connection(platform, None, alpn=(wrong,), at=at)
    assert refusal(refused.value).alert == "no_application_protocol"
    event = platform.wait_for("handshake.failed", mark, listener=at, reason="no-shared-protocol")
    assert event["detail"] == "no application protocol"


@pytest.mark.parametrize("at", ["mqtt", "https"])
def test_a_name_that_is_none_of_ours_is_refused_where_that_is_said(platform: Platform, at: str) -> None:
    mark = platform.mark()
    with pytest.raises(ssl.SSLError) as refused:
        connection(platform, None, "elsewhere.example.org", at=at)
    assert refusal(refused.value).alert == "unrecognized_name"
    platform.wait_for("handshake.failed", mark, listener=at, reason="unknown-server-name")
    connection(platform, None, NAME, at=at).close()


def test_policy_knows_the_name_that_was_asked_for(platform: Platform, estate: Estate) -> None:
    connect = allow("iot:Connect", "client/*") | {"Condition": {"StringEquals": {"iot:DomainName": NAME}}}
    lamp = estate.enrolled("lamp", connect)
    assert shown(platform, NAME) != shown(platform)
    for name, code in ((NAME, 0), ("localhost", 5)):
        with Talk(connection(platform, lamp, name, alpn=("x-amzn-mqtt-ca",))) as talk:
            assert talk.connect(lamp.thing).code == code


def test_every_door_for_devices_hears_a_balancer(platform: Platform, estate: Estate) -> None:
    here = allow("iot:Connect", "client/*") | {"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.7"}}}
    lamp = estate.enrolled("lamp", here)
    with Talk(passed_on(platform, lamp, "mqtt")) as talk:
        assert talk.connect(lamp.thing).code == 0
    get = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with passed_on(platform, None, "https") as https:
        https.sendall(get)
        assert all_that_comes(https).startswith(b"HTTP/1.1 404")
    with dial(platform.address("public")[1]) as public:
        public.sendall(header("192.0.2.7", 4711) + get)
        assert all_that_comes(public).startswith(b"HTTP/1.1 404")
    for at in ("mqtt", "https", "public"):
        mark = platform.mark()
        with dial(platform.address(at)[1]) as plain:
            plain.sendall(get)
            assert all_that_comes(plain) == b""
        platform.wait_for("handshake.failed", mark, listener=at, reason="proxy-header")


def passed_on(platform: Platform, who: Credential | None, at: str) -> ssl.SSLSocket:
    """Return a connection as a balancer passes it on."""
    plain = dial(platform.address(at)[1])
    plain.sendall(header("192.0.2.7", 4711))
    return context_of(platform, who).wrap_socket(plain, server_hostname="localhost")


def test_a_renewed_certificate_is_shown_and_nobody_is_dropped(platform: Platform, estate: Estate) -> None:
    """Another name makes a renewal due, and the authority that is killed sees to it when it is back."""
    lamp = estate.enrolled("lamp", *OWN)
    topic, before = f"home/{lamp.thing}/x", shown(platform)
    with Talk(connection(platform, lamp)) as live:
        assert live.connect(lamp.thing).code == 0
        assert live.subscribe(topic) == (0,)
        settings = platform.home / "troth.toml"
        settings.write_text(settings.read_text().replace("# names = []", 'names = ["mqtt.localhost"]', 1))
        mark = platform.mark()
        os.kill(platform.processes()["authority"]["pid"], signal.SIGKILL)
        platform.wait_for("servers.renewed", mark, servers=["gateway", "web"])
        until(lambda: len(platform.events("doors.renewed", mark)) >= 3, "all doors renewed")
        after = shown(platform, "mqtt.localhost")
        assert after.public_key() == before.public_key()
        assert after.serial_number != before.serial_number
        assert shown(platform) == after
        live.publish(topic, b"still here")
        assert live.message() == (topic, b"still here")
        own = until(partial(worker_of, platform, lamp), "the session in the list")
        (other,) = {"gateway-0", "gateway-1"} - {own}
        os.kill(platform.processes()[other]["pid"], signal.SIGKILL)
        until(partial(restarted, platform, other), f"{other} running again")
        # Whichever worker is met; a few connections meet both.
        assert {shown(platform).serial_number for _ in range(8)} == {after.serial_number}
        live.publish(topic, b"and here")
        assert live.message() == (topic, b"and here")


def worker_of(platform: Platform, who: Credential) -> str:
    """Return the worker that a live connection is with, once it has said so."""
    with platform.database() as db, read(db) as connection:
        rows = list_sessions(connection, SystemClock().now())
    return next((row.worker.split("/")[-2] for row in rows if row.certificate_id == who.certificate_id), "")


def restarted(platform: Platform, name: str) -> bool:
    now = platform.processes()[name]
    return bool(now["state"] == "running" and now["restarts"])
