"""``troth enrollment``, ``request``, ``token import`` and ``ca register``, as an operator types them."""

import csv
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select, text
from tests.fixtures.commands import Done, command
from tests.fixtures.issuance import born_now, entries, live_authority, live_clock
from tests.fixtures.strangers import DAY, Maker

from troth.cli.output import EXIT_CODES
from troth.enrollment import tables
from troth.enrollment.enrollments import create_enrollment
from troth.enrollment.proofs.claim import Approval, Proof
from troth.enrollment.requests import file_request
from troth.errors import Kind
from troth.journal.change import change
from troth.keys.file import generate
from troth.store.read import read
from troth.testing.authority import TestAuthority, new_request
from troth.x509.algorithms import KeyAlgorithm

pytestmark = pytest.mark.slow

__all__ = ["born_now", "live_authority", "live_clock"]

ASKED = 'name = "asked"\nprofile = "device"\nproofs = ["approval"]\n[thing]\nname = "{request}"\ncreate = true\n'


@pytest.fixture
def home(live_authority: TestAuthority) -> TestAuthority:
    """A home without an authority that runs."""
    folder = live_authority.folder
    settings = '[site]\nname = "home.example"\npublic_url = "http://home.example:8080"\n'
    (folder / "troth.toml").write_text(f'{settings}[store]\nurl = "sqlite:///{live_authority.db.path}"\n')
    return live_authority


def run(home: TestAuthority, *words: str, stdin: str = "") -> Done:
    return command([*words, "--json"], {**os.environ, "TROTH_HOME": str(home.folder)}, stdin.encode())


def said(home: TestAuthority, *words: str, stdin: str = "") -> Any:
    done = run(home, *words, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_enrollment_lives_and_is_journaled(home: TestAuthority) -> None:
    assert [each["name"] for each in said(home, "enrollment", "list")] == ["default"]
    made = said(home, "enrollment", "create", "-", "--why", "new line", stdin=ASKED)
    assert (made["name"], made["proofs"], made["version"]) == ("asked", "approval", 1)
    assert run(home, "enrollment", "create", "-", stdin=ASKED).returncode == EXIT_CODES[Kind.CONFLICT]
    assert said(home, "enrollment", "show", "asked")["document"] == ASKED
    assert said(home, "enrollment", "update", "-", stdin=ASKED)["version"] == 1
    closed = ASKED.replace("[thing]", "enabled = false\n[thing]")
    assert said(home, "enrollment", "update", "-", stdin=closed)["version"] == 2
    assert said(home, "enrollment", "delete", "asked")["deleted"]
    assert run(home, "enrollment", "show", "asked").returncode == EXIT_CODES[Kind.NOT_FOUND]
    kinds = [
        entry.kind for kind in ("created", "updated", "deleted") for entry in entries(home.db, f"enrollment.{kind}")
    ]
    assert kinds == ["enrollment.created", "enrollment.updated", "enrollment.deleted"]
    assert entries(home.db, "enrollment.created")[0].why == "new line"


def test_the_built_in_enrollment_can_be_replaced_and_not_deleted(home: TestAuthority) -> None:
    assert run(home, "enrollment", "delete", "default").returncode == EXIT_CODES[Kind.CONFLICT]
    closed = said(home, "enrollment", "show", "default")["document"] + "enabled = false\n"
    assert said(home, "enrollment", "update", "-", stdin=closed)["enabled"] is False
    assert said(home, "enrollment", "delete", "default")["deleted"]
    assert said(home, "enrollment", "show", "default")["enabled"] is True


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (ASKED.replace('"device"', '"nothing"'), Kind.NOT_FOUND),
        (ASKED.replace('"device"', '"server"'), Kind.REJECTED),
        (ASKED + 'policies = ["nothing"]\n', Kind.NOT_FOUND),
        (ASKED + 'type = "nothing"\n', Kind.NOT_FOUND),
        (ASKED.replace('"approval"', '"idevid"') + '[idevid]\nissuers = ["nobody"]\n', Kind.NOT_FOUND),
        ("not TOML", Kind.MALFORMED),
    ],
)
def test_an_enrollment_that_cannot_work_is_refused(home: TestAuthority, document: str, kind: Kind) -> None:
    assert run(home, "enrollment", "create", "-", stdin=document).returncode == EXIT_CODES[kind]
    assert [each["name"] for each in said(home, "enrollment", "list")] == ["default"]


def test_requests_are_shown_and_decided_once(home: TestAuthority) -> None:
    ids, digests = [], []
    with change(home.db, home.clock, "operator:anna") as changing:
        create_enrollment(changing, ASKED)
        for number in (1, 2):
            request = new_request(generate(KeyAlgorithm.P256), f"lamp-{number}")
            proof = Proof("approval", f"lamp-{number}", "device", {"enrollment": "asked"}, None)
            ids.append(file_request(changing, proof, Approval("asked", None, DAY, 5.0), request))
            digests.append(request.digest)
    listed = {each["thing"]: each for each in said(home, "request", "list")}
    assert [listed[f"lamp-{number}"]["request_digest"] for number in (1, 2)] == digests
    assert said(home, "request", "show", ids[0])["state"] == "WAITING"
    assert said(home, "request", "approve", ids[0], "--why", "saw it")["state"] == "APPROVED"
    assert said(home, "request", "deny", ids[1])["state"] == "DENIED"
    assert run(home, "request", "approve", ids[1]).returncode == EXIT_CODES[Kind.CONFLICT]
    assert run(home, "request", "approve", "ffff").returncode == EXIT_CODES[Kind.NOT_FOUND]
    assert run(home, "request", "approve", "%").returncode == EXIT_CODES[Kind.MALFORMED]
    assert said(home, "request", "list") == []
    assert {each["state"] for each in said(home, "request", "list", "--all")} == {"APPROVED", "DENIED"}
    (approved,) = entries(home.db, "request.approved")
    assert (approved.subject, approved.why) == (ids[0], "saw it")


