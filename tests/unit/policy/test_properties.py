"""What holds for all policies, connections and requests; above all, that the engine decides what the reference does."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from tests.unit.policy.generators import (
    CONTEXTS,
    DOCUMENTS,
    REQUESTS,
    TIMELY,
    Json,
    case_of,
    context_of,
    likely_requests,
    policies_of,
    statements,
)

from troth.policy.attachment import NamedPolicy, TargetKind, effective
from troth.policy.compiled import Compiled
from troth.policy.context import Thing
from troth.policy.decision import Decision, Outcome
from troth.policy.engine import Grant, make_grant
from troth.policy.reference import evaluate
from troth.policy.vectors import ENGINES, Engine

Request = tuple[str, str]
POLICIES = st.lists(DOCUMENTS, min_size=1, max_size=3)
MANY_REQUESTS = st.lists(REQUESTS, max_size=3)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
# Around what documents compare with, and around the days of certificates.
MOMENTS = st.builds(
    lambda days, seconds: NEW_YEAR + timedelta(days=days, seconds=seconds),
    st.sampled_from([-1, 0, 0, 0, 6, 7, 31]),
    st.sampled_from([-1, 0, 1]),
)
few = settings(max_examples=40)
both_engines = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)


def document(*written: Json) -> Json:
    return {"Version": "2012-10-17", "Statement": list(written)}


def hot(grant: Grant, action: str) -> Callable[[str], bool] | None:
    methods = {
        "iot:Publish": grant.may_publish,
        "iot:RetainPublish": grant.may_retain,
        "iot:Subscribe": grant.may_subscribe,
        "iot:Receive": grant.may_receive,
    }
    return methods.get(action)


def agrees(grant: Grant, request: Request, decision: Decision) -> bool:
    """Ask a grant in every way there is, twice: the second time some answers are remembered."""
    action, name = request
    may = hot(grant, action)
    answers = set() if may is None else {may(name), may(name)}
    return grant.decide(action, name) == decision and answers <= {decision.allowed}


def check(written: list[Json], described: Json, requests: list[Request]) -> None:
    policies, context = policies_of(written), context_of(described)
    grant = make_grant(policies, context)
    for request in [*requests, *likely_requests(written, context)]:
        decision = evaluate(policies, *request, context)
        agreed = agrees(grant, request, decision)
        if not agreed:
            note(case_of(written, described, request, decision.outcome))
        assert agreed, (grant.decide(*request), decision)


@given(written=POLICIES, described=CONTEXTS, requests=MANY_REQUESTS)
def test_a_grant_decides_what_the_reference_decides(
    written: list[Json], described: Json, requests: list[Request]
) -> None:
    check(written, described, requests)


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(max_examples=600)
@given(written=POLICIES, described=CONTEXTS, requests=MANY_REQUESTS)
def test_a_grant_decides_what_the_reference_decides_often(
    written: list[Json], described: Json, requests: list[Request]
) -> None:
    check(written, described, requests)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(max_examples=30_000)
@given(written=POLICIES, described=CONTEXTS, requests=MANY_REQUESTS)
def test_a_grant_decides_what_the_reference_decides_at_length(
    written: list[Json], described: Json, requests: list[Request]
) -> None:
    check(written, described, requests)


@given(
    written=st.lists(TIMELY, min_size=1, max_size=2),
    described=CONTEXTS,
    requests=MANY_REQUESTS,
    moments=st.lists(MOMENTS, min_size=1, max_size=4),
)
def test_a_grant_goes_with_the_time(
    written: list[Json], described: Json, requests: list[Request], moments: list[datetime]
) -> None:
    policies, context = policies_of(written), context_of(described)
    clock = [NEW_YEAR]
    grant = make_grant(policies, context, lambda: clock[-1])
    for moment in moments:
        clock.append(moment)
        now = replace(context, current_time=moment)
        for request in [*requests, *likely_requests(written, now)]:
            assert agrees(grant, request, evaluate(policies, *request, now))


@pytest.mark.slow
@given(written=POLICIES, described=st.lists(CONTEXTS, min_size=2, max_size=3), requests=MANY_REQUESTS)
def test_what_is_shared_is_the_same_to_everybody(
    written: list[Json], described: list[Json], requests: list[Request]
) -> None:
    policies, contexts = policies_of(written), [context_of(each) for each in described]
    compiled = Compiled(policies)
    grants = [Grant(compiled, context) for context in contexts]
    for request in [*requests, *likely_requests(written, contexts[0])[:3]]:
        for grant, context in zip(grants, contexts, strict=True):
            assert agrees(grant, request, evaluate(policies, *request, context))


@pytest.mark.slow
@both_engines
@few
@given(written=POLICIES, described=CONTEXTS, request=REQUESTS)
def test_a_deny_wins(engine: Engine, written: list[Json], described: Json, request: Request) -> None:
    everything = document({"Effect": "Deny", "Action": "*", "Resource": "*"})
    decision = engine(policies_of([*written, everything]), *request, context_of(described))
    assert decision.outcome is Outcome.EXPLICIT_DENY


@pytest.mark.slow
@both_engines
@few
@given(written=POLICIES, described=CONTEXTS, request=REQUESTS)
def test_only_an_allow_allows_and_only_a_deny_denies(
    engine: Engine, written: list[Json], described: Json, request: Request
) -> None:
    policies = policies_of(written)
    decision = engine(policies, *request, context_of(described))
    wanted = {Outcome.ALLOW: "Allow", Outcome.EXPLICIT_DENY: "Deny"}.get(decision.outcome)
    assert (decision.deciding is None) == (wanted is None)
    if decision.deciding is not None:
        (policy,) = (policy for policy in policies if policy.name == decision.deciding.policy)
        assert policy.document.statements[decision.deciding.number - 1].effect == wanted


@pytest.mark.slow
@both_engines
@few
@given(data=st.data(), written=POLICIES, described=CONTEXTS, request=REQUESTS)
def test_order_and_duplicates_do_not_matter(
    engine: Engine, data: st.DataObject, written: list[Json], described: Json, request: Request
) -> None:
    def reordered(whole: Json) -> Json:
        found: list[Json] = whole["Statement"]
        return whole | {"Statement": data.draw(st.permutations([*found, *found[:1]]))}

    shuffled = [reordered(each) for each in data.draw(st.permutations([*written, *written[:1]]))]
    context = context_of(described)
    outcome = engine(policies_of(written), *request, context).outcome
    assert engine(policies_of(shuffled), *request, context).outcome is outcome


@pytest.mark.slow
@both_engines
@few
@given(written=POLICIES, added=statements("Allow"), described=CONTEXTS, request=REQUESTS)
def test_an_allow_takes_nothing(
    engine: Engine, written: list[Json], added: Json, described: Json, request: Request
) -> None:
    context = context_of(described)
    before = engine(policies_of(written), *request, context).outcome
    after = engine(policies_of([*written, document(added)]), *request, context).outcome
    assert after in {before, Outcome.ALLOW}
    assert before is not Outcome.EXPLICIT_DENY or after is before


@pytest.mark.slow
@both_engines
@few
@given(written=POLICIES, added=statements("Deny"), described=CONTEXTS, request=REQUESTS)
def test_a_deny_gives_nothing(
    engine: Engine, written: list[Json], added: Json, described: Json, request: Request
) -> None:
    context = context_of(described)
    before = engine(policies_of(written), *request, context).outcome
    after = engine(policies_of([*written, document(added)]), *request, context).outcome
    assert after in {before, Outcome.EXPLICIT_DENY}


@pytest.mark.slow
@both_engines
@few
@given(written=POLICIES, others=POLICIES, described=CONTEXTS, request=REQUESTS)
def test_policies_of_others_do_not_matter(
    engine: Engine, written: list[Json], others: list[Json], described: Json, request: Request
) -> None:
    context = replace(context_of(described), thing=Thing("lamp-9", groups=frozenset({"lamps"})))
    certificate_id = context.certificate.certificate_id
    own = [replace(each, target_kind=TargetKind.CERTIFICATE, target=certificate_id) for each in policies_of(written)]
    elsewhere = [
        NamedPolicy(each.name, each.document, kind, target)
        for each in policies_of(others)
        for kind, target in (
            (TargetKind.CERTIFICATE, "00" * 32),
            (TargetKind.THING, "lamp-8"),
            (TargetKind.GROUP, "fans"),
            (TargetKind.GROUP, certificate_id),
        )
    ]
    counting = effective([*elsewhere, *own, *elsewhere], certificate_id, context.thing, context.client_id)
    assert engine(counting, *request, context) == engine(own, *request, context)
