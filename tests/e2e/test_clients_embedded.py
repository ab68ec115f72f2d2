"""Devices without any code of ours: a TLS stack of small devices, and a client whose key is in a token."""

import base64
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates
from tests.fixtures.estate import Credential
from tests.fixtures.softhsm import LABEL, PIN, SoftHSM, softhsm
from tests.fixtures.story import Story, new_nonce

from troth.protocols.mqtt import Connect, build_publish, render

__all__ = ["softhsm"]

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl", "curl", "mosquitto_pub", "mosquitto_sub")]

SOURCES = Path(__file__).with_name("embedded")
ACCEPTED_AND_TAKEN = "20020000" + "40020001"
"""CONNACK and PUBACK, as a client of MQTT 3.1.1 gets them."""


@pytest.fixture(scope="module")
def wolfssl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The device on wolfSSL, compiled; warnings are errors."""
    program = tmp_path_factory.mktemp("wolfssl") / "device"
    source = SOURCES / "wolfssl_device.c"
    words = ["gcc", "-O1", "-Wall", "-Werror", "-o", str(program), str(source), "-lwolfssl"]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    return program


def talk(program: Path, story: Story, who: Credential, *packets: bytes) -> Sequence[str]:
    """Send packets as a device of this stack; return the lines that it prints."""
    words = ["localhost", story.door.port, story.estate.root_file, who.chain_file, who.key_file, 8]
    done = subprocess.run(
        [program, *map(str, words)], input=b"".join(packets), capture_output=True, timeout=30, check=False
    )
    return done.stdout.decode().splitlines()


@pytest.mark.needs("gcc", "libc-headers", "wolfssl")
def test_a_small_stack_connects_and_is_heard(embedded: Story, wolfssl: Path) -> None:
    lamp = embedded.estate.enrolled("thermostat")
    topic, nonce = f"home/{lamp.thing}/temperature", new_nonce()
    service = embedded.listen(topic)
    connect = render(Connect(lamp.thing))
    reading = build_publish(topic, nonce.encode(), qos=1, packet_id=1).raw
    lines = talk(wolfssl, embedded, lamp, connect, reading)
    assert len(lines) == 2, lines
    handshake, answer = lines
    assert answer == ACCEPTED_AND_TAKEN
    version, sent, received = handshake.split()
    assert version == "TLSv1.3"
    # One certificate from the device, two from the home: docs/first-device.md says how many bytes that takes.
    assert int(sent) < 1300
    assert int(received) < 2000
    service.wait_for(topic, nonce)


@pytest.mark.needs("gcc", "libc-headers", "wolfssl")
def test_a_small_stack_is_refused_with_a_certificate_of_another_ca(embedded: Story, wolfssl: Path) -> None:
    mark = embedded.platform.mark()
    lines = talk(wolfssl, embedded, embedded.cast.other_ca, render(Connect("thermostat")))
    assert not re.search(r"[0-9a-f]{8}$", lines[-1]), lines
    embedded.platform.wait_for("handshake.failed", mark, reason="unknown-issuer")


@pytest.mark.needs("softhsm2-util", "pkcs11-engine", "pkcs11-tool")
def test_mosquitto_pub_with_a_key_in_a_token(embedded: Story, softhsm: SoftHSM, tmp_path: Path) -> None:
    """The recipe of docs/hardware.md: key made in the token, request by openssl, both through OpenSSL's engine."""
    thing = embedded.estate.thing("thermostat")
    words = ["pkcs11-tool", "--module", str(softhsm.module), "--token-label", LABEL, "--login", "--pin", PIN]
    softhsm.call([*words, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "lamp", "--id", "01"])
    uri = f"{softhsm.uri('lamp')};type=private?pin-value={PIN}"
    module = {"PKCS11_MODULE_PATH": str(softhsm.module), **softhsm.environment}
    request = tmp_path / "lamp.csr"
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin", **module}
    engine = ["-engine", "pkcs11", "-keyform", "engine", "-key", uri]
    made = ["openssl", "req", "-new", *engine, "-subj", f"/CN={thing}", "-outform", "DER", "-out", str(request)]
    subprocess.run(made, env=environment, check=True, capture_output=True, timeout=30)
    body, chain = tmp_path / "lamp.b64", tmp_path / "lamp.pem"
    body.write_bytes(base64.b64encode(request.read_bytes()))
    status, answer = embedded.estate.simple_enroll(thing, embedded.estate.token(thing), body)
    assert status == 200, answer
    (certificate,) = load_der_pkcs7_certificates(base64.b64decode(answer))
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    topic, nonce = f"home/{thing}/temperature", new_nonce()
    service = embedded.listen(topic)
    told = [
        "mosquitto_pub", "-h", "localhost", "-p", str(embedded.door.port), "--cafile", str(embedded.estate.root_file),
        "--cert", str(chain), "--key", uri, "--keyform", "engine", "--tls-engine", "pkcs11",
        "-i", thing, "-t", topic, "-m", nonce, "-q", "1",
    ]  # fmt: skip
    # Before it knows of the engine, mosquitto 2.0 looks whether the key is a file.
    (tmp_path / uri).touch()
    done = subprocess.run(told, env=environment, cwd=tmp_path, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    service.wait_for(topic, nonce)
