"""The house rules of shape: small modules, small functions, a first word in every module, nothing left behind."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE_LINES_MAX = 300
FUNCTION_LINES_MAX = 70

# Modules that may be longer, and why. An entry that is no longer needed fails the test.
LONGER: dict[str, str] = {
    "src/troth/limits.py": "every bound there is, and what it bounds",
    "src/troth/store/migrations/versions/0001_foundation.py": "all tables of the first version, by room",
}


def sources() -> list[Path]:
    found = sorted((ROOT / "src" / "troth").rglob("*.py"))
    assert len(found) > 20, "the sources were not found"
    return found


def everything() -> Iterator[Path]:
    for folder in ("src", "tests", "bench", "docs", "scripts"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    yield from (path for path in ROOT.iterdir() if path.is_file())


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_module_is_small_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    name = str(path.relative_to(ROOT))
    lines = text.count("\n")
    assert (lines > MODULE_LINES_MAX) == (name in LONGER), f"{lines} lines"
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module opens with what it is"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{node.name} has {length} lines"


@pytest.mark.parametrize("word", ["utils", "helpers", "manager", "common", "misc"])
def test_no_module_has_a_name_that_says_nothing(word: str) -> None:
    assert not [path for path in sources() if path.stem == word or path.parent.name == word]


def test_nothing_is_left_behind() -> None:
    marks = re.compile(r"\b(TODO|FIXME|" + "X" * 3 + r")\b")
    here = Path(__file__)
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in everything()
        if path.suffix in {".py", ".md", ".toml", ".sh", ".ini"} and path != here
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line)
    ]
    assert not found


def test_locks_carry_hashes_and_no_addresses() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert [lock.stem for lock in locks] == ["bench", "dev", "device", "interop", "server"]
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text
        for requirement in re.split(r"\n(?=\S)", text.strip()):
            assert "--hash=sha256:" in requirement, requirement
