"""The guide to the first device, run as it stands: curl and openssl, Python, and a fleet with a claim certificate."""

from pathlib import Path

import pytest
from cryptography import x509
from tests.fixtures.pages import run_page

ELSEWHERE = {f"TROTH_LISTEN__{name}": "127.0.0.1:0" for name in ("MQTT", "OPERATORS", "TIME")}
BULBS = ("bulb-A17", "bulb-A18", "bulb-A19")

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.needs("curl", "openssl")]


def test_the_guide_enrolls_them_all(tmp_path: Path) -> None:
    said = run_page("first-device.md", tmp_path, ELSEWHERE)
    assert "lamp-1.pem: OK" in said
    assert "lamp-2 has a certificate until" in said
    assert all(f"{bulb}.pem: OK" in said for bulb in BULBS)
    for name in ("lamp-1", "lamp-2", *BULBS):
        certificate = x509.load_pem_x509_certificate((tmp_path / f"{name}.pem").read_bytes())
        assert certificate.subject.rfc4514_string() == f"CN={name}"
    assert (tmp_path / "lamp-2.key").stat().st_mode & 0o777 == 0o600
