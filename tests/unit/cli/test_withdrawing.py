"""``troth cert hold|release|activate|deactivate|revoke`` and ``troth crl``: what they do, and what they refuse."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.commands import Done, command
from tests.fixtures.enrolling import new_token
from tests.fixtures.strangers import Maker, register

from troth.authority.derive import published_name
from troth.cli.output import EXIT_CODES
from troth.errors import Kind
from troth.keys.file import write_key
from troth.registry.foreign_issuers import ForeignPurpose
from troth.testing.authority import TestAuthority
from troth.x509.certificates import render_chain

pytestmark = pytest.mark.slow

Run = Callable[..., Any]


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[TestAuthority]:
    with TestAuthority(tmp_path) as authority:
        settings = '[site]\nname = "home.example"\npublic_url = "http://home.example:8080"\n'
        (tmp_path / "troth.toml").write_text(f'{settings}[store]\nurl = "sqlite:///{authority.db.path}"\n')
        for name, key in authority.cabinet.keys.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            write_key(tmp_path / name, key, None)
        yield authority


@pytest.fixture
def said(authority: TestAuthority) -> Callable[..., Done]:
    return lambda *words: command(words, {**os.environ, "TROTH_HOME": str(authority.folder)}, b"")


@pytest.fixture
def run(said: Callable[..., Done]) -> Run:
    def answered(*words: str) -> Any:
        done = said(*words, "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    return answered


def test_out_of_force_and_back(authority: TestAuthority, run: Run, said: Callable[..., Done]) -> None:
    lamp = authority.device("lamp-1").certificate_id
    for word, state, reason in [
        ("deactivate", "INACTIVE", None),
        ("activate", "ACTIVE", None),
        ("hold", "INACTIVE", "certificateHold"),
        ("release", "ACTIVE", None),
    ]:
        (row,) = run("cert", word, lamp[:12])
        assert (row["certificate_id"], row["state"], row["reason"]) == (lamp, state, reason)
    assert said("cert", "hold", lamp).stdout == f"held {lamp} (certificateHold)\n"
    done = said("cert", "activate", lamp)
    assert (done.returncode, "troth cert release" in done.stderr) == (EXIT_CODES[Kind.CONFLICT], True)


def test_a_thing_goes_with_its_tokens(authority: TestAuthority, said: Callable[..., Done]) -> None:
    lamp = authority.device("lamp-2").certificate_id
    new_token(authority, "lamp-2")
    first, second = said("cert", "revoke", "--thing", "lamp-2", "--reason", "superseded").stdout.splitlines()
    assert first == f"revoked {lamp} (superseded)"
    assert second.startswith("revoked token ")


@pytest.mark.slow
def test_crls_are_published_and_listed(run: Run, said: Callable[..., Done]) -> None:
    assert "no CRL has been published" in said("crl", "list").stdout
    made = run("crl", "publish")
    assert {row["ca"] for row in made} == {"devices-1", "servers-1", "operators-1"}
    listed = run("crl", "list")
    assert {(row["ca"], row["shard"], row["kind"]) for row in listed} == {
        (ca, None, kind) for ca in ("devices-1", "servers-1", "operators-1") for kind in ("complete", "delta")
    }
    assert {row["state"] for row in listed} == {"good"}
    assert len(run("crl", "list", "--shards")) == len(made)
    (row, _) = run("crl", "list", "--ca", "devices-1")
    assert row["url"] == f"http://home.example:8080/crl/{published_name(row['issuer_id'])}.crl"
    assert run("crl", "publish", "--ca", "devices")[0]["number"] == row["number"] + 1


def test_a_ca_goes_whole_and_a_root_not_at_all(run: Run, said: Callable[..., Done]) -> None:
    (row,) = run("cert", "revoke", "--ca", "operators-1", "--reason", "cACompromise")
    assert (row["name"], row["state"]) == ("operators-1", "REVOKED")
    (crl, *_) = run("crl", "publish", "--ca", "root")
    assert (crl["ca"], crl["entries"]) == ("root-1", 1)
    assert said("cert", "revoke", "--ca", "root-1").returncode == EXIT_CODES[Kind.REJECTED]
    assert said("crl", "publish", "--ca", "operators-1").returncode == EXIT_CODES[Kind.NOT_FOUND]


def test_a_registered_ca_of_elsewhere_goes_whole(authority: TestAuthority, run: Run, said: Callable[..., Done]) -> None:
    register(authority, Maker.new(authority.folder, authority.clock.now()), "acme", ForeignPurpose.CUSTOMER)
    (row,) = run("cert", "revoke", "--ca", "acme")
    assert (row["name"], row["state"]) == ("acme", "REVOKED")
    assert said("ca", "activate", "acme").returncode == EXIT_CODES[Kind.CONFLICT]
    assert run("cert", "list", "--ca", "acme") == []


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("cert", "revoke"), Kind.MALFORMED),
        (("cert", "revoke", "abcd", "--thing", "x"), Kind.MALFORMED),
        (("cert", "revoke", "--ca", "x", "--thing", "x"), Kind.MALFORMED),
        (("cert", "revoke", "--ca", "nobody"), Kind.NOT_FOUND),
        (("cert", "revoke", "abcd", "--reason", "certificateHold"), Kind.MALFORMED),
        (("cert", "hold", "0" * 64), Kind.NOT_FOUND),
        (("cert", "release", "xyz"), Kind.MALFORMED),
        (("crl", "list", "--ca", "nobody"), Kind.NOT_FOUND),
        (("crl", "publish", "--ca", "nobody"), Kind.NOT_FOUND),
    ],
)
def test_what_cannot_be_is_told(said: Callable[..., Done], words: tuple[str, ...], kind: Kind) -> None:
    assert said(*words).returncode == EXIT_CODES[kind]


def test_a_number_is_spent_beside_the_key_before_the_crl_is_handed_over(
    authority: TestAuthority, run: Run, said: Callable[..., Done]
) -> None:
    folder = authority.folder
    (folder / "ca.pem").write_bytes(render_chain([authority.root]))
    run("crl", "request", "--ca", "root-1", "--out", str(folder / "asked"))
    key, certificate = str(folder / "root" / "root.key"), str(folder / "ca.pem")
    words = ("crl", "sign", str(folder / "asked"), "--key", key, "--certificate", certificate, "--out")
    assert run(*words, str(folder / "root.crl"))["number"] == 1
    kept = folder / "root" / "root.key.crl"
    assert kept.read_bytes() == (folder / "root.crl").read_bytes()
    assert said(*words, str(folder / "nowhere" / "root.crl")).returncode == EXIT_CODES[Kind.MISCONFIGURED]
    assert run(*words, str(folder / "root.crl"))["number"] == 3
    kept.write_bytes(b"torn")
    assert said(*words, str(folder / "root.crl")).returncode == EXIT_CODES[Kind.MALFORMED]
    assert said("crl", "import", str(folder / "root.crl")).returncode == 0
    assert [row["number"] for row in run("crl", "list", "--ca", "root")] == [3]
