"""docs/hierarchy.md as it stands: one home with its keys, then two machines, one of them without a network."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.walkthrough import blocks, run_block, without_network

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.needs("openssl")]


def hierarchy(folder: Path, home: str) -> dict[str, Any]:
    """Return what ``troth ca list`` says, by name."""
    words = [sys.executable, "-m", "troth", "ca", "list", "--json", "--home", home]
    said = json.loads(subprocess.run(words, cwd=folder, capture_output=True, check=True).stdout)
    return {row["name"]: row for row in said["issuers"]}


def test_the_pages_one_home(tmp_path: Path) -> None:
    said = "".join(run_block(block, tmp_path, {}) for block in blocks("hierarchy.md") if not block.label)
    assert "refused: bring the root's key back" in said
    assert "the key root/root.key is not in this home" in said
    issuers = hierarchy(tmp_path, "home")
    assert issuers["factory-1"]["state"] == "ACTIVE"
    assert (issuers["plant-1"]["purpose"], issuers["plant-1"]["state"]) == ("devices", "ACTIVE")
    assert issuers["plant-1"]["subject"] == "CN=Company Devices"
    assert issuers["plant-above-1"]["kept"] == "elsewhere"
    assert issuers["plant-1"]["parent_id"] == issuers["plant-above-1"]["issuer_id"]


def test_the_pages_two_machines(tmp_path: Path) -> None:
    # Each machine sees its own folder and the stick, and nothing of the other's.
    machines = {"offline": tmp_path / "offline", "online": tmp_path / "online"}
    stick = tmp_path / "stick"
    stick.mkdir()
    for folder in machines.values():
        folder.mkdir()
        (folder / "carry").symlink_to(stick)
    for block in blocks("hierarchy.md"):
        if block.label:
            prefix = without_network() if block.label == "offline" else ()
            run_block(block, machines[block.label], {}, prefix)
    vault, site = hierarchy(machines["offline"], "vault"), hierarchy(machines["online"], "site")
    assert vault.keys() == site.keys() == {"root-1", "root-2", "devices-1", "servers-1", "operators-1"}
    for name, row in site.items():
        assert row["issuer_id"] == vault[name]["issuer_id"]
        assert row["state"] == {"root-1": "SUPERSEDED", "operators-1": "REVOKED"}.get(name, "ACTIVE")
        is_root = row["purpose"] == "root"
        # Every key is on one machine and on one only.
        assert (row["kept"] == "elsewhere", vault[name]["kept"] == "elsewhere") == (is_root, not is_root)
    assert {path.suffix for path in stick.iterdir()} == {".pem", ".csr", ".crl", ".request"}
    assert "PRIVATE" not in "".join(path.read_text() for path in stick.iterdir())
    home = machines["online"] / "site"
    assert (home / "root.pem").read_text().count("BEGIN") == 2
    chain = home / "servers" / "gateway.pem"
    # Leaf, issuer, and the old root by the new.
    assert chain.read_text().count("BEGIN") == 3
