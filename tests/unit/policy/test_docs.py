"""The guide to policies is true: its documents are read, its commands are run, and they say what it shows."""

import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from troth.cli.main import main
from troth.limits import DEFAULT, MATCHED_TEXT_CHARS_MAX, POLICIES_PER_TARGET_MAX, PRESETS
from troth.policy.actions import Action
from troth.policy.catalogue import find_key
from troth.policy.document import parse_document
from troth.policy.lint import lint
from troth.policy.operators import OPERATORS
from troth.policy.pattern import fold

PAGE = (Path(__file__).parents[3] / "docs" / "policies" / "index.md").read_text()
FILES = dict(re.findall(r"^```json file=(\S+)\n(.*?)^```$", PAGE, re.M | re.S))
DOCUMENTS = [name for name, text in FILES.items() if "Statement" in text and name != "broken.json"]
CONSOLES = [
    (int(code or 0), text) for code, text in re.findall(r"^```console(?: exit=(\d+))?\n(.*?)^```$", PAGE, re.M | re.S)
]


def test_no_block_is_left_out() -> None:
    assert PAGE.count("```") == 2 * (len(FILES) + len(CONSOLES))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_valid_and_hardly_anything_is_to_be_said_against_them(name: str) -> None:
    document = parse_document(FILES[name], PRESETS["aws"])
    found = {finding.code for finding in lint(document)}
    # The example of matching has neither deliveries nor anything else but what it shows.
    assert found <= {"subscribe-without-receive"}, found


@pytest.mark.parametrize(("code", "text"), CONSOLES, ids=[text.splitlines()[0] for _, text in CONSOLES])
def test_commands_say_what_is_shown(
    code: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, document in FILES.items():
        Path(name).write_text(document)
    for command, shown in commands(text):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
        program, *words = shlex.split(command)
        assert program == "troth"
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code
        assert [line.rstrip() for line in (said.out + said.err).splitlines()] == shown


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a block, with the lines that it is shown to print."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, *shown = part.rstrip("\n").split("\n")
        yield command, shown


def test_numbers_are_those_of_the_code() -> None:
    assert f"at most {DEFAULT.policy_chars_max:,} characters" in PAGE
    assert f"AWS's {PRESETS['aws'].policy_chars_max:,}" in PAGE
    assert f"at most {POLICIES_PER_TARGET_MAX} policies" in PAGE
    assert f"longer than {MATCHED_TEXT_CHARS_MAX:,} characters" in PAGE


def test_keys_of_the_page_exist() -> None:
    named = re.findall(r"`((?:iot|aws|troth):[A-Z][A-Za-z.]*[a-z])`", PAGE)
    keys = {name for name in named if fold(name) not in {action.lower() for action in Action}}
    assert len(keys) > 15
    assert not [name for name in keys if find_key(fold(name)) is None and not name.endswith((".X", ".Y"))]


def test_operators_of_the_page_are_all_there_are() -> None:
    section = PAGE.partition("## Conditions")[2].partition("###")[0]
    named = set(re.findall(r"`((?:String|Arn|Numeric|Date|Bool|IpAddress|NotIp|Binary)\w*)`", section))
    families = {name for name in OPERATORS if name.startswith(("Numeric", "Date"))}
    assert named - families == set(OPERATORS) - families
