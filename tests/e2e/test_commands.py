"""Every command on a home as a person and as a script meets it: what it answers, and what it says when it cannot."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.clients import Visit, openssl
from tests.fixtures.commands import Done, command
from tests.fixtures.estate import OWN, Credential, Estate
from tests.fixtures.mqtt import policy
from tests.fixtures.platform import environment, troth, until
from tests.fixtures.story import Story

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl", "curl", "mosquitto_sub")]

USAGE, MALFORMED, NOT_FOUND, CONFLICT, MISCONFIGURED = 2, 10, 13, 14, 22
NOUNS = ("thing", "policy", "cert", "token", "decision", "session", "journal", "device")


@pytest.fixture
def estate(embedded: Story) -> Estate:
    """What stands on the embedded platform."""
    return embedded.estate


def said(estate: Estate, *words: str, stdin: bytes = b"") -> Done:
    """Run a command as a person does."""
    return command(words, environment(estate.platform.home), stdin)


def shown(estate: Estate, *words: str) -> str:
    """Return what a command that ends well tells a person."""
    done = said(estate, *words)
    assert done.returncode == 0, done
    return done.stdout


def answered(estate: Estate, *words: str) -> Any:
    """Return what a command that ends well tells a script."""
    return estate.platform.run(*words)


def refused(estate: Estate, code: int, *words: str, stdin: bytes = b"") -> tuple[str, str | None]:
    """Require that a command fails in the same way for both; return its message and hint."""
    for_people = said(estate, *words, stdin=stdin)
    for_scripts = said(estate, *words, "--json", stdin=stdin)
    assert (for_people.returncode, for_scripts.returncode) == (code, code), for_people
    assert for_people.stdout == ""
    assert for_people.stderr == for_scripts.stderr
    error = json.loads(for_scripts.stdout)["error"]
    lines = [f"troth: {error['message']}", *([f"  hint: {error['hint']}"] if error["hint"] else [])]
    assert for_people.stderr.splitlines() == lines
    return error["message"], error["hint"]


def test_things(estate: Estate) -> None:
    name, kind = estate.name("lamp"), estate.name("kind")
    words = ("thing", "create", name, "--type", kind, "--attribute", "room=kitchen", "--attribute", "watts=7")
    done = said(estate, *words)
    assert (done.stdout, done.stderr) == (f"created thing {name}\n", f"made the thing type {kind}\n")
    row = answered(estate, *words)
    assert (row["name"], row["type"], row["attributes"]) == (name, kind, {"room": "kitchen", "watts": "7"})
    assert datetime.fromisoformat(row["created_at"]).utcoffset() is not None
    assert answered(estate, "thing", "list", "--type", kind) == [row]
    assert re.search(rf"^{name} +{kind} +room=kitchen watts=7$", shown(estate, "thing", "list", "--type", kind), re.M)
    more = answered(estate, "thing", "show", name)
    assert more == {**row, "groups": [], "policies": [], "certificates": []}
    assert "room=kitchen" in shown(estate, "thing", "show", name)
    message, hint = refused(estate, CONFLICT, "thing", "create", name, "--type", kind, "--attribute", "room=bath")
    assert message == f"thing {name!r} exists with another type or other attributes"
    assert hint is not None
    message, _ = refused(estate, NOT_FOUND, "thing", "show", "nobody")
    assert message == "there is no thing 'nobody'"
    refused(estate, MALFORMED, "thing", "create", "not a name")
    refused(estate, MALFORMED, "thing", "create", estate.name("lamp"), "--attribute", "room")


def test_lists_come_in_pages(estate: Estate) -> None:
    kind = estate.name("kind")
    names = sorted(estate.thing("lamp", type=kind) for _ in range(3))
    first = answered(estate, "thing", "list", "--type", kind, "--limit", "2")
    rest = answered(estate, "thing", "list", "--type", kind, "--limit", "2", "--after", first[-1]["name"])
    assert [row["name"] for row in (*first, *rest)] == names


def test_policies(estate: Estate, tmp_path: Path) -> None:
    name, thing = estate.name("policy"), estate.name("lamp")
    answered(estate, "thing", "create", thing)
    file = tmp_path / "policy.json"
    file.write_text(policy(*OWN))
    assert shown(estate, "policy", "validate", str(file)) == "valid: 3 statements\n"
    assert answered(estate, "policy", "validate", str(file)) == {"valid": True, "statements": 3}
    assert shown(estate, "policy", "create", name, str(file)) == f"created policy {name}\n"
    assert answered(estate, "policy", "create", name, str(file)) == {"name": name, "version": 1}
    assert name in shown(estate, "policy", "list", "--limit", "1000")
    assert name in {row["name"] for row in answered(estate, "policy", "list", "--limit", "1000")}
    assert shown(estate, "policy", "attach", name, "--thing", thing) == f"attached {name} to thing {thing}\n"
    assert answered(estate, "thing", "show", thing)["policies"] == [name]
    found = answered(estate, "policy", "show", name)
    assert (json.loads(found["document"]), found["targets"]) == (
        json.loads(file.read_text()), [{"kind": "thing", "target": thing}]
    )  # fmt: skip
    assert f"attached to thing {thing}" in shown(estate, "policy", "show", name)
    assert answered(estate, "policy", "detach", name, "--thing", thing)["attached"] is False
    refused(estate, NOT_FOUND, "policy", "detach", name, "--thing", thing)
    refused(estate, NOT_FOUND, "policy", "attach", name, "--thing", "nobody")
    refused(estate, NOT_FOUND, "policy", "attach", "no-policy", "--thing", thing)
    refused(estate, MALFORMED, "policy", "attach", name)
    refused(estate, MISCONFIGURED, "policy", "create", estate.name("policy"), str(tmp_path / "nowhere"))


def test_a_policy_of_a_certificate(estate: Estate) -> None:
    who = estate.enrolled("lamp")
    name = estate.name("policy")
    done = said(estate, "policy", "create", name, "-", stdin=policy(*OWN).encode())
    assert done.returncode == 0
    beginning = who.certificate_id[:16]
    assert answered(estate, "policy", "attach", name, "--cert", beginning)["certificate_id"] == who.certificate_id
    assert shown(estate, "policy", "detach", name, "--cert", beginning) == (
        f"detached {name} from certificate {who.certificate_id}\n"
    )


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ('{"Version": "2012-10-17"}', "Statement"),
        ('{"Version": "2012-10-17", "Statement": [{"Effect": "Perhaps"}]}', "Statement[0].Effect"),
        (
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}, '
            '{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringLikee": {"a": "b"}}}]}',
            "Statement[1].Condition.StringLikee",
        ),
        ("{", "not JSON"),
    ],
)
def test_a_bad_document_is_named_with_its_place(estate: Estate, document: str, place: str) -> None:
    checked, _ = refused(estate, MALFORMED, "policy", "validate", "-", stdin=document.encode())
    created, _ = refused(estate, MALFORMED, "policy", "create", estate.name("policy"), "-", stdin=document.encode())
    assert place in checked
    assert place in created


def test_tokens(estate: Estate) -> None:
    thing = estate.thing("lamp")
    made = answered(estate, "token", "create", "--thing", thing, "--ttl", "10m")
    assert (made["thing"], made["state"]) == (thing, "UNUSED")
    assert len(made["token"]) >= 22, "128 bits take 22 characters"
    done = said(estate, "token", "create", "--thing", thing)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22,}\n", done.stdout), "a script can catch it"
    rows = answered(estate, "token", "list", "--thing", thing)
    assert [row["state"] for row in rows] == ["UNUSED", "UNUSED"]
    everything = shown(estate, "token", "list", "--thing", thing) + json.dumps(rows)
    everything += json.dumps(answered(estate, "journal", "show", "--limit", "1000"))
    for secret in (made["token"], done.stdout.strip()):
        assert secret not in everything, "a secret is shown once"
        assert secret.encode() not in (estate.platform.home / "data" / "troth.db").read_bytes()
    assert answered(estate, "token", "revoke", made["token_id"])["state"] == "REVOKED"
    request, _ = estate.request(thing)
    assert estate.simple_enroll(thing, made["token"], request)[0] == 401
    assert estate.simple_enroll(thing, done.stdout.strip(), request)[0] == 200
    states = {row["token_id"]: row["state"] for row in answered(estate, "token", "list", "--thing", thing)}
    assert sorted(states.values()) == ["REVOKED", "SPENT"]
    refused(estate, NOT_FOUND, "token", "create", "--thing", "nobody")
    refused(estate, NOT_FOUND, "token", "revoke", "00000000")
    refused(estate, MALFORMED, "token", "create", "--thing", thing, "--ttl", "15")


def test_certificates(estate: Estate) -> None:
    one = estate.enrolled("lamp")
    other = estate.enroll(one.thing)
    rows = answered(estate, "cert", "list", "--thing", one.thing)
    assert {row["certificate_id"] for row in rows} == {one.certificate_id, other.certificate_id}
    assert all("der" not in row for row in rows)
    assert one.certificate_id[:16] in shown(estate, "cert", "list", "--thing", one.thing)
    assert answered(estate, "cert", "list", "--thing", one.thing, "--expiring", "30d") == []
    assert len(answered(estate, "cert", "list", "--thing", one.thing, "--expiring", "91d")) == 2
    row = answered(estate, "cert", "show", one.certificate_id[:12])
    assert row["pem"] == one.chain_file.read_text()
    assert f"{one.certificate.serial_number:x}" in {row["serial"], row["serial"].lstrip("0")}
    assert one.chain_file.read_text().strip() in shown(estate, "cert", "show", one.certificate_id)
    words = ("cert", "revoke", one.certificate_id, "--reason", "keyCompromise", "--why", "stolen from the porch")
    assert shown(estate, *words) == f"revoked {one.certificate_id} (keyCompromise)\n"
    assert [row["state"] for row in answered(estate, "cert", "list", "--thing", one.thing, "--state", "REVOKED")] == [
        "REVOKED"
    ]
    (entry,) = [
        entry
        for entry in answered(estate, "journal", "show", "--limit", "1000")
        if (entry["kind"], entry["subject"]) == ("certificate.revoked", one.certificate_id)
    ]
    assert entry["why"] == "stolen from the porch"
    assert entry["actor"].startswith("operator:")
    revoked = answered(estate, "cert", "revoke", "--thing", one.thing)
    assert [row["certificate_id"] for row in revoked] == [other.certificate_id]
    assert shown(estate, "cert", "revoke", "--thing", one.thing) == "nothing to revoke\n"
    refused(estate, NOT_FOUND, "cert", "show", "0" * 64)
    refused(estate, MALFORMED, "cert", "show", "xyz")
    refused(estate, MALFORMED, "cert", "revoke")
    message, hint = refused(estate, MALFORMED, "cert", "revoke", one.certificate_id, "--reason", "lost")
    assert "keyCompromise" in f"{message} {hint}"


def test_the_journal(estate: Estate) -> None:
    thing = estate.thing("lamp")
    before = answered(estate, "journal", "show", "--limit", "1")[0]["number"]
    answered(estate, "token", "create", "--thing", thing)
    (entry,) = answered(estate, "journal", "show", "--after", str(before))
    assert (entry["number"], entry["kind"], entry["data"]["thing"]) == (before + 1, "token.created", thing)
    assert "token.created" in shown(estate, "journal", "show", "--after", str(before))
    assert shown(estate, "journal", "show", "--after", str(before + 1)) == "no entries\n"


def test_sessions_and_decisions(embedded: Story) -> None:
    estate = embedded.estate
    lamp = estate.enrolled("lamp")
    embedded.subscriber(lamp, lamp.thing, f"home/{lamp.thing}/#")
    (row,) = until(lambda: answered(estate, "session", "list", "--thing", lamp.thing), "a session")
    assert (row["certificate_id"], row["client_id"]) == (lamp.certificate_id, lamp.thing)
    assert lamp.thing in shown(estate, "session", "list", "--thing", lamp.thing)
    assert answered(estate, "status")["counts"]["sessions"] >= 1
    openssl(embedded.door, Visit(lamp, f"{lamp.thing}:x", "home/another/x", "x"))
    denied = until(lambda: decisions_of(estate, lamp), "a denial")
    assert [(each["action"], each["resource"], each["outcome"]) for each in denied] == [
        ("iot:Publish", "topic/home/another/x", "implicit-deny")
    ]
    assert "home/another/x" in shown(estate, "decision", "list", "--denied", "--limit", "1000")
    counts = shown(estate, "decision", "list", "--counts")
    assert re.search(r"^iot:Publish +implicit-deny +policy +\d+ *$", counts, re.MULTILINE)


def decisions_of(estate: Estate, who: Credential) -> list[dict[str, Any]]:
    """Return the denials of a certificate."""
    rows = answered(estate, "decision", "list", "--denied", "--limit", "1000")
    return [row for row in rows if row["certificate_id"] == who.certificate_id]


def test_no_command_takes_a_secret_as_an_argument(tmp_path: Path) -> None:
    """Arguments are seen by every user of the machine, and kept by shells."""
    home = environment(tmp_path)
    secret = re.compile(r"--[a-z-]*(?:token|passphrase|password|secret|key)[a-z-]*(?: +(\S+))?")
    options: dict[str, str] = {}
    for noun in (*NOUNS, "init", "up", "status"):
        help_text = command([noun, "--help"], home).stdout
        verbs = re.findall(r"^  ([a-z-]+) {2,}", help_text.partition("Commands:")[2], re.M)
        for words in [[noun, verb] for verb in verbs] or [[noun]]:
            for match in secret.finditer(command([*words, "--help"], home).stdout):
                options[f"{' '.join(words)} {match[0].split()[0]}"] = match[1] or ""
    assert options.keys() >= {"init --passphrase-file", "up --passphrase-file", "device enroll --token-file"}
    for option, takes in options.items():
        is_file, is_flag = takes == "FILE", option.endswith("--passphrase")
        names = {
            f"device {verb}" for verb in ("enroll --key", "renew --key", "enroll --key-module", "enroll --key-token")
        }
        assert is_file or is_flag or option in names, f"{option} {takes}"


def test_usage_errors_are_the_shells_own(tmp_path: Path) -> None:
    for words in (["nonsense"], ["thing", "nonsense"], ["thing", "list", "--limit", "0"], ["thing", "show"]):
        done = command(words, environment(tmp_path))
        assert done.returncode == USAGE
        assert "Error: " in done.stderr or "Usage: " in done.stderr


def test_a_home_that_is_none(tmp_path: Path) -> None:
    done = troth(tmp_path / "nowhere", "thing", "list")
    assert done.returncode == MISCONFIGURED
    assert done.stderr.startswith(f"troth: {tmp_path / 'nowhere'} is not a home of troth\n  hint: ")
