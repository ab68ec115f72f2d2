"""Pages of the documentation that show commands, run as they stand."""

import json
import re
from pathlib import Path

import pytest
from tests.fixtures.pages import run_page

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl")]


ELSEWHERE = {f"TROTH_LISTEN__{name}": "127.0.0.1:0" for name in ("MQTT", "HTTPS", "OPERATORS", "TIME")}
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


@pytest.mark.needs("curl")
def test_est(tmp_path: Path) -> None:
    said = run_page("est.md", tmp_path, {name: value for name, value in ELSEWHERE.items() if "HTTPS" not in name})
    assert "id-smime-aa-61" in said or "1.2.840.113549.1.9.16.2.61" in said
    assert "subject=CN = lamp-1" in said or "subject=CN=lamp-1" in said
    assert '"suggestedWindow"' in said


@pytest.mark.needs("curl")
def test_enrollment(tmp_path: Path) -> None:
    said = run_page(
        "enrollment.md", tmp_path, {name: value for name, value in ELSEWHERE.items() if "HTTPS" not in name}
    )
    for thing in ("lamp-1", "cam-A17", "bulb-1", "bulb-2", "guest-1"):
        assert f"subject=CN = {thing}" in said or f"subject=CN={thing}" in said
    # Another request with a spent token, and another key for a bulb that is somebody's.
    assert said.count("urn:troth:fault:unauthenticated") == 2
    assert "202" in said
    assert (tmp_path / "tokens.csv").read_text().count("\n") == 3


@pytest.mark.needs("mosquitto_pub")
def test_provisioning_a_fleet(tmp_path: Path) -> None:
    # The page names the port of the MQTT listener.
    elsewhere = {name: where for name, where in ELSEWHERE.items() if not name.endswith("MQTT")}
    said = run_page("provisioning.md", tmp_path, elsewhere)
    assert "meter-7" in said
    assert "activated" in said
    assert "lamp-42 is in" in said
    assert '"Server":"https://down.example"' in said
    assert "some lines were refused" in said
    first, second = (json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines())
    assert (first["thing"], first["line"]) == ("lamp-100", 1)
    assert (second["error"]["kind"], second["line"]) == ("rejected", 2)


@pytest.mark.needs("curl", "faketime")
def test_the_time(tmp_path: Path) -> None:
    # The page's servers are reached where its list says that they are.
    said = run_page("time.md", tmp_path, {name: value for name, value in ELSEWHERE.items() if "HTTPS" not in name})
    assert said.count("buoy-1, until ") == 2
    assert "time          localhost at localhost:" in said


@pytest.mark.needs("curl", "softhsm2-util", "pkcs11-engine", "gnutls-cli")
@pytest.mark.needs("gcc", "libc-headers", "wolfssl", "mbedtls")
def test_keys_in_hardware_and_devices_without_our_library(tmp_path: Path) -> None:
    elsewhere = {name: where for name, where in ELSEWHERE.items() if not name.endswith(("HTTPS", "MQTT"))}
    said = run_page("hardware.md", tmp_path, {**elsewhere, "REPOSITORY": str(Path(__file__).parents[2])})
    assert said.count("vault-1, until ") == 2
    assert "key           P-256 in pkcs11:token=troth;object=troth-" in said
    assert not list((tmp_path / "vault").rglob("key.pem"))
    # By curl with either key, and by GnuTLS.
    assert said.count('"message": "OK"') == 3
    taken = re.findall(r"^(TLSv1.[23]) (\d+) (\d+)\n2002000040020001$", said, re.MULTILINE)
    assert [version for version, *_ in taken] == ["TLSv1.2", "TLSv1.3"]
    assert ("handshake -0x2700\n" in said, "handshake -322\n" in said) == (True, True)
    # Certificate and handshake as small as the page says.
    assert "the lamp's certificate has 50" in said
    assert all(int(sent) < 1100 and int(received) < 1750 for _, sent, received in taken)
