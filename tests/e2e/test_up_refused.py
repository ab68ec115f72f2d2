"""What keeps `troth up` from starting: each told in one line, mostly with a hint, and by an exit code."""

import json
import socket
import sqlite3
from pathlib import Path

import pytest
from tests.fixtures.commands import command
from tests.fixtures.platform import environment, troth
from tests.fixtures.story import Story

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl", "curl")]

NOT_FOUND, CONFLICT, BAD_KEY, MISCONFIGURED = 13, 14, 16, 22


def refused(home: Path, code: int, *words: str, extra: dict[str, str] | None = None) -> tuple[str, str | None]:
    """Require that ``troth up`` says one line and perhaps a hint, with this exit code; return both."""
    done = command(["up", *words], environment(home, extra))
    assert done.returncode == code, done
    assert done.stdout == ""
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert 1 <= len(said) <= 2, done.stderr
    assert said[0].startswith("troth: ")
    hint = said[1].removeprefix("  hint: ") if len(said) == 2 else None
    return said[0].removeprefix("troth: "), hint


def test_a_taken_port(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = troth(home, "up", extra={"TROTH_LISTEN__HTTPS": address})
        as_json = command(["up", "--json"], environment(home, {"TROTH_LISTEN__HTTPS": address}))
    message = f"listen.https: cannot listen on {address}: Address already in use"
    hint = "choose another address with listen.https in troth.toml or TROTH_LISTEN__HTTPS"
    assert (done.returncode, done.stdout, done.stderr) == (MISCONFIGURED, "", f"troth: {message}\n  hint: {hint}\n")
    error = {"kind": "misconfigured", "message": message, "hint": hint}
    assert (as_json.returncode, json.loads(as_json.stdout)) == (MISCONFIGURED, {"error": error})


def test_a_port_of_another_home(home: Path, embedded: Story) -> None:
    """Workers share their port among themselves, and with no other home."""
    line, _ = refused(home, MISCONFIGURED, extra={"TROTH_LISTEN__MQTT": embedded.platform.listen["mqtt"]})
    assert line == f"listen.mqtt: cannot listen on {embedded.platform.listen['mqtt']}: Address already in use"


def test_a_second_up_on_the_same_home(embedded: Story) -> None:
    line, hint = refused(embedded.platform.home, CONFLICT)
    assert (line, hint) == (f"{embedded.platform.home} is running already", "troth status tells where it listens")


def test_an_unknown_setting(home: Path) -> None:
    settings = home / "troth.toml"
    settings.write_text(settings.read_text().replace("[gateway]", "[gateway]\non_denied_pubish = 'drop'"))
    line, hint = refused(home, MISCONFIGURED)
    assert line == f"{settings}: gateway.on_denied_pubish: no such setting"
    assert hint is not None
    assert "docs/settings.md" in hint


def test_an_unknown_setting_in_the_environment(home: Path) -> None:
    line, _ = refused(home, MISCONFIGURED, extra={"TROTH_LISTEN__MQT": "127.0.0.1:0"})
    assert line.endswith("listen.mqt: no such setting")


def test_a_file_that_is_no_toml(home: Path) -> None:
    (home / "troth.toml").write_text("[site\n")
    line, _ = refused(home, MISCONFIGURED)
    assert line.startswith(f"{home / 'troth.toml'} is not TOML: ")


def test_a_home_that_cannot_be_written(home: Path) -> None:
    # For root nothing is forbidden; but nobody can make a folder where a file is.
    (home / "run").write_text("")
    line, _ = refused(home, MISCONFIGURED)
    assert line.startswith(f"cannot write to {home / 'run'}: ")


def test_a_folder_that_is_no_home(tmp_path: Path) -> None:
    line, hint = refused(tmp_path / "nowhere", MISCONFIGURED)
    assert line == f"{tmp_path / 'nowhere'} is not a home of troth"
    assert hint is not None
    assert "troth init" in hint


def test_a_database_of_a_newer_version(home: Path) -> None:
    with sqlite3.connect(home / "data" / "troth.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    line, hint = refused(home, MISCONFIGURED)
    assert line == "the database was made by a newer version of troth"
    assert hint == "run the version that made it, or restore a backup from before the upgrade"


def test_a_database_that_is_gone(home: Path) -> None:
    (home / "data" / "troth.db").unlink()
    line, hint = refused(home, MISCONFIGURED)
    assert line == f"the database {home / 'data' / 'troth.db'} does not exist"
    assert hint == "restore a backup, or say with [store] url where it is"
    assert not (home / "data" / "troth.db").exists()


@pytest.mark.parametrize("key", ["servers/gateway.key", "keys/devices-1.key"])
def test_a_key_that_is_gone(home: Path, key: str) -> None:
    assert (home / key).exists()
    (home / key).unlink()
    line, _ = refused(home, NOT_FOUND)
    assert Path(key).name in line


def test_a_broker_binary_that_is_none(home: Path) -> None:
    line, _ = refused(home, MISCONFIGURED, extra={"TROTH_BROKER__NATS_SERVER": "/bin/true"})
    assert line == "broker.nats_server: /bin/true is not a nats-server 2.14.3 or newer"


def test_an_encrypted_home_without_its_passphrase(encrypted: Path) -> None:
    line, hint = refused(encrypted, BAD_KEY)
    assert "passphrase" in line
    assert hint is not None
    assert "--passphrase-file" in hint


def test_an_encrypted_home_with_another_passphrase(encrypted: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("incorrect horse battery")
    line, _ = refused(encrypted, BAD_KEY, "--passphrase-file", str(tmp_path / "wrong"))
    assert "passphrase" in line
    assert "incorrect" not in line
