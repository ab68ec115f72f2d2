"""Every kind of entry that can be journaled says what it touches: a new one without a row fails here."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from troth.gateway.touching import TOUCHES

SOURCE = Path(__file__).parents[2] / "src" / "troth"
ROOMS = ("registry", "authority", "enrollment", "journal", "app", "web")
KIND = re.compile(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*")
NO_KINDS = {"troth.toml"}
"""What looks like a kind and is none."""


def kinds() -> Iterator[tuple[str, str]]:
    """Yield the constants of all rooms that record: value and where it stands."""
    for room in ROOMS:
        for path in sorted((SOURCE / room).rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                value = node.value if isinstance(node, ast.AnnAssign) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str) and KIND.fullmatch(value.value):
                    yield value.value, f"{path.relative_to(SOURCE)}:{node.lineno}"


def test_every_kind_of_entry_says_what_it_touches() -> None:
    found = {kind: where for kind, where in kinds() if kind not in NO_KINDS}
    assert len(found) > 50, "the kinds were not found"
    missing = {kind: where for kind, where in found.items() if kind not in TOUCHES}
    assert not missing, f"they have no row in gateway/touching.py: {missing}"
    assert set(TOUCHES) <= set(found), f"nobody records {set(TOUCHES) - set(found)}"


def test_what_is_recorded_is_a_constant() -> None:
    """A kind written where it is recorded would not be found above."""
    written = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for room in ROOMS
        for path in sorted((SOURCE / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "record"
        and node.args
        and isinstance(node.args[0], ast.Constant | ast.JoinedStr)
    ]
    assert not written
