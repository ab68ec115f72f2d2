"""Devices without any code of ours: TLS stacks of small devices, and a client whose key is in a token."""

import base64
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
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
    """The device on wolfSSL, compiled."""
    return compiled(tmp_path_factory.mktemp("wolfssl"), "wolfssl_device", "-lwolfssl")


@pytest.fixture(scope="module")
def mbedtls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The device on mbed TLS, compiled."""
    libraries = ("-lmbedtls", "-lmbedx509", "-lmbedcrypto")
    return compiled(tmp_path_factory.mktemp("mbedtls"), "mbedtls_device", *libraries)


def compiled(folder: Path, name: str, *libraries: str) -> Path:
    """Compile a device; warnings are errors."""
    program = folder / name
    words = ["gcc", "-O1", "-Wall", "-Werror", "-o", str(program), str(SOURCES / f"{name}.c"), *libraries]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    return program


@dataclass(frozen=True)
class Stack:
    """A device on some TLS stack, and the words in which it refuses a home."""

    program: Path
    version: str
    unknown_issuer: str
    wrong_name: str
    constrained: str

    def talk(
        self, story: Story, who: Credential, *packets: bytes, root: Path | None = None, home: str = "localhost"
    ) -> Sequence[str]:
        """Send packets as `who`, to what is to be `home`; return the lines that the program prints."""
        where = [home, story.door.port, root or story.estate.root_file]
        words = [self.program, *where, who.chain_file, who.key_file, 8, "127.0.0.1"]
        done = subprocess.run([*map(str, words)], input=b"".join(packets), capture_output=True, timeout=30, check=False)
        return done.stdout.decode().splitlines()


REFUSALS = {
    "wolfssl": ("TLSv1.3", "handshake -188", "handshake -322", "handshake -198"),
    "mbedtls": ("TLSv1.2", "handshake -0x2700", "handshake -0x2700", "handshake -0x2562"),
}
STACKS = [
    pytest.param("wolfssl", marks=pytest.mark.needs("gcc", "libc-headers", "wolfssl")),
    pytest.param("mbedtls", marks=pytest.mark.needs("gcc", "libc-headers", "mbedtls")),
]


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> Stack:
    """Each stack in turn."""
    program: Path = request.getfixturevalue(request.param)
    return Stack(program, *REFUSALS[request.param])


def test_a_small_stack_connects_and_is_heard(embedded: Story, stack: Stack) -> None:
    lamp = embedded.estate.enrolled("thermostat")
    topic, nonce = f"home/{lamp.thing}/temperature", new_nonce()
    service = embedded.listen(topic)
    connect = render(Connect(lamp.thing))
    reading = build_publish(topic, nonce.encode(), qos=1, packet_id=1).raw
    lines = stack.talk(embedded, lamp, connect, reading)
    assert len(lines) == 2, lines
    handshake, answer = lines
    assert answer == ACCEPTED_AND_TAKEN
    version, sent, received = handshake.split()
    # One certificate from the device, two from the home: docs/hardware.md says how many bytes that takes.
    assert version == stack.version
    assert int(sent) < 1300
    assert int(received) < 2000
    service.wait_for(topic, nonce)


def test_a_small_stack_is_refused_with_a_certificate_of_another_ca(embedded: Story, stack: Stack) -> None:
    mark = embedded.platform.mark()
    lines = stack.talk(embedded, embedded.cast.other_ca, render(Connect("thermostat")))
    assert not re.search(r"[0-9a-f]{8}$", lines[-1]) or "-0x" in lines[-1], lines
    embedded.platform.wait_for("handshake.failed", mark, reason="unknown-issuer")


def test_a_small_stack_tells_impostors_nothing(embedded: Story, stack: Stack) -> None:
    lamp, connect = embedded.cast.thermostat, render(Connect("thermostat"))
    another_root = embedded.cast.self_signed.chain_file
    assert stack.talk(embedded, lamp, connect, root=another_root) == [stack.unknown_issuer]
    assert stack.talk(embedded, lamp, connect, home="printer.localhost") == [stack.wrong_name]


@pytest.mark.needs("mosquitto")
def test_a_ca_that_is_held_to_names_is_no_good_for_small_stacks(on_mosquitto: Story, stack: Stack) -> None:
    """Where the home's certificate holds an address, as this one's does. docs/hardware.md says what they take."""
    lines = stack.talk(on_mosquitto, on_mosquitto.cast.thermostat, render(Connect("thermostat")))
    assert lines == [stack.constrained]


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
