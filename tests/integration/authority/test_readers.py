"""OpenSSL and GnuTLS agree with us on what the hierarchy is, good and bad alike."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from troth.testing.authority import Held, TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.certificates import render_chain
from troth.x509.profiles import Purpose

PURPOSES = ("sslclient", "sslserver")


def openssl_verify(authority: TestAuthority, held: Held, purpose: str, root: Path | None = None) -> bool:
    at = int(authority.clock.now().timestamp())
    command = ["openssl", "verify", "-x509_strict", "-attime", str(at), "-purpose", purpose, "-CAfile"]
    command += [str(root or authority.root_file), "-untrusted", str(held.chain_file), str(held.chain_file)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.needs("openssl")
def test_openssl_takes_each_certificate_for_its_own_use_only(authority: TestAuthority) -> None:
    held = {"device": authority.device("lamp-1"), "server": authority.server(), "operator": authority.operator("anna")}
    verdicts = {
        name: [purpose for purpose in PURPOSES if openssl_verify(authority, each, purpose)]
        for name, each in held.items()
    }
    assert verdicts == {"device": ["sslclient"], "server": ["sslserver"], "operator": ["sslclient"]}


@pytest.mark.needs("openssl")
def test_openssl_refuses_the_same_certificates_under_another_root(
    authority: TestAuthority, tmp_path: Path, clock: FakeClock
) -> None:
    (tmp_path / "other").mkdir()
    with TestAuthority(tmp_path / "other", clock=clock) as other:
        assert openssl_verify(authority, authority.device("lamp-1"), "sslclient")
        assert not openssl_verify(authority, authority.device("lamp-1"), "sslclient", root=other.root_file)


@pytest.mark.needs("certtool")
def test_gnutls_takes_the_chain_of_every_purpose(tmp_path: Path) -> None:
    with TestAuthority(tmp_path) as authority:
        for held in (authority.device("lamp-1"), authority.server(), authority.operator("anna")):
            whole = tmp_path / "whole.pem"
            whole.write_bytes(render_chain([*held.chain, authority.root]))
            command = [
                "certtool",
                "--verify",
                "--load-ca-certificate",
                str(authority.root_file),
                "--infile",
                str(whole),
            ]
            subprocess.run(command, check=True, capture_output=True)


@pytest.mark.needs("openssl")
def test_the_issuers_are_what_they_say(authority: TestAuthority) -> None:
    for purpose in (Purpose.DEVICES, Purpose.SERVERS, Purpose.OPERATORS):
        shown = subprocess.run(
            ["openssl", "x509", "-inform", "DER", "-noout", "-text"],
            input=authority.issuer(purpose).public_bytes(Encoding.DER),
            capture_output=True,
            check=True,
        ).stdout.decode()
        assert "CA:TRUE, pathlen:0" in shown
        assert ("X509v3 Name Constraints: critical" in shown) is (purpose is Purpose.SERVERS)
