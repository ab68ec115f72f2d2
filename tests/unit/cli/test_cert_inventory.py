"""``troth cert list``, ``show`` and ``export``: certificates found by all that is known of them."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.fixtures.commands import Done, command

from troth.cli.output import EXIT_CODES
from troth.errors import Kind
from troth.testing.authority import Held, TestAuthority
from troth.x509.certificates import certificate_id, parse_chain

pytestmark = pytest.mark.slow

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAuthority]:
    folder = tmp_path_factory.mktemp("home")
    with TestAuthority(folder) as authority:
        settings = '[site]\nname = "home.example"\npublic_url = "http://home.example:8080"\n'
        (folder / "troth.toml").write_text(f'{settings}[store]\nurl = "sqlite:///{authority.db.path}"\n')
        yield authority


@pytest.fixture(scope="module")
def held(authority: TestAuthority) -> dict[str, Held]:
    things = {name: authority.device(name) for name in ("lamp", "pump")}
    things["old"] = authority.device("old", at=datetime.now(UTC) - timedelta(days=200))
    authority.revoke(things["pump"])
    return things


@pytest.fixture
def run(authority: TestAuthority, held: dict[str, Held]) -> Run:
    def run(*words: str, json_too: bool = True) -> Any:
        done = call(*words, *(["--json"] if json_too else []))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if json_too else done.stdout

    def call(*words: str) -> Done:
        return command(["cert", *words], {**os.environ, "TROTH_HOME": str(authority.folder)})

    run.call = call  # type: ignore[attr-defined]
    return run


@pytest.mark.parametrize(
    ("options", "things"),
    [
        (["--thing", "lamp"], ["lamp"]),
        (["--state", "REVOKED"], ["pump"]),
        (["--state", "ACTIVE", "--ca", "devices-1"], ["lamp", "old"]),
        (["--ca", "operators-1"], []),
        (["--profile", "device"], ["lamp", "old", "pump"]),
        (["--expired"], ["old"]),
        (["--expiring", "91d"], ["lamp", "pump"]),
        (["--expiring", "30d"], []),
    ],
)
def test_certificates_are_found_by_what_they_are(run: Run, options: list[str], things: list[str]) -> None:
    assert sorted(row["thing"] for row in run("list", *options)) == things


def test_one_is_found_by_its_fingerprint_and_by_its_serial_number(run: Run, held: dict[str, Held]) -> None:
    identity, serial = held["lamp"].certificate_id, f"{held['lamp'].certificate.serial_number:x}"
    colons = ":".join(identity[place : place + 2].upper() for place in range(0, 64, 2))
    for words in ([identity], [identity[:8]], [colons], ["--serial", serial], ["--serial", f"0{serial.upper()}"]):
        assert run("show", *words)["certificate_id"] == identity
    assert run("show", "--serial", serial, "--ca", "devices-1")["thing"] == "lamp"
    for words, kind in (
        (["--serial", serial, "--ca", "servers-1"], Kind.NOT_FOUND),
        (["--serial", "00"], Kind.NOT_FOUND),
        ([], Kind.MALFORMED),
        ([identity, "--serial", serial], Kind.MALFORMED),
        (["--serial", serial, "--ca", "nobody"], Kind.NOT_FOUND),
    ):
        assert run.call("show", *words).returncode == EXIT_CODES[kind]  # type: ignore[attr-defined]


def test_pages_follow_one_another(run: Run) -> None:
    seen: list[str] = []
    while page := run("list", "--limit", "1", *(["--after", seen[-1]] if seen else [])):
        seen += [row["certificate_id"] for row in page]
    assert len(seen) == len(set(seen)) == 3


def test_an_export_holds_all_that_was_asked_for(run: Run, held: dict[str, Held], tmp_path: Path) -> None:
    files = {form: tmp_path / form for form in ("jsonl", "csv", "pem")}
    for form, file in files.items():
        assert run("export", str(file), "--format", form)["certificates"] == 3
    identities = {each.certificate_id for each in held.values()}
    lines = [json.loads(line) for line in files["jsonl"].read_text().splitlines()]
    assert {line["certificate_id"] for line in lines} == identities
    assert {certificate_id(x509.load_pem_x509_certificate(line["pem"].encode())) for line in lines} == identities
    with files["csv"].open() as table:
        assert {row["thing"]: row["state"] for row in csv.DictReader(table)} == {
            "lamp": "ACTIVE",
            "old": "ACTIVE",
            "pump": "REVOKED",
        }
    assert {certificate_id(each) for each in parse_chain(files["pem"].read_bytes())} == identities
    before = files["pem"].read_bytes()
    again = run.call("export", str(files["pem"]))  # type: ignore[attr-defined]
    assert (again.returncode, files["pem"].read_bytes()) == (EXIT_CODES[Kind.CONFLICT], before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["csv", "jsonl", "pem"]
    piped = run("export", "-", "--thing", "lamp", "--format", "pem", json_too=False)
    assert certificate_id(x509.load_pem_x509_certificate(piped.encode())) == held["lamp"].certificate_id
