"""docs/limits.md has a row for every bound that can be set: the values in force, words that are said, and tests."""

import re
from dataclasses import fields
from pathlib import Path

from troth.gateway.mqtt.listening import TOO_MANY_FILTERS, TOO_MANY_SUBSCRIPTIONS
from troth.gateway.mqtt.names import NameProblem
from troth.gateway.refusal import Reason
from troth.limits import PRESETS, Limits
from troth.tls.reasons import HandshakeFailure

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "limits.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| (.+) \| (.+) \|$", PAGE, re.M)
WORDS = {*Reason, *HandshakeFailure, *NameProblem, TOO_MANY_FILTERS, TOO_MANY_SUBSCRIPTIONS}


def test_every_bound_has_one_row_with_its_values() -> None:
    shown = {name: (default, aws) for name, default, aws, _, _ in ROWS}
    assert len(shown) == len(ROWS)
    names = [field.name for field in fields(Limits)]
    assert shown == {
        name: tuple(str(getattr(PRESETS[preset], name)) for preset in ("default", "aws")) for name in names
    }


def test_what_is_said_beyond_a_bound_is_a_word_that_there_is() -> None:
    said = {word for *_, beyond, _ in ROWS for word in re.findall(r"`([a-z-]+)`", beyond)}
    assert len(said) > 10
    assert said <= WORDS


def test_every_row_names_a_test_that_there_is() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "Tried by" not in line]
    assert len(rows) > len(ROWS) + 10
    for row in rows:
        found = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        assert found, row
        for path, test in found:
            assert f"def {test}(" in (ROOT / path).read_text(), f"{path}::{test}"
