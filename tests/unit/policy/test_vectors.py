"""The decided cases, all put to either engine; what fails is shown by the names of the cases."""

from pathlib import Path

import pytest

from troth.policy.decision import Outcome
from troth.policy.vectors import ENGINES, Unreadable, Vector, read_vectors

FOLDER = Path(__file__).parent / "vectors"
READ = {file.name: read_vectors(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}
CASES = [case for cases in READ.values() for case in cases if isinstance(case, Vector)]


def test_no_case_is_missing_or_unreadable() -> None:
    assert not [case for cases in READ.values() for case in cases if isinstance(case, Unreadable)]
    assert len(READ["policy-vectors.json"]) >= 446
    assert len({case.question.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_case_is_decided_as_it_says(engine: str) -> None:
    decide = ENGINES[engine]
    wrong: dict[str, tuple[Outcome, Outcome]] = {}
    for case in CASES:
        asked = case.question
        outcome = decide(case.policies, asked.action, asked.resource, asked.context).outcome
        if outcome is not case.expect:
            wrong[asked.name] = (case.expect, outcome)
    assert not wrong


def test_either_engine_names_the_same_statement() -> None:
    for case in CASES:
        question = case.question
        asked = (case.policies, question.action, question.resource, question.context)
        assert len({decide(*asked) for decide in ENGINES.values()}) == 1, question.name
