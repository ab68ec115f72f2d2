"""Files of decided cases: every case is put to the engines, and what cannot be read is neither lost nor in the way."""

import json
from pathlib import Path
from typing import Any

import pytest

from troth.errors import Fault
from troth.policy.decision import Outcome
from troth.policy.vectors import ENGINES, Unreadable, Vector, disagreement, read_vectors

PATH = Path(__file__).parent / "vectors" / "policy-vectors.json"
CASES = json.loads(PATH.read_text())


def read(*cases: Any) -> list[Vector | Unreadable]:
    return read_vectors(json.dumps(cases))


def changed(**members: Any) -> dict[str, Any]:
    """The first published case, with other members."""
    return {**CASES[0], **members}


def test_a_wrong_answer_is_a_disagreement() -> None:
    (case,) = read(changed(expect="deny"))
    assert isinstance(case, Vector)
    found = disagreement(case, ENGINES)
    assert found is not None
    assert {name: decision.outcome for name, decision in found.got.items()} == dict.fromkeys(ENGINES, Outcome.ALLOW)


def test_policies_of_groups_count_where_the_client_id_is_the_name_of_the_thing() -> None:
    grouped = next(case for case in CASES if "groupPolicies" in case)
    (case,) = read(grouped)
    assert isinstance(case, Vector)
    assert [policy.name for policy in case.policies] == ["certificate-0", "group-0"]
    (case,) = read({**grouped, "context": {**grouped["context"], "clientId": "other"}})
    assert isinstance(case, Vector)
    assert [policy.name for policy in case.policies] == ["certificate-0"]


def test_members_beyond_the_schema_decide_nothing() -> None:
    assert isinstance(read(changed(note="x", inferred=True))[0], Vector)


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ("x", "[0]: is not an object"),
        ({}, "[0].policies: is missing"),
        (changed(expect="maybe"), "[0].expect: 'maybe' is not an outcome"),
        (changed(expect=None), "[0].expect: is not a string"),
        (changed(request={}), "[0].request.action: is not a string"),
        (changed(request={"action": "iot:Drink", "resource": "x"}), "[0].request.action: 'iot:Drink' is not an action"),
        (changed(context={"planet": "x"}), "[0].context.planet: is not known of a connection"),
        (changed(policies=[{"Version": "1"}]), "[0].policies[0]: Version: '1' is not a version"),
        (changed(groupPolicies=[{"group": "g"}]), "[0].groupPolicies[0].document: the document: is not an object"),
    ],
)
def test_a_case_that_cannot_be_read_costs_no_other(case: Any, problem: str) -> None:
    first, second = read(case, CASES[0])
    assert isinstance(first, Unreadable)
    assert first.problem.startswith(problem)
    assert isinstance(second, Vector)


@pytest.mark.parametrize("text", ["", "{}", "[", '"x"'])
def test_a_file_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(Fault):
        read_vectors(text)
