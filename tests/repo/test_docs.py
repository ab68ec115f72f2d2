"""The documentation says what the code says: reference pages are made from it, and links lead somewhere."""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from troth.cli.output import EXIT_CODES, EXIT_INTERNAL
from troth.errors import Kind
from troth.protocols.mqtt.reasons import CONNACK_CODES, CONNACK_REASONS
from troth.protocols.problem import ROWS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.fixture(scope="module")
def reference() -> Mapping[str, str]:
    """The pages that the code says."""
    pages: Mapping[str, str] = _script().pages()
    return pages


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["commands.md", "settings.md", "errors.md", "mqtt.md", "sessions.md"])
def test_reference_page_is_what_the_code_says(reference: Mapping[str, str], page: str) -> None:
    assert (DOCS / page).read_text() == reference[page], "run: python scripts/reference.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for page in DOCS.glob("*.md"):
        assert f"docs/{page.name}" in readme


@pytest.mark.parametrize(
    "table", [EXIT_CODES, CONNACK_CODES, CONNACK_REASONS, ROWS], ids=["exit-codes", "connack", "connack-5", "http"]
)
def test_every_kind_is_rendered_on_every_surface(table: Mapping[Kind, object]) -> None:
    assert set(table) == set(Kind)


def test_exit_codes_tell_kinds_apart() -> None:
    codes = list(EXIT_CODES.values())
    assert len(set(codes)) == len(codes)
    # 1 is anybody's failure, 2 is a wrong command line.
    assert not set(codes) & {0, 1, 2, EXIT_INTERNAL}


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(page.name[:4]) for page in sorted((DOCS / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_row_about_mqtt_5_has_its_test() -> None:
    """A row of the table names the tests that try it, and those are in the one file beside it."""
    rows = re.findall(
        r"^\| .* \| \*(done|carried|refused|told)\* \| .* \| (.*) \|$", (DOCS / "mqtt.md").read_text(), re.M
    )
    assert {answer for answer, _ in rows} == {"done", "carried", "refused", "told"}
    assert len(rows) > 20
    tests = (ROOT / "tests/integration/gateway/test_mqtt5.py").read_text()
    for _, named in rows:
        found = re.findall(r"`(test_\w+)`", named)
        assert found, named
        for test in found:
            assert f"def {test}(" in tests, test


def test_every_attack_named_in_the_security_page_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", (DOCS / "security.md").read_text())
    assert len(named) > 20
    for path, test in named:
        assert (ROOT / path).exists(), path
        assert f"def {test}" in (ROOT / path).read_text(), f"{path}::{test}"
