"""docs/journal.md is true: its commands are run one after the other, and say what it shows; so does its verifier."""

import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from troth.cli.main import main
from troth.evidence.audit import Flaw

PAGE = (Path(__file__).parents[3] / "docs" / "journal.md").read_text()
CONSOLES = re.findall(r"^```console\n(.*?)^```$", PAGE, re.M | re.S)
(VERIFIER,) = re.findall(r"^```python file=verifier.py\n(.*?)^```$", PAGE, re.M | re.S)


def commands() -> Iterator[tuple[str, str]]:
    """Yield each command and what it is shown to say."""
    for block in CONSOLES:
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, shown = part.partition("\n")
            yield command, shown


def as_pattern(shown: str) -> str:
    """Return what matches `shown`: three dots are any text, on a line of their own any lines."""
    parts = (r"(?:.*\n)*?" if line == "..." else f"{_in_line(line)}\n" for line in shown.splitlines())
    return "".join(parts)


def _in_line(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split("..."))


def run(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Do what a shell would, and return what is said."""
    program, *words = shlex.split(command)
    match program:
        case "troth":
            with pytest.raises(SystemExit):
                main(words)
            said = capsys.readouterr()
            return said.out + said.err
        case "cp":
            shutil.copy(*words)
        case "sqlite3":
            with closing(sqlite3.connect(words[0])) as sql, sql:
                assert sql.execute(words[1]).rowcount == 1
        case "python":
            done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, check=False)
            return done.stdout + done.stderr
        case _:
            pytest.fail(f"the page runs {program}")
    return ""


def test_the_commands_say_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("verifier.py").write_text(VERIFIER)
    count = 0
    for command, shown in commands():
        said = run(command, capsys)
        lines = "".join(f"{line.rstrip()}\n" for line in said.splitlines())
        assert re.fullmatch(as_pattern(shown), lines), f"$ {command}\n{said}"
        count += 1
    assert count > 10


def test_the_verifier_names_attacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("verifier.py").write_text(VERIFIER)
    for words in (
        ["init", "--home", "home", "--name", "home.example", "--public-url", "http://home.example:8080"],
        ["journal", "export", "export", "--home", "home"],
    ):
        with pytest.raises(SystemExit):
            main(words)
    whole = Path("export").read_bytes()
    lines = whole.splitlines(keepends=True)
    for data, told in (
        (whole, "entries hold"),
        (whole.replace(b'"number":5,', b'"number":6,'), "entry 5 was edited"),
        (b"".join(lines[:9] + lines[10:]), "does not continue the log"),
        (b"".join(lines[:-2]), "cut off after entry"),
    ):
        Path("edited").write_bytes(data)
        done = subprocess.run(
            [sys.executable, "verifier.py", "edited"], capture_output=True, text=True, timeout=60, check=False
        )
        assert told in done.stdout + done.stderr
        assert (done.returncode == 0) == (data == whole)


def test_every_flaw_is_on_the_page() -> None:
    for flaw in Flaw:
        assert f"`{flaw}`" in PAGE, flaw
