"""The decided cases, each put to either engine."""

from pathlib import Path

import pytest

from troth.policy.vectors import ENGINES, Vector, disagreement, read_vectors

FOLDER = Path(__file__).parent / "vectors"
CASES = [case for file in sorted(FOLDER.glob("*.json")) for case in read_vectors(file.read_text())]


def test_no_case_is_missing() -> None:
    assert len(read_vectors((FOLDER / "policy-vectors.json").read_text())) >= 446
    names = [case.question.name for case in CASES if isinstance(case, Vector)]
    assert len(set(names)) == len(names) == len(CASES)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.question.name)
def test_decided_case(case: Vector, engine: str) -> None:
    assert disagreement(case, [engine]) is None, case.why


def test_either_engine_names_the_same_statement() -> None:
    for case in CASES:
        assert isinstance(case, Vector)
        question = case.question
        asked = (case.policies, question.action, question.resource, question.context)
        assert len({decide(*asked) for decide in ENGINES.values()}) == 1, question.name
