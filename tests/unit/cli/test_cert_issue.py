"""``troth cert issue``: one request or many, with the keys of the home or through the authority that runs."""

import asyncio
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.fixtures.commands import Done, command

from troth.app.home import Home
from troth.cli.output import EXIT_CODES
from troth.errors import Kind
from troth.keys.file import generate, write_key
from troth.keys.requests import build_request
from troth.testing.authority import TestAuthority
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.pem import render_pem
from troth.x509.profiles import Purpose
from troth.x509.verify import verify_issued_by

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAuthority]:
    """A home with its keys in files, in which no authority runs."""
    folder = tmp_path_factory.mktemp("home")
    with TestAuthority(folder) as authority:
        settings = '[site]\nname = "home.example"\npublic_url = "http://home.example:8080"\n'
        (folder / "troth.toml").write_text(f'{settings}[store]\nurl = "sqlite:///{authority.db.path}"\n')
        for name, key in authority.cabinet.keys.items():
            (folder / name).parent.mkdir(exist_ok=True)
            write_key(folder / name, key, None)
        (folder / "run").mkdir(mode=0o700, exist_ok=True)
        yield authority


def request_for(folder: Path, name: str) -> Path:
    file = folder / f"{name}.csr"
    file.write_bytes(render_pem("CERTIFICATE REQUEST", build_request(generate(KeyAlgorithm.P256), name)))
    return file


def run(authority: TestAuthority, *words: str, stdin: bytes = b"") -> Done:
    return command(["cert", "issue", *words], {**os.environ, "TROTH_HOME": str(authority.folder)}, stdin)


def issued(authority: TestAuthority, *words: str) -> Any:
    done = run(authority, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def serving(authority: TestAuthority) -> Iterator[None]:
    """Run the authority in a thread, at the home's doorbell."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with authority.serving(Home(authority.folder).doorbell):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def test_a_device_gets_its_certificate_with_the_homes_own_keys(authority: TestAuthority, tmp_path: Path) -> None:
    authority.thing("lamp-1")
    out = tmp_path / "lamp.pem"
    row = issued(authority, str(request_for(tmp_path, "lamp-1")), "--thing", "lamp-1", "--out", str(out))
    certificate = x509.load_pem_x509_certificate(out.read_bytes())
    assert certificate == x509.load_pem_x509_certificate(row["pem"].encode())
    assert (row["thing"], row["method"], row["state"]) == ("lamp-1", "operator", "ACTIVE")
    verify_issued_by(certificate, authority.issuer(Purpose.DEVICES), at=authority.clock.now(), use=None)


def test_the_same_request_finds_its_certificate_again_until_that_is_revoked(
    authority: TestAuthority, tmp_path: Path
) -> None:
    authority.thing("lamp-2")
    words = (str(request_for(tmp_path, "lamp-2")), "--thing", "lamp-2")
    first = issued(authority, *words)
    assert issued(authority, *words)["certificate_id"] == first["certificate_id"]
    done = command(["cert", "revoke", first["certificate_id"]], {**os.environ, "TROTH_HOME": str(authority.folder)})
    assert done.returncode == 0, done.stderr
    assert issued(authority, *words)["certificate_id"] != first["certificate_id"]


def test_a_server_gets_the_names_that_are_given(authority: TestAuthority, tmp_path: Path) -> None:
    words = ("--profile", "server", "--name", "mqtt.home.example", "--san", "mqtt.home.example", "--san", "127.0.0.1")
    row = issued(authority, str(request_for(tmp_path, "mqtt")), *words)
    certificate = x509.load_pem_x509_certificate(row["pem"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["mqtt.home.example", "127.0.0.1"]


def test_many_are_reported_line_by_line(authority: TestAuthority, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        authority.thing(f"many-{number}")
    pem = request_for(tmp_path, "many-1").read_text()
    request_for(tmp_path, "many-3")
    lines = [
        json.dumps({"csr": pem, "thing": "many-1"}),
        "not JSON",
        json.dumps({"csr": pem, "thing": "nobody"}),
        json.dumps({"csr": "many-3.csr", "thing": "many-3"}),
        json.dumps({"csr": pem, "thing": "many-2", "colour": "red"}),
        json.dumps({"csr": pem, "thing": "many-1"}),
    ]
    (tmp_path / "fleet.jsonl").write_text("\n".join(lines) + "\n")
    done = run(authority, "--many", str(tmp_path / "fleet.jsonl"), "--out", str(tmp_path / "out"), "--json")
    report = {row["line"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert sorted(report) == [1, 2, 3, 4, 5, 6]
    assert {line: row["error"]["kind"] for line, row in report.items() if "error" in row} == {
        2: "malformed",
        3: "not-found",
        5: "malformed",
    }
    assert report[6]["certificate_id"] == report[1]["certificate_id"]
    assert {file.stem for file in (tmp_path / "out").iterdir()} == {
        report[1]["certificate_id"],
        report[4]["certificate_id"],
    }
    assert "issued 3 of 6" in done.stderr
    assert "line 3: there is no thing 'nobody'" in done.stderr
    assert done.returncode in {EXIT_CODES[Kind.MALFORMED], EXIT_CODES[Kind.NOT_FOUND]}


def test_many_come_from_csv(authority: TestAuthority, tmp_path: Path) -> None:
    request_for(tmp_path, "web")
    (tmp_path / "list.csv").write_text("csr,name,names\nweb.csr,web.home.example,web.home.example;127.0.0.1\n")
    done = run(authority, "--many", str(tmp_path / "list.csv"), "--profile", "server")
    assert done.returncode == 0, done.stderr
    assert "CN=web.home.example" in done.stdout


def test_the_authority_that_runs_signs_for_devices(authority: TestAuthority, tmp_path: Path) -> None:
    for number in range(5):
        authority.thing(f"rung-{number}")
    requests = [request_for(tmp_path, f"rung-{number}").read_text() for number in range(5)]
    lines = [json.dumps({"csr": pem, "thing": f"rung-{number}"}) for number, pem in enumerate(requests)]
    shutil.move(authority.folder / "keys", tmp_path / "keys")
    try:
        with serving(authority):
            done = run(authority, "--many", "-", "--json", stdin="\n".join(lines).encode())
    finally:
        shutil.move(tmp_path / "keys", authority.folder / "keys")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["thing"] for line in done.stdout.splitlines()] == [f"rung-{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ((), Kind.MALFORMED),
        (("{csr}",), Kind.MALFORMED),
        (("{csr}", "--thing", "lamp-1", "--name", "x"), Kind.MALFORMED),
        (("{csr}", "--thing", "nobody"), Kind.NOT_FOUND),
        (("{csr}", "--name", "x", "--profile", "issuing-devices"), Kind.REJECTED),
        (("{csr}", "--name", "x", "--profile", "none"), Kind.NOT_FOUND),
        (("{csr}", "--many", "-"), Kind.MALFORMED),
        (("/nowhere.csr", "--thing", "lamp-1"), Kind.NOT_FOUND),
    ],
)
def test_what_cannot_be_issued_says_why(
    authority: TestAuthority, tmp_path: Path, words: tuple[str, ...], kind: Kind
) -> None:
    authority.thing("lamp-1")
    csr = str(request_for(tmp_path, "lamp"))
    assert run(authority, *(word.replace("{csr}", csr) for word in words)).returncode == EXIT_CODES[kind]
