"""``troth group``, and policies that are attached to one: what is told, and what is refused."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.commands import Done, command
from tests.fixtures.mqtt import allow, policy

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
        yield authority


@pytest.fixture
def said(authority: TestAuthority) -> Callable[..., Done]:
    environment = {**os.environ, "TROTH_HOME": str(authority.folder)}
    return lambda *words: command([str(word) for word in words], environment, b"")


@pytest.fixture
def run(said: Callable[..., Done]) -> Run:
    def answered(*words: object) -> Any:
        done = said(*words, "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    return answered


def test_a_groups_life(authority: TestAuthority, run: Run, said: Callable[..., Done]) -> None:
    authority.device("lamp-1")
    run("group", "create", "house", "--description", "all of it")
    made = run("group", "create", "attic", "--parent", "house", "--attribute", "floor=3")
    assert (made["parent"], made["attributes"], made["version"]) == ("house", {"floor": "3"}, 1)
    assert [each["name"] for each in run("group", "list")] == ["attic", "house"]
    assert [each["name"] for each in run("group", "list", "--parent", "house")] == ["attic"]
    assert run("group", "add", "attic", "lamp-1")["added"] == ["lamp-1"]
    assert run("group", "add", "attic", "lamp-1")["added"] == []
    assert run("thing", "show", "lamp-1")["groups"] == ["attic"]
    assert "group         attic" in said("thing", "show", "lamp-1").stdout
    shown = run("group", "show", "attic")
    assert (shown["above"], shown["below"], shown["things"], shown["policies"]) == (["house"], [], ["lamp-1"], [])
    assert run("group", "show", "house")["below"] == ["attic"]
    assert run("group", "update", "attic", "--description", "for guests")["attributes"] == {"floor": "3"}
    assert run("group", "update", "attic", "--no-attributes")["version"] == 3
    assert not run("group", "update", "attic")["changed"]
    refused = said("group", "delete", "house")
    assert "is below group" in refused.stderr
    assert said("group", "show", "shed").returncode == said("group", "list", "--parent", "shed").returncode != 0
    assert run("group", "remove", "attic", "lamp-1")["removed"] == ["lamp-1"]
    run("group", "delete", "attic")
    run("group", "delete", "house")
    assert run("group", "list") == []


def test_a_policy_reaches_a_thing_through_its_groups(
    authority: TestAuthority, run: Run, said: Callable[..., Done]
) -> None:
    authority.device("lamp-1")
    (authority.folder / "all.json").write_text(policy(allow("iot:Connect", "client/*")))
    run("policy", "create", "all", authority.folder / "all.json")
    run("group", "create", "house")
    run("group", "create", "attic", "--parent", "house")
    run("group", "add", "attic", "lamp-1")
    assert run("policy", "attach", "all", "--group", "house")["group"] == "house"
    assert run("policy", "show", "all")["targets"] == [{"kind": "group", "target": "house"}]
    asked = ("policy", "explain", "--thing", "lamp-1", "--action", "iot:Connect", "--resource", "lamp-1")
    assert run(*asked)["decision"] == "allow"
    assert "group house" in said(*asked).stdout
    # As on AWS: not under another client id.
    assert run(*asked, "--client-id", "other")["decision"] == "implicit-deny"
    run("policy", "detach", "all", "--group", "house")
    assert run(*asked)["decision"] == "implicit-deny"
    for words in ((), ("--thing", "lamp-1", "--group", "house")):
        assert "say what to attach to" in said("policy", "attach", "all", *words).stderr
