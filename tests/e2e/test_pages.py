"""Pages of the documentation that show commands, run as they stand."""

from pathlib import Path

import pytest
from tests.fixtures.pages import run_page

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl")]


def test_the_inventory(tmp_path: Path) -> None:
    said = run_page("inventory.md", tmp_path)
    assert "no certificates" in said
    assert "CN=home.example" in said
    assert (tmp_path / "soon.csv").read_text().startswith("certificate_id,issuer_id,serial,")
    assert (tmp_path / "devices.pem").read_text() == ""
    assert "home.example" in (tmp_path / "fleet.jsonl").read_text()
