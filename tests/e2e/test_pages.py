"""Pages of the documentation that show commands, run as they stand."""

import json
from pathlib import Path

import pytest
from tests.fixtures.pages import run_page

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl")]


ELSEWHERE = {f"TROTH_LISTEN__{name}": "127.0.0.1:0" for name in ("MQTT", "HTTPS", "OPERATORS")}
"""Listeners that a page does not speak of stand where no other test's do."""


@pytest.mark.needs("curl")
def test_ocsp(tmp_path: Path) -> None:
    said = run_page("ocsp.md", tmp_path, ELSEWHERE)
    assert said.count("Response verify OK") >= 3
    assert "web.pem: good" in said
    assert "Reason: certificateHold" in said


@pytest.mark.needs("curl")
def test_withdrawing_and_crls(tmp_path: Path) -> None:
    said = run_page("status.md", tmp_path, ELSEWHERE)
    assert "Certificate Hold" in said
    assert "Superseded" in said
    # Good by the older CRL, twice; revoked by the same CRL and the delta to it.
    assert said.count("web.pem: OK") == 2
    assert "certificate revoked" in said
    crls = json.loads((tmp_path / "crls.json").read_text())
    assert [crl["entries"] for crl in crls if crl["ca"] == "root-1"] == [1]


def test_the_inventory(tmp_path: Path) -> None:
    said = run_page("inventory.md", tmp_path)
    assert "no certificates" in said
    assert "CN=home.example" in said
    assert (tmp_path / "soon.csv").read_text().startswith("certificate_id,issuer_id,serial,")
    assert (tmp_path / "devices.pem").read_text() == ""
    assert "home.example" in (tmp_path / "fleet.jsonl").read_text()


def test_issuing(tmp_path: Path) -> None:
    said = run_page("issuing.md", tmp_path)
    assert "CN = lamp-1" in said or "CN=lamp-1" in said
    things = [json.loads(line)["thing"] for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert things == ["lamp-2", "lamp-3"]
    assert len(list((tmp_path / "fleet").iterdir())) == 2
