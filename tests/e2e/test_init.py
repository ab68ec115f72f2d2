"""`troth init` as a process: whole or not at all, once, and plain about what keeps it from it."""

import hashlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fixtures.commands import Done, command
from tests.fixtures.estate import run
from tests.fixtures.platform import Platform, environment, troth

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl")]

NAMES = ("--name", "home.example", "--public-url", "http://home.example:8080")
MALFORMED, CONFLICT, MISCONFIGURED = 10, 14, 22


def init(home: Path, *words: str) -> Done:
    """Run ``troth init``."""
    return command(["init", *words], environment(home))


def contents(home: Path) -> dict[str, str]:
    """Return what is in a home: a digest of each file, by path. SQLite's own helpers come and go."""
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not path.name.startswith("troth.db-")
    }


def require_whole(home: Path) -> None:
    """Require that a home has all that it needs, and nothing that an unfinished birth has left."""
    assert {path.name for path in home.iterdir()} - {"run"} == {
        "troth.toml", "root.pem", "journal.pub", "time.json", "root", "keys", "servers", "operator", "data"
    }  # fmt: skip
    platform = Platform(home)
    status = platform.run("status")
    assert (status["running"], status["counts"]["certificates"]) == (False, 3)
    kinds = [entry["kind"] for entry in platform.run("journal", "show", "--limit", "1000")]
    assert kinds.count("issuer.created") == 4
    assert kinds[-1] == "home.initialised"
    for chain, purpose in (
        ("servers/gateway", "sslserver"),
        ("servers/web", "sslserver"),
        ("operator/operator", "sslclient"),
    ):
        pem, key = home / f"{chain}.pem", home / f"{chain}.key"
        run(
            "openssl",
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-CAfile",
            home / "root.pem",
            "-untrusted",
            pem,
            pem,
        )
        in_certificate = run("openssl", "x509", "-in", pem, "-pubkey", "-noout").stdout
        assert in_certificate == run("openssl", "pkey", "-in", key, "-pubout").stdout


def test_init_makes_a_whole_home_and_nobody_else_may_look(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = troth(home, "init", *NAMES)
    assert (done.returncode, done.stdout) == (0, f"made a home of home.example in {home}\n")
    assert f"troth up --home {home}" in done.stderr
    require_whole(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    open_to_others = {path.name for path in home.rglob("*") if path.is_file() and path.stat().st_mode & 0o077}
    assert open_to_others == {"root.pem", "journal.pub", "time.json", "gateway.pem", "web.pem", "operator.pem"}
    text = run("openssl", "x509", "-in", home / "servers" / "gateway.pem", "-noout", "-text").stdout.decode()
    assert "DNS:home.example" in text
    assert "URI:http://home.example:8080/" in text


def test_init_twice_changes_nothing_and_says_so(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert init(home, *NAMES).returncode == 0
    before = contents(home)
    for words in (NAMES, ()):
        done = init(home, *words)
        assert (done.returncode, done.stdout) == (0, f"{home} is a home already: nothing was changed\n")
    assert Platform(home).run("init")["created"] is False
    assert contents(home) == before
    done = init(home, "--name", "other.example")
    assert done.returncode == CONFLICT
    assert "there is a home of home.example" in done.stderr
    assert contents(home) == before
    # Nor does it make an empty database where the home's own is gone.
    (home / "data" / "troth.db").unlink()
    done = init(home)
    assert done.returncode == MISCONFIGURED
    assert "does not exist" in done.stderr
    assert not (home / "data" / "troth.db").exists()


@pytest.mark.parametrize(
    "moment",
    [
        "data/troth.db",
        "keys/devices-1.key",
        "root.pem",
        "servers/gateway.pem",
        "complete",
        "../root.pem",
        "../troth.toml",
    ],
)
def test_init_that_was_killed_is_finished(tmp_path: Path, moment: str) -> None:
    home = tmp_path / "home"
    cut = subprocess.Popen(
        [sys.executable, "-m", "troth", "init", *NAMES],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(home),
    )  # fmt: skip
    while not (home / ".init" / moment).exists() and cut.poll() is None:
        os.sched_yield()
    cut.send_signal(signal.SIGKILL)
    cut.wait()
    if not (home / "troth.toml").exists():
        refused = command(["up"], environment(home))
        assert (refused.returncode, refused.stderr.splitlines()[0]) == (
            MISCONFIGURED,
            f"troth: {home} is not a home of troth",
        )
    assert init(home, *NAMES).returncode == 0
    require_whole(home)


def test_without_a_terminal_nothing_is_asked(tmp_path: Path) -> None:
    done = init(tmp_path / "home")
    assert done.returncode == MALFORMED
    assert done.stderr == "troth: --name is missing\n  hint: give --name, for example --name localhost\n"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("name", "url", "what"),
    [
        ("Not A Name", "http://home.example:8080", "site.name"),
        ("home.example", "https://home.example", "site.public_url"),
        ("home.example", "http://home.example/path", "site.public_url"),
    ],
)
def test_names_that_cannot_be(tmp_path: Path, name: str, url: str, what: str) -> None:
    done = init(tmp_path / "home", "--name", name, "--public-url", url)
    assert done.returncode == MISCONFIGURED
    assert what in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all there is")
    done = init(tmp_path, *NAMES)
    assert done.returncode == MISCONFIGURED
    assert f"{tmp_path} is not empty: it has thesis.txt" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_place_where_nothing_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = init(tmp_path / "file" / "home", *NAMES)
    assert done.returncode == MISCONFIGURED
    assert f"cannot make a home in {tmp_path / 'file' / 'home'}" in done.stderr


def test_two_at_once_make_one_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "troth", "init", *NAMES],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(home), text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    outcomes = [(*process.communicate(), process.returncode) for process in both]
    assert sorted(code for _, _, code in outcomes) in ([0, 0], [0, CONFLICT]), outcomes
    for _, said, code in outcomes:
        assert code == 0 or f"another troth init is at work in {home}" in said
    require_whole(home)
