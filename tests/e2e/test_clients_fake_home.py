"""Homes that are not the home: other people's clients refuse them, and say not a word of MQTT to them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from tests.fixtures.clients import Client, Door, Visit, gnutls, mosquitto, openssl, openssl_tls12, paho_mqtt
from tests.fixtures.estate import Credential
from tests.fixtures.lines import Lines
from tests.fixtures.mosquitto import Mosquitto
from tests.fixtures.mosquitto import mosquitto as mosquitto_server
from tests.fixtures.story import Story, new_nonce, signed_elsewhere

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.needs("openssl", "curl", "mosquitto", "mosquitto_pub", "mosquitto_sub", "gnutls-cli"),
]

UNKNOWN_CA: Final = 48
BAD_CERTIFICATE: Final = 42
INTERNAL_ERROR: Final = 80
FAKES: Final = {
    "fake-home-other-ca": {
        mosquitto: ("certificate verify failed", UNKNOWN_CA),
        openssl: ("unable to get local issuer certificate", UNKNOWN_CA),
        openssl_tls12: ("unable to get local issuer certificate", UNKNOWN_CA),
        paho_mqtt: ("unable to get local issuer certificate", UNKNOWN_CA),
        gnutls: ("The certificate issuer is unknown", BAD_CERTIFICATE),
    },
    "fake-home-wrong-name": {
        mosquitto: ("certificate verify failed", INTERNAL_ERROR),
        openssl: ("hostname mismatch", BAD_CERTIFICATE),
        openssl_tls12: ("hostname mismatch", BAD_CERTIFICATE),
        paho_mqtt: ("Hostname mismatch, certificate is not valid for 'localhost'", BAD_CERTIFICATE),
        gnutls: ("The name in the certificate does not match the expected", BAD_CERTIFICATE),
    },
}
"""What each client says of each fake home, and the alert that the fake home is sent (RFC 8446, section 6.2)."""


@contextmanager
def fake_home(identity: Credential, root_file: Path) -> Iterator[tuple[Door, Lines]]:
    """Run ``openssl s_server`` for one client, to which it shows `identity`, and yield what it prints."""
    process = subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-verify", "2", "-cert",
         identity.chain_file, "-cert_chain", identity.chain_file, "-key", identity.key_file],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        lines = Lines(process.stdout)
        port = int(lines.wait_for(lambda line: line.startswith("ACCEPT "), "its port").rpartition(":")[2])
        try:
            yield Door(port, root_file), lines
        finally:
            process.terminate()


@contextmanager
def server(story: Story, folder: Path, identity: Credential) -> Iterator[tuple[Door, Mosquitto]]:
    """Run Mosquitto, which shows `identity`, and takes the home's devices for its own."""
    anchors = folder / "anchors.pem"
    anchors.write_bytes(story.estate.root_file.read_bytes() + story.cast.in_time.chain_file.read_bytes())
    with mosquitto_server(
        folder, anchors=anchors, chain=identity.chain_file, key=identity.key_file, settings="allow_anonymous true"
    ) as running:
        yield Door(running.port, story.estate.root_file), running


@pytest.mark.parametrize("client", [mosquitto, openssl, openssl_tls12, paho_mqtt, gnutls])
@pytest.mark.parametrize("case", FAKES)
def test_a_fake_home_is_refused(embedded: Story, tmp_path: Path, case: str, client: Client) -> None:
    if case == "fake-home-other-ca":
        fake = signed_elsewhere(tmp_path, "localhost", "other root", "subjectAltName=DNS:localhost")
    else:
        fake = embedded.cast.printer
    words, alert = FAKES[case][client]
    thermostat = embedded.cast.thermostat
    visit = Visit(thermostat, embedded.estate.name(f"{thermostat.thing}:x"), "home/x", new_nonce())
    with fake_home(fake, embedded.estate.root_file) as (door, lines):
        fared = client(door, visit)
        assert words in fared.text, fared
        assert fared.connack is None
        lines.wait_for(lambda line: f"SSL alert number {alert}" in line, f"alert {alert}")
    assert visit.client_id not in "".join(lines.wait_for_end()), "the device has said who it is"


@pytest.mark.parametrize("client", [mosquitto, openssl, openssl_tls12, paho_mqtt, gnutls])
def test_the_same_server_with_the_homes_certificate_is_trusted(embedded: Story, tmp_path: Path, client: Client) -> None:
    servers = embedded.platform.home / "servers"
    genuine = Credential("home", embedded.cast.server.certificate, servers / "gateway.pem", servers / "gateway.key")
    thermostat = embedded.cast.thermostat
    visit = Visit(thermostat, embedded.estate.name(f"{thermostat.thing}:x"), "home/x", new_nonce())
    with server(embedded, tmp_path, genuine) as (door, running):
        fared = client(door, visit)
        assert (fared.connack, fared.acknowledged) == (0, True), fared
        assert running.wait_for("as ", visit.client_id)
