"""Homes that are not the home: other people's clients refuse them, and say not a word of MQTT to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from tests.fixtures.clients import Client, Door, Visit, gnutls, mosquitto, openssl, paho_mqtt
from tests.fixtures.estate import Credential
from tests.fixtures.mosquitto import Mosquitto
from tests.fixtures.mosquitto import mosquitto as mosquitto_server
from tests.fixtures.story import Story, new_nonce, signed_elsewhere

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.needs("openssl", "curl", "mosquitto", "mosquitto_pub", "mosquitto_sub", "gnutls-cli"),
]

UNKNOWN_CA: Final = "tlsv1 alert unknown ca"
BAD_CERTIFICATE: Final = "sslv3 alert bad certificate"
FAKES: Final = {
    "fake-home-other-ca": {
        mosquitto: ("certificate verify failed", UNKNOWN_CA),
        openssl: ("unable to get local issuer certificate", UNKNOWN_CA),
        paho_mqtt: ("unable to get local issuer certificate", UNKNOWN_CA),
        gnutls: ("The certificate issuer is unknown", BAD_CERTIFICATE),
    },
    "fake-home-wrong-name": {
        mosquitto: ("certificate verify failed", "tlsv1 alert internal error"),
        openssl: ("hostname mismatch", BAD_CERTIFICATE),
        paho_mqtt: ("Hostname mismatch, certificate is not valid for 'localhost'", BAD_CERTIFICATE),
        gnutls: ("The name in the certificate does not match the expected", BAD_CERTIFICATE),
    },
}
"""What each client says of each fake home, and what the fake home hears of it, in OpenSSL's words."""


@contextmanager
def server(story: Story, folder: Path, identity: Credential) -> Iterator[tuple[Door, Mosquitto]]:
    """Run a server that shows `identity`, and takes the home's devices for its own."""
    anchors = folder / "anchors.pem"
    anchors.write_bytes(story.estate.root_file.read_bytes() + story.cast.in_time.chain_file.read_bytes())
    with mosquitto_server(
        folder, anchors=anchors, chain=identity.chain_file, key=identity.key_file, settings="allow_anonymous true"
    ) as running:
        yield Door(running.port, story.estate.root_file), running


@pytest.mark.parametrize("client", [mosquitto, openssl, paho_mqtt, gnutls])
@pytest.mark.parametrize("case", FAKES)
def test_a_fake_home_is_refused(embedded: Story, tmp_path: Path, case: str, client: Client) -> None:
    if case == "fake-home-other-ca":
        fake = signed_elsewhere(tmp_path, "localhost", "other root", "subjectAltName=DNS:localhost")
    else:
        fake = embedded.cast.printer
    words, alert = FAKES[case][client]
    thermostat = embedded.cast.thermostat
    visit = Visit(thermostat, embedded.estate.name(f"{thermostat.thing}:x"), "home/x", new_nonce())
    with server(embedded, tmp_path, fake) as (door, running):
        fared = client(door, visit)
        assert words in fared.text, fared
        assert fared.connack is None
        assert running.wait_for("OpenSSL Error", alert), "the fake home was not told why"
        running.stop()
        assert not running.wait_for("as ", visit.client_id), "the device has said who it is"


@pytest.mark.parametrize("client", [mosquitto, openssl, paho_mqtt, gnutls])
def test_the_same_server_with_the_homes_certificate_is_trusted(embedded: Story, tmp_path: Path, client: Client) -> None:
    servers = embedded.platform.home / "servers"
    genuine = Credential("home", embedded.cast.server.certificate, servers / "gateway.pem", servers / "gateway.key")
    thermostat = embedded.cast.thermostat
    visit = Visit(thermostat, embedded.estate.name(f"{thermostat.thing}:x"), "home/x", new_nonce())
    with server(embedded, tmp_path, genuine) as (door, running):
        fared = client(door, visit)
        assert (fared.connack, fared.acknowledged) == (0, True), fared
        assert running.wait_for("as ", visit.client_id)
