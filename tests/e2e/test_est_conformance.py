"""The page about checking EST servers, run as it stands: the suite's own command against `troth up`."""

import json
from pathlib import Path

import pytest
from tests.fixtures.pages import run_page

ROOT = Path(__file__).parents[2]
ELSEWHERE = {f"TROTH_LISTEN__{name}": "127.0.0.1:0" for name in ("MQTT", "OPERATORS", "TIME")}

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.needs("curl")]


def test_the_page_checks_our_own_server(tmp_path: Path) -> None:
    said = run_page("est-conformance.md", tmp_path, {**ELSEWHERE, "CHECKOUT": str(ROOT)})
    assert "failed " not in said
    verdicts = {each["check"]: each["verdict"] for each in json.loads((tmp_path / "report.json").read_text())}
    assert len(verdicts) > 50
    assert set(verdicts.values()) == {"passed"}
    assert f"{len(verdicts)} of {len(verdicts)} checks passed" in said