def test_tokens_come_for_a_whole_list_and_only_digests_stay(home: TestAuthority, tmp_path: Path) -> None:
    home.thing("lamp-0")
    names = [f"lamp-{number}" for number in range(1500)]
    (tmp_path / "fleet.csv").write_text("thing\n" + "".join(f"{name}\n" for name in names))
    words = ("token", "import", str(tmp_path / "fleet.csv"), "--out", str(tmp_path / "tokens.csv"))
    partly = run(home, *words)
    assert partly.returncode == EXIT_CODES[Kind.NOT_FOUND]
    assert json.loads(partly.stdout) | {"file": ""} == {"tokens": 1, "refused": 1499, "file": ""}
    # What was written once is not written over.
    assert run(home, *words).returncode == EXIT_CODES[Kind.CONFLICT]
    (tmp_path / "tokens.csv").unlink()
    assert said(home, *words, "--create-things", "--ttl", "7d")["tokens"] == 1500
    assert stat.S_IMODE((tmp_path / "tokens.csv").stat().st_mode) == 0o600
    with (tmp_path / "tokens.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["thing"] for row in rows] == names
    assert len({row["token"] for row in rows}) == 1500
    with read(home.db) as connection:
        kept = {row.digest: row.thing for row in connection.execute(select(tables.tokens))}
        batches = text("SELECT count(*) FROM journal_entries WHERE kind = 'tokens.created'")
        assert connection.execute(batches).scalar_one() == 3
    assert all(kept[hashlib.sha256(row["token"].encode()).hexdigest()] == row["thing"] for row in rows)


@pytest.mark.parametrize("content", ["", "name\nlamp-1\n", "thing\n" + "x" * 5000, '"thing\n'])
def test_a_list_that_is_none_makes_nothing(home: TestAuthority, tmp_path: Path, content: str) -> None:
    (tmp_path / "fleet.csv").write_text(content)
    done = run(
        home, "token", "import", str(tmp_path / "fleet.csv"), "--out", str(tmp_path / "t.csv"), "--create-things"
    )
    assert done.returncode in {EXIT_CODES[Kind.MALFORMED], EXIT_CODES[Kind.TOO_LARGE]}
    assert not entries(home.db, "tokens.created")


def pem(file: Path, certificate: x509.Certificate) -> str:
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return str(file)


def test_a_ca_is_registered_by_who_holds_its_key(home: TestAuthority, tmp_path: Path) -> None:
    maker, thief = (Maker.new(tmp_path, home.clock.now()) for _ in range(2))
    ca, code = pem(tmp_path / "ca.pem", maker.certificate), said(home, "ca", "code")["code"]
    words = ("ca", "register", ca, "--purpose", "customer", "--name", "acme", "--proof")
    wrong = {
        "another's signature": (maker.proof(code, thief.key), Kind.UNAUTHENTICATED),
        "another code": (maker.proof("0" * 32), Kind.REJECTED),
        "no proof at all": (maker.certificate, Kind.REJECTED),
    }
    for certificate, kind in wrong.values():
        assert run(home, *words, pem(tmp_path / "proof.pem", certificate)).returncode == EXIT_CODES[kind]
    assert run(home, *words[:-1]).returncode == EXIT_CODES[Kind.REJECTED]
    assert said(home, "ca", "list")["registered"] == []
    proof = pem(tmp_path / "proof.pem", maker.proof(code))
    assert said(home, *words, proof)["proven"] is True
    assert said(home, "ca", "show", "acme")["pem"] == (tmp_path / "ca.pem").read_text()
    # A code is good once, and a CA is registered once.
    other = Maker.new(tmp_path, home.clock.now(), "Another")
    again = ("ca", "register", pem(tmp_path / "other.pem", other.certificate), "--purpose", "customer", "--name", "b")
    reused = run(home, *again, "--proof", pem(tmp_path / "proof.pem", other.proof(code)))
    assert reused.returncode == EXIT_CODES[Kind.EXPIRED]
    assert run(home, *words, proof).returncode == EXIT_CODES[Kind.CONFLICT]
    assert said(home, "ca", "deactivate", "acme")["state"] == "INACTIVE"
    assert said(home, "ca", "activate", "acme")["state"] == "ACTIVE"
    assert [each["name"] for each in said(home, "ca", "list")["registered"]] == ["acme"]


def test_a_makers_ca_may_come_without_proof_but_must_be_a_ca(home: TestAuthority, tmp_path: Path) -> None:
    maker = Maker.new(tmp_path, home.clock.now())
    leaf = pem(tmp_path / "leaf.pem", maker.device("A1").certificate)
    words = ("--purpose", "manufacturer", "--name", "acme")
    assert run(home, "ca", "register", leaf, *words).returncode == EXIT_CODES[Kind.UNAUTHENTICATED]
    ca, crl, strange = pem(tmp_path / "ca.pem", maker.certificate), tmp_path / "crl.pem", tmp_path / "strange.pem"
    crl.write_bytes(maker.crl().public_bytes(Encoding.PEM))
    strange.write_bytes(Maker.new(tmp_path, home.clock.now()).crl().public_bytes(Encoding.PEM))
    refused = run(home, "ca", "register", ca, *words, "--crl", str(strange))
    assert refused.returncode == EXIT_CODES[Kind.REJECTED]
    assert said(home, "ca", "register", ca, *words, "--crl", str(crl))["proven"] is False
    assert said(home, "ca", "activate", "acme", "--crl", str(crl))["crl_next_update"] is not None
