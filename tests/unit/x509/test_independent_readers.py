"""OpenSSL, GnuTLS and `cryptography` agree on what is issued, whatever kind of key the issuers have."""

import subprocess
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from tests.fixtures.hierarchy import Maker, Signed

from troth.clock import SystemClock
from troth.keys.file import FileKey, generate
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.building import build_tbs
from troth.x509.certificates import render_chain
from troth.x509.profile_text import parse_profile
from troth.x509.profiles import ExtendedUse, Profile
from troth.x509.subjects import named_subject, parse_alternative_names
from troth.x509.verify import verify_chain

pytestmark = pytest.mark.slow

ALGORITHMS = (
    KeyAlgorithm.P256,
    KeyAlgorithm.P384,
    KeyAlgorithm.ED25519,
    KeyAlgorithm.RSA2048,
    KeyAlgorithm.RSA3072,
)


@pytest.fixture(scope="session", params=ALGORITHMS)
def issued(request: pytest.FixtureRequest, profile_texts: dict[str, str]) -> Maker:
    """A hierarchy of one algorithm, made now: `certtool` takes no other time."""
    algorithm: KeyAlgorithm = request.param
    profiles: dict[str, Profile] = {
        # the built-in issuers are of RSA-3072 and more
        name: parse_profile(text.replace('"P-384", "RSA-3072"', '"P-384", "RSA-2048", "RSA-3072"'))
        for name, text in profile_texts.items()
    }
    keys: list[FileKey] = []
    if algorithm.startswith("RSA"):
        # RSA keys take long to make: one to throw away, one for all three issuers
        throwaway, issuers = generate(algorithm), generate(algorithm)
        keys = [throwaway, issuers, issuers, issuers]
    return Maker(profiles, SystemClock().now(), algorithm, keys)


def _write(directory: Path, issued: Maker, leaf: Signed, issuer: Signed) -> tuple[str, str, str]:
    paths = tuple(str(directory / name) for name in ("leaf.pem", "issuer.pem", "root.pem"))
    for path, signed in zip(paths, (leaf, issuer, issued.root), strict=True):
        Path(path).write_bytes(render_chain([signed.certificate]))
    return paths[0], paths[1], paths[2]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.needs("openssl")
def test_openssl_verifies(issued: Maker, tmp_path: Path) -> None:
    leaf, issuer, root = _write(tmp_path, issued, issued.device(), issued.devices)
    strict = ("openssl", "verify", "-x509_strict", "-CAfile", root, "-untrusted", issuer)
    assert _run(*strict, "-purpose", "sslclient", leaf).stdout == f"{leaf}: OK\n"
    assert "unsuitable certificate purpose" in _run(*strict, "-purpose", "sslserver", leaf).stderr

    leaf, issuer, root = _write(tmp_path, issued, issued.server(), issued.servers)
    for check in (("-verify_hostname", "mqtt.home.example"), ("-verify_ip", "127.0.0.1"), ("-verify_ip", "::1")):
        assert _run(*strict, "-purpose", "sslserver", *check, leaf).stdout == f"{leaf}: OK\n"
    assert "hostname mismatch" in _run(*strict, "-verify_hostname", "away.example", leaf).stderr


@pytest.mark.needs("certtool")
def test_gnutls_verifies(issued: Maker, tmp_path: Path) -> None:
    for leaf, issuer in ((issued.device(), issued.devices), (issued.server(), issued.servers)):
        chain = tmp_path / "chain.pem"
        chain.write_bytes(render_chain([leaf.certificate, issuer.certificate]))
        _, _, root = _write(tmp_path, issued, leaf, issuer)
        done = _run("certtool", "--verify", "--infile", str(chain), "--load-ca-certificate", root)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Chain verification output: Verified. The certificate is trusted." in done.stdout


def test_cryptography_and_our_own_steps_verify(issued: Maker) -> None:
    for leaf, issuer, use in (
        (issued.device(), issued.devices, ExtendedUse.CLIENT_AUTH),
        (issued.server(), issued.servers, ExtendedUse.SERVER_AUTH),
    ):
        chain = [leaf.certificate, issuer.certificate, issued.root.certificate]
        for certificate, above in pairwise(chain):
            certificate.verify_directly_issued_by(above)
        assert verify_chain(chain[:2], chain[2:], at=issued.now, use=use) == chain[2]


def test_the_webs_own_rules_take_our_server_certificates(profiles: dict[str, Profile]) -> None:
    maker = Maker(profiles)
    server = maker.server()
    verifier = (
        PolicyBuilder()
        .store(Store([maker.root.certificate]))
        .time(maker.now)
        .build_server_verifier(x509.DNSName("mqtt.home.example"))
    )
    chain = [server.certificate, maker.servers.certificate, maker.root.certificate]
    assert verifier.verify(server.certificate, [maker.servers.certificate]) == chain


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P384, KeyAlgorithm.ED25519])
def test_openssl_verifies_other_kinds_of_device_key(
    profiles: dict[str, Profile], tmp_path: Path, algorithm: KeyAlgorithm
) -> None:
    maker = Maker(profiles)
    leaf, issuer, root = _write(tmp_path, maker, maker.device(key=generate(algorithm)), maker.devices)
    at = str(int((maker.now + timedelta(days=89)).timestamp()))
    command = ("openssl", "verify", "-x509_strict", "-attime", at, "-CAfile", root, "-untrusted", issuer, leaf)
    assert _run(*command).stdout == f"{leaf}: OK\n"


@pytest.mark.needs("openssl")
def test_a_stolen_issuing_key_certifies_no_stranger(profiles: dict[str, Profile], tmp_path: Path) -> None:
    """What the lint would stop, a thief does not ask: the constraints in the issuer's certificate stop the readers."""
    maker = Maker(profiles)
    key = generate(KeyAlgorithm.P256)
    names = parse_alternative_names(["bank.example"])
    template = maker.template(
        profiles["server"], named_subject("bank.example"), key, maker.servers.certificate, san=names
    )
    stolen = build_tbs(template, KeyAlgorithm.P256, maker.servers.key.private_key)
    leaf, issuer, root = _write(tmp_path, maker, Signed(stolen, key), maker.servers)
    at = str(int(maker.now.timestamp()))
    done = _run("openssl", "verify", "-attime", at, "-CAfile", root, "-untrusted", issuer, leaf)
    assert "permitted subtree violation" in done.stderr
