"""docs/evidence.md as it stands: a meter that signs, a bookkeeper who keeps, and a stranger who is convinced."""

import json
from pathlib import Path

import pytest
from tests.fixtures.pages import run_page

pytestmark = [pytest.mark.e2e, pytest.mark.needs("curl"), pytest.mark.timeout(150)]

ELSEWHERE = {f"TROTH_LISTEN__{name}": "127.0.0.1:0" for name in ("MQTT", "OPERATORS", "TIME")}


def test_the_page(tmp_path: Path) -> None:
    said = run_page("evidence.md", tmp_path, ELSEWHERE)
    assert said.count("signed as number") == 3
    assert "reading-unsigned: the payload is no signed reading" in said
    assert said.count("3 of 3 readings are proven, by 1 certificates") == 3
    assert said.count("does not hold") + said.count("not as it was when it was made") == 1
    report = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert [(each["outcome"], each["sequence"], each["thing"]) for each in report] == [
        ("verified", number, "meter-7") for number in (1, 2, 3)
    ]
