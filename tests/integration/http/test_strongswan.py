"""An EST client by other hands, strongSwan's pki: cacerts, simpleenroll, simplereenroll, and the wait for a person.

It speaks TLS 1.2 alone, cannot read base64 with line breaks, and knows no name constraints for addresses, which our CA
for servers has: here the door shows a certificate of a CA without.
"""

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.fixtures.doors import RunningDoors
from tests.fixtures.enrolling import new_token
from tests.fixtures.issuance import certificates, entries
from tests.fixtures.platform import until

from troth.clock import SystemClock
from troth.enrollment.enrollments import update_enrollment
from troth.enrollment.requests import approve_request
from troth.journal.change import change
from troth.keys.file import FileKey, generate, render_key
from troth.keys.randomness import random_serial
from troth.keys.requests import build_request
from troth.testing.authority import Held, TestAuthority
from troth.x509.algorithms import KeyAlgorithm

WATCHED = """
name = "default"
profile = "device"
proofs = ["token", "approval"]
[approval]
retry = "1s"
"""
pytestmark = pytest.mark.needs("pki")


class StrongSwan:
    """The program, with files in a folder of its own."""

    def __init__(self, doors: RunningDoors, folder: Path) -> None:
        self.doors = doors
        self.folder = folder

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        trusted = ("--cacert", "plain.pem")
        command = ["pki", *words, *trusted, "--url", f"https://localhost:{self.doors.https}"]
        return subprocess.run(command, capture_output=True, cwd=self.folder, timeout=60, check=False)

    def est(self, request: bytes, *words: str) -> x509.Certificate | None:
        """Enroll; None when it was refused."""
        (self.folder / "request.der").write_bytes(request)
        done = self.run("--est", "--in", "request.der", *words)
        return x509.load_der_x509_certificate(done.stdout) if done.returncode == 0 else None


def plain_server(folder: Path) -> Held:
    """Return a server that is certified by a root of its own, which stands in plain.pem."""
    root_key, key = generate(KeyAlgorithm.P256), generate(KeyAlgorithm.P256)
    root = certified("plain root", root_key, "plain root", root_key, None)
    leaf = certified("localhost", key, "plain root", root_key, x509.SubjectAlternativeName([x509.DNSName("localhost")]))
    (folder / "plain.pem").write_bytes(root.public_bytes(Encoding.PEM))
    return Held(leaf, (leaf,), key, folder / "unused", folder / "unused")


def certified(
    name: str, key: FileKey, issuer: str, issuer_key: FileKey, names: x509.SubjectAlternativeName | None
) -> x509.Certificate:
    now = SystemClock().now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(common_name(name))
        .issuer_name(common_name(issuer))
        .public_key(key.private_key.public_key())
        .serial_number(random_serial())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    assert isinstance(issuer_key.private_key, ec.EllipticCurvePrivateKey)
    return builder.sign(issuer_key.private_key, SHA256())


def common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@pytest.fixture
def strongswan(live_authority: TestAuthority, tmp_path: Path) -> Iterator[StrongSwan]:
    """The client, before our doors."""
    running = RunningDoors(live_authority, tmp_path / "bell", identity=plain_server(tmp_path))
    yield StrongSwan(running, tmp_path)
    running.close()


def test_it_fetches_the_issuers(strongswan: StrongSwan) -> None:
    done = strongswan.run("--estca", "--caout", "ca.pem", "--outform", "pem")
    assert done.returncode == 0, done.stderr.decode()
    found = {x509.load_pem_x509_certificate(file.read_bytes()) for file in strongswan.folder.glob("ca*.pem")}
    assert strongswan.doors.site.root in found


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA2048, KeyAlgorithm.P256])
def test_it_enrolls_and_renews(strongswan: StrongSwan, algorithm: KeyAlgorithm) -> None:
    site = strongswan.doors.site
    secret, key = new_token(site), generate(algorithm)
    first = strongswan.est(build_request(key, "lamp-1"), "--userpass", f"lamp-1:{secret}")
    assert first is not None
    assert first.public_key() == key.public_key
    own = kept(strongswan.folder, first, key)
    following = generate(algorithm)
    second = strongswan.est(build_request(following, "lamp-1"), *own)
    assert second is not None
    assert second.public_key() == following.public_key
    assert [row.state for row in certificates(site.db, "lamp-1")] == ["ACTIVE", "ACTIVE"]


def test_it_is_refused_without_a_proof(strongswan: StrongSwan) -> None:
    site, key = strongswan.doors.site, generate(KeyAlgorithm.P256)
    secret = new_token(site)
    request = build_request(key, "lamp-1")
    assert strongswan.est(request, "--userpass", "lamp-1:" + "A" * 22) is None
    assert strongswan.est(request) is None
    revoked = site.device("lamp-1")
    site.revoke(revoked)
    assert strongswan.est(request, *kept(strongswan.folder, revoked.certificate, revoked.key)) is None
    assert strongswan.est(request, "--userpass", f"lamp-1:{secret}") is not None


def test_it_waits_for_a_person(strongswan: StrongSwan) -> None:
    site = strongswan.doors.site
    with change(site.db, site.clock, "operator:anna") as changing:
        update_enrollment(changing, WATCHED)
    secret, key = new_token(site), generate(KeyAlgorithm.P256)
    (strongswan.folder / "request.der").write_bytes(build_request(key, "lamp-1"))
    words = ["pki", "--est", "--in", "request.der", "--cacert", "plain.pem", "--userpass", f"lamp-1:{secret}"]
    words += ["--interval", "1", "--url", f"https://localhost:{strongswan.doors.https}"]
    with subprocess.Popen(words, cwd=strongswan.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        until(lambda: entries(site.db, "request.filed") or client.poll() is not None, "the request's arrival")
        assert client.poll() is None, client.communicate()[1].decode()
        (waiting,) = entries(site.db, "request.filed")
        assert certificates(site.db, "lamp-1") == []
        with change(site.db, site.clock, "operator:anna") as changing:
            approve_request(changing, waiting.subject)
        told, errors = client.communicate(timeout=60)
    assert client.returncode == 0, errors.decode()
    assert x509.load_der_x509_certificate(told).public_key() == key.public_key


def kept(folder: Path, certificate: x509.Certificate, key: FileKey) -> tuple[str, ...]:
    (folder / "own.der").write_bytes(certificate.public_bytes(Encoding.DER))
    (folder / "own.key").write_bytes(render_key(key, None))
    return "--cert", "own.der", "--key", "own.key"
