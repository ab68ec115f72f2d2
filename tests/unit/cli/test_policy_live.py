"""``troth policy explain`` against a home: the certificate, its things and what is attached, as they are now."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.commands import Done, command

from troth.cli.output import EXIT_CODES
from troth.errors import Kind
from troth.journal.change import change
from troth.registry.decisions import DecisionRow, append, list_decisions
from troth.registry.policies import attach_policy, create_policy
from troth.store.read import read
from troth.testing.authority import ACTOR, Held, TestAuthority

pytestmark = pytest.mark.slow

Run = Callable[..., Done]
HEAD = "arn:aws:iot:here:000000000000:"
POLICY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "iot:Publish",
            "Resource": f"{HEAD}topic/home/${{iot:Connection.Thing.ThingName}}/*",
        },
        {
            "Effect": "Allow",
            "Action": "iot:Publish",
            "Resource": f"{HEAD}topic/method",
            "Condition": {"StringEquals": {"troth:EnrollmentMethod": "test"}},
        },
        {
            "Effect": "Deny",
            "Action": "iot:Connect",
            "Resource": "*",
            "Condition": {
                "NumericLessThan": {"troth:TlsVersion": "1.3"},
                "ForAnyValue:StringEquals": {"iot:ConnectAttributes": "LastWill"},
            },
        },
    ],
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAuthority]:
    folder = tmp_path_factory.mktemp("home")
    with TestAuthority(folder) as authority:
        url = f"sqlite:///{authority.db.path}"
        settings = '[site]\nname = "home.example"\npublic_url = "http://home.example:8080"\n'
        settings += f'[store]\nurl = "{url}"\n[aws]\nregion = "here"\n'
        (folder / "troth.toml").write_text(settings)
        yield authority


@pytest.fixture(scope="module")
def lamp(authority: TestAuthority) -> Held:
    held = authority.device("lamp-1")
    with change(authority.db, authority.clock, ACTOR) as changing:
        create_policy(changing, "lamp", json.dumps(POLICY))
        attach_policy(changing, "lamp", thing="lamp-1")
    return held


@pytest.fixture(scope="module")
def run(authority: TestAuthority) -> Run:
    """Run ``troth`` with these words on the home."""
    environment = {**os.environ, "TROTH_HOME": str(authority.folder)}
    return lambda *words: command(words, environment)


def explain(run: Run, *words: str) -> Any:
    done = run("policy", "explain", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def publish(topic: str) -> tuple[str, ...]:
    return ("--action", "iot:Publish", "--resource", topic)


class TestHolder:
    def test_of_a_thing(self, run: Run, lamp: Held) -> None:
        value = explain(run, "--thing", "lamp-1", *publish("home/lamp-1/x"))
        assert value["decision"] == "allow"
        assert value["deciding"] == [{"policy": "lamp", "statement": 1}]
        assert value["arn"] == f"{HEAD}topic/home/lamp-1/x"
        assert value["notes"] == [
            f"asked with certificate {lamp.certificate_id[:16]}",
            "not known here, and read by these policies: troth:TlsVersion",
        ]

    def test_what_only_a_connection_can_tell_is_named(self, run: Run, lamp: Held) -> None:
        notes = explain(run, "--thing", "lamp-1", "--action", "iot:Connect", "--resource", "lamp-1")["notes"]
        assert notes[-1] == "not known here, and read by these policies: iot:ConnectAttributes, troth:TlsVersion"

    def test_of_a_thing_under_another_client_id(self, run: Run, lamp: Held) -> None:
        # Enrolled certificates are one thing's alone: it is that thing whatever its client id.
        asked = explain(run, "--thing", "lamp-1", "--client-id", "x", *publish("home/x/x"))
        assert asked["decision"] == "implicit-deny"
        assert asked["statements"][0]["failures"][0]["patterns"][0]["here"] == f"{HEAD}topic/home/lamp-1/*"

    def test_of_a_certificate(self, run: Run, lamp: Held) -> None:
        assert explain(run, "--cert", lamp.certificate_id[:12], *publish("home/lamp-1/x"))["decision"] == "allow"

    def test_what_is_known_of_the_certificate_counts(self, run: Run, lamp: Held) -> None:
        value = explain(run, "--thing", "lamp-1", *publish("method"))
        assert value["decision"] == "allow", value["change"]

    def test_a_revoked_certificate_is_told(self, run: Run, authority: TestAuthority) -> None:
        held = authority.device("lamp-2")
        authority.revoke(held)
        done = run("policy", "explain", "--thing", "lamp-2", *publish("x"))
        assert "note: the certificate is REVOKED: no connection is let in" in done.stdout
        assert "no policy is attached" in done.stdout

    def test_the_newest_certificate_in_force_is_asked_with(self, run: Run, authority: TestAuthority) -> None:
        authority.device("lamp-3")
        newest = authority.device("lamp-3")
        (note,) = explain(run, "--thing", "lamp-3", *publish("x"))["notes"]
        assert note == f"asked with certificate {newest.certificate_id[:16]}, the newest of 2 in force"

    @pytest.mark.parametrize(
        ("words", "kind"),
        [
            (("--thing", "nobody", *publish("x")), Kind.NOT_FOUND),
            (("--thing", "bare", *publish("x")), Kind.NOT_FOUND),
            (("--cert", "ffffffff", *publish("x")), Kind.NOT_FOUND),
            (publish("x"), Kind.MALFORMED),
            (("--thing", "lamp-1"), Kind.MALFORMED),
            (("--thing", "lamp-1", "--request", "r.json"), Kind.MALFORMED),
            (("--thing", "lamp-1", "--action", "iot:Drink", "--resource", "x"), Kind.UNSUPPORTED),
        ],
    )
    def test_what_is_missing_is_said(
        self, run: Run, authority: TestAuthority, lamp: Held, words: tuple[str, ...], kind: Kind
    ) -> None:
        authority.thing("bare")
        assert run("policy", "explain", *words).returncode == EXIT_CODES[kind]


class TestDecision:
    @pytest.fixture
    def log(self, authority: TestAuthority, lamp: Held) -> Callable[..., int]:
        def log(**values: Any) -> int:
            row: dict[str, Any] = {
                "at": authority.clock.now() - timedelta(minutes=1),
                "worker": "w",
                "connection": "c",
                "address": "[2001:db8::7]:4711",
                "certificate_id": lamp.certificate_id,
                "thing": "lamp-1",
                "client_id": "lamp-1",
                "action": "iot:Publish",
                "resource": "topic/home/lamp-2/x",
                "outcome": "implicit-deny",
                "reason": "policy: no statement allows it",
            }
            append(authority.db, [DecisionRow(**(row | values))])
            with read(authority.db) as connection:
                return list_decisions(connection, limit=1)[-1].id

        return log

    def test_is_explained_with_the_same_words(self, run: Run, lamp: Held, log: Callable[..., int]) -> None:
        number = log()
        by_number = explain(run, "--decision", str(number))
        by_thing = explain(run, "--thing", "lamp-1", *publish("home/lamp-2/x"))
        assert by_number["statements"] == by_thing["statements"]
        assert by_number["change"] == by_thing["change"]
        assert "implicit-deny, policy: no statement allows it" in by_number["notes"][0]

    def test_decisions_are_listed_with_their_ids(self, run: Run, log: Callable[..., int]) -> None:
        number = log()
        assert json.loads(run("decision", "list", "--json").stdout)[-1]["id"] == number
        assert str(number) in run("decision", "list").stdout.splitlines()[-1].split()

    @pytest.mark.parametrize(
        "values",
        [
            {"action": "tls:Handshake", "resource": "", "certificate_id": None},
            {"action": "iot:Connect", "resource": "certificate/ab"},
            {"action": "iot:Connect", "resource": "client/x", "certificate_id": None},
        ],
    )
    def test_what_no_policy_decided_cannot_be_explained(
        self, run: Run, log: Callable[..., int], values: dict[str, Any]
    ) -> None:
        done = run("policy", "explain", "--decision", str(log(**values)))
        assert done.returncode == EXIT_CODES[Kind.UNSUPPORTED]
        assert "was made before any policy was asked" in done.stderr

    def test_one_that_is_not_there(self, run: Run) -> None:
        assert run("policy", "explain", "--decision", "999999").returncode == EXIT_CODES[Kind.NOT_FOUND]


def test_lint_knows_the_region_of_a_home(run: Run, authority: TestAuthority, tmp_path: Path) -> None:
    other = {**POLICY["Statement"][0], "Resource": "arn:aws:iot:elsewhere:000000000000:topic/a"}
    (tmp_path / "p.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": other}))
    assert run("policy", "lint", str(tmp_path / "p.json")).returncode == 0
    done = run("policy", "lint", str(tmp_path / "p.json"), "--home", str(authority.folder))
    assert done.returncode == 1
    assert "other-realm" in done.stdout
