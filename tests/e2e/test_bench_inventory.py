"""The benchmark of the inventory runs, and every way of asking finds what is there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench.inventory.__main__ import queries
from bench.million import fill

from troth.registry.certificates import CertificateRow
from troth.registry.inventory import list_certificates
from troth.store.read import read

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.e2e


def test_a_quick_run_prints_every_query(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "bench.inventory", "--quick", "--json", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=115, check=False)
    figures = json.loads(report.read_text())["figures"]
    assert set(figures) == set(queries("")), done.stderr
    assert all(what in done.stdout for what in figures)


def test_what_is_measured_finds_something(tmp_path: Path) -> None:
    filled = fill(tmp_path, 400)
    with read(filled.authority.db) as connection:
        row = max(list_certificates(connection, limit=400), key=lambda row: row.not_after)
        for what, make in queries(filled.issuer_id).items():
            found = make(row)(connection)
            rows = [found] if isinstance(found, CertificateRow) else found
            assert bool(rows) == ("never" not in what), what
    filled.authority.close()
