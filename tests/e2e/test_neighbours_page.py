"""docs/neighbours.md as it stands: two devices meet while their home is away, and strangers do not."""

from pathlib import Path

import pytest
from tests.fixtures.pages import run_page

ELSEWHERE = {f"TROTH_LISTEN__{name}": "127.0.0.1:0" for name in ("OPERATORS", "TIME")}

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.needs("curl", "openssl")]


def test_the_page(tmp_path: Path) -> None:
    said = run_page("neighbours.md", tmp_path, {**ELSEWHERE, "TROTH_PROCESSES__GATEWAY": "1"})
    for line in (
        "the lamp is on",
        "refused with 12",
        "why=not-expected by=them",
        "why=not-expected by=us",
        "switch has turned the lamp off",
        '{"welcome": "switch"}',
        '{"taken": true, "reply": "the lamp is on"}',
    ):
        assert line in said, line
