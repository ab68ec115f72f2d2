"""``troth template`` and ``troth thing import``: what they put into force, what they tell, and what they refuse."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.commands import Done, command
from tests.fixtures.issuance import certificates, entries
from tests.fixtures.provisioning import csr
from tests.fixtures.templates import small

from troth.cli.output import EXIT_CODES
from troth.errors import Kind
from troth.keys.file import write_key
from troth.testing.authority import TestAuthority

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
        (tmp_path / "lamps.json").write_text(json.dumps(small()))
        yield authority


@pytest.fixture
def said(authority: TestAuthority) -> Callable[..., Done]:
    environment = {**os.environ, "TROTH_HOME": str(authority.folder)}
    return lambda *words, stdin=b"": command([str(word) for word in words], environment, stdin)


@pytest.fixture
def run(said: Callable[..., Done]) -> Run:
    def answered(*words: object) -> Any:
        done = said(*words, "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    return answered


def test_a_templates_life(authority: TestAuthority, run: Run, said: Callable[..., Done]) -> None:
    file = authority.folder / "lamps.json"
    made = run("template", "create", "lamps", file, "--server-keys", "--why", "a new product")
    assert (made["type"], made["server_keys"], made["again"], made["hook"]) == ("FLEET_PROVISIONING", True, False, None)
    assert entries(authority.db, "template.created")[0].why == "a new product"
    assert [each["name"] for each in run("template", "list")] == ["lamps"]
    assert json.loads(run("template", "show", "lamps")["document"]) == small()
    assert json.loads(said("template", "show", "lamps", "--document").stdout) == small()
    assert "server keys  yes" in said("template", "show", "lamps").stdout
    changed = run("template", "update", "lamps", "--no-server-keys", "--again", "--disable")
    assert (changed["server_keys"], changed["again"], changed["enabled"], changed["version"]) == (False, True, False, 2)
    assert run("template", "update", "lamps", "--disable")["changed"] is False
    hooked = run("template", "update", "lamps", "--hook-url", "https://h.example/", "--hook-ca", authority.root_file)
    assert (hooked["hook"], hooked["again"]) == ("https://h.example/", True)
    assert run("template", "update", "lamps", "--hook", "ours")["hook"] == "ours"
    assert run("template", "update", "lamps", "--no-hook")["hook"] is None
    assert run("template", "delete", "lamps") == {"name": "lamps", "deleted": True}
    assert said("template", "show", "lamps").returncode == EXIT_CODES[Kind.NOT_FOUND]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("--hook-ca", "lamps.json"), Kind.MALFORMED),
        (("--hook-url", "https://h.example/"), Kind.MALFORMED),
        (("--hook-url", "http://h.example/", "--hook-ca", "root.pem"), Kind.MALFORMED),
        (("--hook-url", "https://h.example/", "--hook-ca", "root.pem", "--hook", "x"), Kind.MALFORMED),
        (("--hook-url", "https://h.example/", "--hook-ca", "nowhere.pem"), Kind.NOT_FOUND),
        (("--profile", "nothing"), Kind.NOT_FOUND),
        (("--type", "bulk", "--profile", "server"), Kind.REJECTED),
    ],
)
def test_options_that_do_not_go(
    authority: TestAuthority, said: Callable[..., Done], options: tuple[str, ...], kind: Kind
) -> None:
    words = [each if "://" in each else str(authority.folder / each) if Path(each).suffix else each for each in options]
    done = said("template", "create", "lamps", authority.folder / "lamps.json", *words)
    assert done.returncode == EXIT_CODES[kind], done
    assert said("template", "list").stdout.strip() == "no templates"


def test_a_template_that_cannot_be_is_refused_with_place_and_remedy(
    authority: TestAuthority, said: Callable[..., Done]
) -> None:
    document = small()
    document["Resources"]["thing"]["Properties"]["ThingName"] = {"Ref": "Sereal"}
    (authority.folder / "lamps.json").write_text(json.dumps(document))
    done = said("template", "create", "lamps", authority.folder / "lamps.json")
    assert done.returncode == EXIT_CODES[Kind.MALFORMED]
    assert "ThingName: there is no parameter 'Sereal'" in done.stderr
    assert "did you mean Serial?" in done.stderr


def test_a_list_becomes_things_with_certificates(authority: TestAuthority, run: Run, said: Callable[..., Done]) -> None:
    document = small()
    document["Parameters"]["CSR"] = {"Type": "String"}
    way = {"CertificateSigningRequest": {"Ref": "CSR"}}
    document["Resources"]["certificate"]["Properties"] = way
    (authority.folder / "list.json").write_text(json.dumps(document))
    run("template", "create", "list", authority.folder / "list.json", "--type", "bulk")
    listed = authority.folder / "fleet.jsonl"
    good = [json.dumps({"Serial": str(at), "CSR": csr().decode()}) for at in range(3)]
    listed.write_text("\n".join([good[0], "not json", good[1], '{"Serial": "9"}', good[2], ""]))
    done = said("thing", "import", listed, "--template", "list", "--json")
    assert done.returncode == EXIT_CODES[Kind.MALFORMED]
    report = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["line"] for each in report] == [1, 2, 3, 4, 5]
    assert [each.get("thing") or each["error"]["kind"] for each in report] == [
        "lamp-0",
        "malformed",
        "lamp-1",
        "rejected",
        "lamp-2",
    ]
    assert "made 3 of 5" in done.stderr
    # Given again, it makes nothing anew.
    listed.write_text("\n".join(good))
    again = said("thing", "import", "-", "--template", "list", "--json", stdin=listed.read_bytes())
    assert again.returncode == 0, again
    ids = [json.loads(line)["certificate_id"] for line in again.stdout.splitlines()]
    assert ids == [each["certificate_id"] for each in report if "certificate_id" in each]
    assert len(certificates(authority.db, "lamp-0")) == 1


def test_a_list_is_refused_for_a_template_that_is_not_for_lists(
    authority: TestAuthority, run: Run, said: Callable[..., Done]
) -> None:
    run("template", "create", "lamps", authority.folder / "lamps.json")
    (authority.folder / "fleet.jsonl").write_text('{"Serial": "1"}\n')
    done = said("thing", "import", authority.folder / "fleet.jsonl", "--template", "lamps")
    assert done.returncode == EXIT_CODES[Kind.REJECTED]
    assert "--type bulk" in done.stderr
    missing = said("thing", "import", authority.folder / "nowhere.jsonl", "--template", "lamps")
    assert missing.returncode == EXIT_CODES[Kind.NOT_FOUND]
