"""`make setup` on a machine that has Python and make, and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
NOT_OURS = (".git", ".venv", "home", "build", "dist", "__pycache__", ".*_cache", ".hypothesis")
PROGRAMS = ("make", "sh", "env", "sed", "awk", "grep", "rm", "mkdir", "touch", "cat", "cp", "mv", "ln", "ls", "chmod")
HIDDEN = ("git", "curl", "wget", "uv", "gcc", "cc", "c++", "docker", "pip", "openssl")
PIP = ("PIP_", "SSL_", "HOME", "XDG_")
NO_VENV = "troth: this Python has no venv. On Debian: apt install python3-venv"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of this tree, without what was made in it."""
    return Path(shutil.copytree(ROOT, tmp_path / "troth", ignore=shutil.ignore_patterns(*NOT_OURS)))


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the few programs that this takes, Python not among them yet."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in PROGRAMS:
        found = shutil.which(program)
        assert found is not None, program
        (folder / program).symlink_to(found)
    return folder


def python() -> str:
    """Return the Python that this one's virtual environment was made with."""
    return str(Path(sys.executable).resolve())


def make(tree: Path, programs: Path, target: str = "setup") -> subprocess.CompletedProcess[str]:
    """Run make with `programs` and no others. How pip reaches its index is the machine's business, and stays."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(PIP) or "proxy" in name.lower()}
    environment = {**kept, "PATH": str(programs), "PIP_NO_COMPILE": "1"}
    assert not [program for program in HIDDEN if shutil.which(program, path=str(programs))]
    return subprocess.run(  # noqa: PLW1510 - it may well fail
        [programs / "make", target], cwd=tree, env=environment, capture_output=True, text=True, timeout=380
    )


def files(tree: Path) -> set[str]:
    """Return what stands in a tree, but for its virtual environment."""
    return {str(path.relative_to(tree)) for path in tree.rglob("*") if ".venv" not in path.parts}


def test_setup_needs_python_and_make_only(tree: Path, programs: Path) -> None:
    (programs / "python3").symlink_to(python())
    before = files(tree)
    done = make(tree, programs)
    assert done.returncode == 0, done.stderr
    assert files(tree) == before, "it only prepares .venv"
    shown = subprocess.run(
        [tree / ".venv" / "bin" / "troth", "--help"], env={}, capture_output=True, text=True, check=True
    )
    assert "Machine identity for IoT" in shown.stdout
    imported = "import troth; print(troth.__file__)"
    where = subprocess.run(
        [tree / ".venv/bin/python", "-c", imported], env={}, capture_output=True, text=True, check=True
    )
    assert where.stdout.strip() == str(tree / "src" / "troth" / "__init__.py")
    # The second time there is nothing to do, and nothing is said.
    again = make(tree, programs)
    assert (again.returncode, again.stderr) == (0, "")
    assert "Prepare .venv" in make(tree, programs, "help").stdout


def test_where_venv_is_missing_the_one_line_is_said(tree: Path, programs: Path) -> None:
    (programs / "python3").write_text(f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec {python()} "$@"\n')
    (programs / "python3").chmod(0o755)
    done = make(tree, programs)
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if not line.startswith("make")] == [NO_VENV]
    assert not (tree / ".venv").exists()


def test_where_python_is_missing_that_is_said(tree: Path, programs: Path) -> None:
    done = make(tree, programs)
    assert done.returncode != 0
    assert "troth: no python3 here. On Debian: apt install python3 python3-venv" in done.stderr.splitlines()


def test_an_old_python_is_refused(tree: Path, programs: Path) -> None:
    (programs / "python3").write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2\nexit 1\n')
    (programs / "python3").chmod(0o755)
    done = make(tree, programs)
    assert done.returncode != 0
    assert "troth: Python 3.11 or newer is needed, this is Python 3.9.2. Set PYTHON=... to a newer one" in done.stderr
