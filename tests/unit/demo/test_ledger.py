from collections.abc import Mapping

import pytest

from troth.demo.cases import CASES, Case
from troth.demo.ledger import Ledger, Outcome, Seen
from troth.demo.narrator import Narrator
from troth.errors import Bug, Fault, Kind

FIRST, SECOND = CASES[:2]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(Narrator(quiet=True))


def test_a_case_is_ok_when_everybody_said_exactly_what_was_expected(ledger: Ledger) -> None:
    ledger.case(FIRST.case_id, lambda: Seen(FIRST.expected, {"where": "there"}))
    [outcome] = ledger.outcomes
    assert outcome.report() == {
        "id": FIRST.case_id,
        "story": FIRST.story,
        "expected": FIRST.expected,
        "observed": FIRST.expected,
        "ok": True,
        "evidence": {"where": "there"},
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.case_id)
def test_one_end_that_says_something_else_fails_it(case: Case) -> None:
    expected = case.expected
    variants: list[Mapping[str, str]] = [{**expected, who: "something else"} for who in expected]
    variants += [{who: what for who, what in expected.items() if who != left_out} for left_out in expected]
    variants += [{**expected, "somebody": "more"}, {}]
    for observed in variants:
        assert not Outcome(case, Seen(observed)).ok


def test_what_a_machine_lacks_is_said_and_nothing_else_is_let_pass_for_it() -> None:
    case = next(case for case in CASES if case.lacking)
    observed = {**case.expected, **case.lacking}
    outcome = Outcome(case, Seen(observed))
    assert outcome.ok
    assert outcome.report()["expected"] == observed
    swapped = {who: next(iter(case.lacking.values())) for who in case.expected}
    assert not Outcome(case, Seen(swapped)).ok


def test_what_goes_wrong_in_a_scene_is_what_was_seen(ledger: Ledger) -> None:
    def scene() -> Seen:
        raise Fault(Kind.UNAVAILABLE, "the curtain is stuck", detail="rope")

    ledger.case(FIRST.case_id, scene)
    [outcome] = ledger.outcomes
    assert not outcome.ok
    assert outcome.seen == Seen({"failed": "the curtain is stuck"}, {"detail": "rope"})


def test_cases_are_played_in_their_order(ledger: Ledger) -> None:
    with pytest.raises(Bug):
        ledger.case(SECOND.case_id, lambda: Seen(SECOND.expected))


def test_cases_that_were_not_reached_are_not_ok(ledger: Ledger) -> None:
    ledger.case(FIRST.case_id, lambda: Seen(FIRST.expected))
    ledger.abandon("the house is on fire")
    assert [outcome.case for outcome in ledger.outcomes] == list(CASES)
    assert [outcome.ok for outcome in ledger.outcomes] == [True, *(False for _ in CASES[1:])]


def test_every_impostor_has_a_twin_that_must_be_let_in() -> None:
    refusals = [case for case in CASES if {"impostor", "fake home", "stranger"} & case.expected.keys()]
    assert len(refusals) == len(CASES) - 6
    assert {case.expected["twin"] for case in refusals} == {"let in"}
