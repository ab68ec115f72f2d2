"""``troth policy`` on files: no home, and nothing of the server installed; what is wrong is told with its place."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.device.test_alone import PACKAGES
from tests.unit.device.test_alone import run as run_alone

from troth.cli.main import main
from troth.cli.output import EXIT_CODES
from troth.errors import Kind
from troth.limits import DEFAULT, PRESETS

VECTORS = Path(__file__).parents[1] / "policy" / "vectors" / "policy-vectors.json"
Run = Callable[..., SimpleNamespace]
HEAD = "arn:aws:iot:local:000000000000:"
CONNECT = {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"{HEAD}client/${{iot:Connection.Thing.ThingName}}"}
PUBLISH = {
    "Effect": "Allow",
    "Action": "iot:Publish",
    "Resource": f"{HEAD}topic/home/${{iot:Connection.Thing.ThingName}}/*",
}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run ``troth policy`` with these words, in a folder without a home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TROTH_HOME", raising=False)

    def run(*words: str | Path, stdin: str = "") -> SimpleNamespace:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as ended:
            main(["policy", *map(str, words)])
        said = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code, out=said.out, err=said.err)

    return run


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return write(tmp_path / "policy.json", CONNECT, PUBLISH)


def write(path: Path, *statements: dict[str, Any], version: str = "2012-10-17") -> Path:
    path.write_text(json.dumps({"Version": version, "Statement": statements}))
    return path


class TestValidate:
    def test_a_valid_document(self, run: Run, policy: Path) -> None:
        done = run("validate", policy)
        assert (done.code, done.out) == (0, "valid: 2 statements\n")
        assert json.loads(run("validate", policy, "--json").out) == {"valid": True, "statements": 2}

    def test_from_stdin(self, run: Run, policy: Path) -> None:
        assert run("validate", "-", stdin=policy.read_text()).code == 0

    def test_an_invalid_one_is_told_with_file_place_and_remedy(self, run: Run, tmp_path: Path) -> None:
        bad = write(tmp_path / "bad.json", CONNECT, {**PUBLISH, "Condition": {"StringLik": {"iot:ClientId": "a"}}})
        done = run("validate", bad)
        assert done.code == EXIT_CODES[Kind.MALFORMED]
        assert f"{bad}: Statement[1].Condition.StringLik: is not an operator" in done.err
        assert "hint: did you mean StringLike?" in done.err
        error = json.loads(run("validate", bad, "--json").out)["error"]
        assert error["message"].startswith(f"{bad}: Statement[1].Condition.StringLik")

    def test_limits_are_ours_or_those_of_aws(self, run: Run, tmp_path: Path) -> None:
        length = (PRESETS["aws"].policy_chars_max + DEFAULT.policy_chars_max) // 2
        long = write(tmp_path / "long.json", {**PUBLISH, "Resource": f"{HEAD}topic/{'a' * length}"})
        assert run("validate", long).code == 0
        assert run("validate", long, "--limits", "aws").code == EXIT_CODES[Kind.TOO_LARGE]

    def test_files_that_cannot_be_read(self, run: Run, tmp_path: Path) -> None:
        binary = tmp_path / "binary"
        binary.write_bytes(b"\xff\xfe")
        assert run("validate", tmp_path / "none.json").code == EXIT_CODES[Kind.MISCONFIGURED]
        assert run("validate", tmp_path).code == EXIT_CODES[Kind.MISCONFIGURED]
        assert run("validate", binary).code == EXIT_CODES[Kind.MALFORMED]


class TestLint:
    def test_nothing_found(self, run: Run, policy: Path) -> None:
        done = run("lint", policy)
        assert (done.code, done.out) == (0, "nothing found\n")
        assert json.loads(run("lint", policy, "--json").out) == []

    def test_what_is_found(self, run: Run, tmp_path: Path) -> None:
        broad = write(tmp_path / "broad.json", {**CONNECT, "Resource": "*"})
        done = run("lint", broad)
        assert done.code == 1
        assert "Statement[0].Resource: overly-permissive (dangerous, IOT_POLICY_OVERLY_PERMISSIVE_CHECK)" in done.out
        assert done.out.endswith("1 found: 1 dangerous\n")
        (finding,) = json.loads(run("lint", broad, "--json").out)
        assert set(finding) == {"code", "level", "place", "reason", "remedy", "aws"}
        assert finding["place"] == "Statement[0].Resource"


class TestExplain:
    def test_options_describe_the_request(self, run: Run, policy: Path) -> None:
        done = run("explain", policy, "--action", "iot:Publish", "--resource", "home/a/x", "--thing", "a")
        assert done.code == 0
        assert done.out.startswith(f"allow: allowed by statement 2 of policy {policy}\n")

    def test_a_denial_says_what_would_have_to_change(self, run: Run, policy: Path) -> None:
        done = run("explain", policy, "--action", "iot:publish", "--resource", "home/b/x", "--thing", "a")
        assert done.code == 0
        assert f"statement 2 of policy {policy} would allow it, if it were about topic/home/a/*" in done.out

    def test_a_client_id_that_is_not_the_thing(self, run: Run, policy: Path) -> None:
        words = ("--action", "iot:Connect", "--resource", "x", "--client-id", "x", "--thing", "a", "--json")
        value = json.loads(run("explain", policy, *words).out)
        assert value["decision"] == "implicit-deny"
        (failure,) = value["statements"][0]["failures"]
        assert failure["failed"] == "resource"
        (pattern,) = failure["patterns"]
        assert pattern["missing"][0]["variable"] == "${iot:Connection.Thing.ThingName}"

    def test_a_request_in_a_file(self, run: Run, policy: Path) -> None:
        request = {"action": "iot:Publish", "resource": "home/a/x", "context": {"thing": {"name": "a"}}}
        assert run("explain", policy, "--request", "-", stdin=json.dumps(request)).out.startswith("allow")
        value = json.loads(run("explain", policy, "--request", "-", "--json", stdin=json.dumps([request] * 2)).out)
        assert [each["decision"] for each in value] == ["allow", "allow"]

    def test_several_documents_apply_together(self, run: Run, policy: Path, tmp_path: Path) -> None:
        deny = write(tmp_path / "deny.json", {**PUBLISH, "Effect": "Deny", "Resource": "*"})
        words = ("--action", "iot:Publish", "--resource", "home/a/x", "--thing", "a")
        assert run("explain", policy, deny, *words).out.startswith("explicit-deny")

    def test_the_region_and_account_are_those_of_the_documents(self, run: Run, tmp_path: Path) -> None:
        theirs = {**PUBLISH, "Resource": "arn:aws-cn:iot:eu-west-1:444455556666:topic/a"}
        done = run("explain", write(tmp_path / "p.json", theirs), "--action", "iot:Publish", "--resource", "a")
        assert "asked: iot:Publish on arn:aws-cn:iot:eu-west-1:444455556666:topic/a" in done.out

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ((), "say what is asked for"),
            (("--action", "iot:Publish"), "say what is asked for"),
            (("--action", "iot:Drink", "--resource", "a"), "'iot:Drink' is not an action"),
            (("--action", "iot:Publish", "--resource", "a", "--request", "r.json"), "the request is given twice"),
            (("--decision", "1"), "--decision and --cert are of a home"),
            (("--request", "none.json"), "cannot read none.json"),
        ],
    )
    def test_what_is_missing_or_too_much_is_said(
        self, run: Run, policy: Path, words: tuple[str, ...], said: str
    ) -> None:
        done = run("explain", policy, *words)
        assert done.code in set(EXIT_CODES.values())
        assert said in done.err

    def test_without_files_there_has_to_be_a_home(self, run: Run) -> None:
        done = run("explain", "--thing", "a", "--action", "iot:Publish", "--resource", "a")
        assert done.code == EXIT_CODES[Kind.MISCONFIGURED]
        assert "is not a home" in done.err


class TestSimulate:
    def requests(self, *expect: str | None) -> str:
        return json.dumps(
            {
                "context": {"thing": {"name": "a"}},
                "requests": [
                    {"name": f"r{number}", "action": "iot:Publish", "resource": "home/a/x", "expect": each}
                    for number, each in enumerate(expect)
                ],
            }
        )

    def test_a_table_or_json(self, run: Run, policy: Path) -> None:
        done = run("simulate", policy, "--requests", "-", stdin=self.requests(None))
        assert done.code == 0
        assert "r0" in done.out
        (row,) = json.loads(run("simulate", policy, "--requests", "-", "--json", stdin=self.requests("allow")).out)
        assert row["decision"] == "allow"
        assert row["as_expected"] is True

    def test_what_is_not_as_expected_fails(self, run: Run, policy: Path) -> None:
        done = run("simulate", policy, "--requests", "-", stdin=self.requests("allow", "deny"))
        assert done.code == 1
        assert "explicit-deny" in done.out

    def test_bad_requests_are_told_with_their_place(self, run: Run, policy: Path) -> None:
        done = run("simulate", policy, "--requests", "-", stdin='{"requests": [{"action": "iot:Publish"}]}')
        assert done.code == EXIT_CODES[Kind.MALFORMED]
        assert "stdin: requests[0].resource: is missing" in done.err

    def test_stdin_is_read_once(self, run: Run) -> None:
        done = run("simulate", "-", "--requests", "-")
        assert done.code == EXIT_CODES[Kind.MALFORMED]
        assert "stdin can be read once only" in done.err


class TestDiff:
    def test_the_same_document(self, run: Run, policy: Path) -> None:
        done = run("diff", policy, policy)
        assert done.code == 0
        assert done.out.startswith("0 of ")

    def test_made_up_requests_show_what_changes(self, run: Run, policy: Path, tmp_path: Path) -> None:
        new = write(tmp_path / "new.json", CONNECT, {**PUBLISH, "Resource": f"{HEAD}topic/house/*"})
        done = run("diff", policy, new)
        assert done.code == 1
        assert "allow (statement 2)" in done.out
        value = json.loads(run("diff", policy, new, "--json").out)
        assert value["made_up"] is True
        assert value["complete"] is True
        assert {(each["old"], each["new"]) for each in value["changed"]} == {
            ("allow", "implicit-deny"),
            ("implicit-deny", "allow"),
        }

    def test_given_requests(self, run: Run, policy: Path, tmp_path: Path) -> None:
        new = write(tmp_path / "new.json", CONNECT)
        requests = tmp_path / "requests.json"
        asked = {"name": "mine", "action": "iot:Publish", "resource": "home/a/x", "context": {"thing": {"name": "a"}}}
        requests.write_text(json.dumps(asked))
        done = run("diff", policy, new, "--requests", requests)
        assert done.code == 1
        assert "mine" in done.out
        assert done.out.endswith("1 of 1 requests change\n")


class TestVectors:
    @pytest.mark.slow
    @pytest.mark.parametrize("engine", ["reference", "fast", "both"])
    def test_all_agree(self, run: Run, engine: str) -> None:
        done = run("vectors", VECTORS, "--engine", engine)
        assert done.code == 0
        assert done.out == f"{len(json.loads(VECTORS.read_text()))} of {len(json.loads(VECTORS.read_text()))} agree\n"

    def test_both_engines_by_default(self, run: Run) -> None:
        value = json.loads(run("vectors", VECTORS, "--json").out)
        assert value["engines"] == ["reference", "fast"]
        assert value["agreed"] == value["total"] >= 446
        assert value["disagreements"] == []

    def test_disagreements_and_what_cannot_be_read(self, run: Run) -> None:
        cases = json.loads(VECTORS.read_text())[:3]
        cases[0]["expect"] = "deny"
        cases[1]["policies"] = [{"Statement": {}}]
        text = json.dumps(cases)
        done = run("vectors", "-", stdin=text)
        assert done.code == 1
        first, second, last = done.out.splitlines()
        assert first.startswith(f"{cases[0]['id']}: expected deny ({cases[0]['why']}); reference says allow")
        assert second.startswith(f"{cases[1]['id']}: cannot be read: [1].policies[0]: Statement.Effect: is missing")
        assert last == "1 of 3 agree"
        value = json.loads(run("vectors", "-", "--json", stdin=text).out)
        assert (value["total"], value["agreed"]) == (3, 1)
        assert value["disagreements"][0]["got"] == {"reference": "allow", "fast": "allow"}
        assert "problem" in value["disagreements"][1]

    @pytest.mark.parametrize("text", ["[]", "{}", "nothing"])
    def test_a_file_without_cases_is_no_agreement(self, run: Run, text: str) -> None:
        assert run("vectors", "-", stdin=text).code == EXIT_CODES[Kind.MALFORMED]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("validate", "-"), ("lint", "-"), ("explain", "-", "--action", "iot:Connect", "--resource", "a")]
)
def test_files_need_nothing_of_the_server(words: tuple[str, ...]) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    code = (
        f"import io; sys.stdin = io.TextIOWrapper(io.BytesIO({document.encode()!r}))\n"
        "ROOMS.discard('troth.policy')\n"
        "from troth.cli.main import main; main(sys.argv[1:])"
    )
    assert run_alone(code, "policy", *words, without=PACKAGES)
