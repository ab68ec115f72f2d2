"""What is measured, in rounds: every engine takes its turn in each, so that what disturbs the machine disturbs all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from bench.policy.engines import ENGINES, OURS, Ask
from bench.policy.measure import asking_us, call_us, kept_bytes, repeating_us
from bench.policy.rules import (
    Kind,
    Rule,
    make_context,
    make_mixture,
    make_rules,
    make_topics,
    own_policies,
    policies_of,
)
from troth.limits import DECISION_CACHED_CHARS_MAX, DECISIONS_CACHED_MAX
from troth.policy.compiled import Compiled
from troth.policy.engine import Grant, make_grant

_RULES: Final = 20
_SIZES: Final = (10, 100, 1000)
_TOPICS: Final = (10, 10_000)
_POLICIES, _STATEMENTS = 10, 20
_ACTIONS: Final = ("iot:Connect", "iot:Publish", "iot:Receive", "iot:Subscribe", "iot:RetainPublish")

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long everything takes."""

    rounds: int
    asks: int
    budget_s: float
    """CPU time for one figure of one engine in one round."""
    calls: int
    kept: int


FULL: Final = Plan(rounds=7, asks=4000, budget_s=0.4, calls=60, kept=200)
QUICK: Final = Plan(rounds=1, asks=200, budget_s=0.05, calls=3, kept=10)


@dataclass
class Figures:
    """One list of samples for each row and column of each table."""

    tables: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)

    def add(self, table: str, row: str, column: str, sample: float) -> None:
        """Add a sample."""
        self.tables.setdefault(table, {}).setdefault(row, {}).setdefault(column, []).append(sample)

    def get(self, table: str, row: str, column: str) -> float:
        """Return the median of what was sampled."""
        return median(self.tables[table][row][column])


FIRST: Final = "first-seen topics, us"
AGAIN: Final = "topics asked again and again, us"
GROWTH: Final = "first-seen topics by kind, us"
GRANT: Final = "a grant for 10 policies of 20 statements"


def engines_here() -> dict[str, Callable[[Sequence[Rule]], Ask]]:
    """Return how to make those engines whose packages are there."""
    return {name: engine.make for name, engine in ENGINES.items() if engine.version is not None}


def disagreements() -> Iterator[str]:
    """Yield every engine that answers otherwise than ours, and where."""
    for size in (_RULES, 100):
        rules = make_rules(size)
        topics = make_mixture(rules, 300)
        asks = {name: make(rules) for name, make in engines_here().items()}
        for topic in topics:
            ours = asks[OURS](topic)
            yield from (f"{name} on {topic}" for name, ask in asks.items() if ask(topic) is not ours)


def measure(plan: Plan, told: Told) -> Figures:
    """Return all figures."""
    found = Figures()
    for number in range(plan.rounds):
        told(f"round {number + 1} of {plan.rounds}")
        _compare(found, plan, number)
        _grow(found, plan)
        _compile(found, plan)
    _weigh(found, plan)
    return found


def _compare(found: Figures, plan: Plan, number: int) -> None:
    here = list(engines_here().items())
    turn = number % len(here)
    for name, make in (*here[turn:], *here[:turn]):
        for size in (_RULES, *_SIZES):
            rules = make_rules(size)
            fresh = _fresh(make, rules)
            first_us = asking_us(fresh, lambda: make_mixture(rules, 300), plan.asks, plan.budget_s)  # noqa: B023
            found.add(FIRST, name, f"{size} rules", first_us)
        rules = make_rules(_RULES)
        for count in _TOPICS:
            topics = make_mixture(rules, count)
            found.add(AGAIN, name, f"{count:,} topics", repeating_us(make(rules), topics, plan.asks, plan.budget_s))


def _fresh(make: Callable[[Sequence[Rule]], Ask], rules: Sequence[Rule]) -> Callable[[], Ask]:
    """Return how to get one who has seen no topic: a new grant of ours, anybody else as often as asked for."""
    if make is ENGINES[OURS].make:
        compiled = Compiled(policies_of(rules))
        return lambda: Grant(compiled, make_context()).may_publish
    only = make(rules)
    return lambda: only


def _grow(found: Figures, plan: Plan) -> None:
    for size in _SIZES:
        rules = make_rules(size)
        fresh = _fresh(ENGINES[OURS].make, rules)
        for kind in Kind:
            us = asking_us(fresh, lambda: make_topics(rules, kind, 300), plan.asks, plan.budget_s)  # noqa: B023
            found.add(GROWTH, kind, f"{size} rules", us)


def _compile(found: Figures, plan: Plan) -> None:
    policies, context = own_policies(_POLICIES, _STATEMENTS), make_context()
    shared = Compiled(policies)
    for action in _ACTIONS:
        Grant(shared, context).decide(action, "x")

    def ready(grant: Grant) -> None:
        for action in _ACTIONS:
            grant.decide(action, "x")

    found.add(GRANT, "made, us", "compiled before", call_us(lambda: Grant(shared, context), plan.calls))
    found.add(
        GRANT, "ready for 5 actions, us", "compiled before", call_us(lambda: ready(Grant(shared, context)), plan.calls)
    )
    found.add(GRANT, "made, us", "by itself", call_us(lambda: make_grant(policies, context), plan.calls))
    found.add(
        GRANT, "ready for 5 actions, us", "by itself", call_us(lambda: ready(make_grant(policies, context)), plan.calls)
    )


def _weigh(found: Figures, plan: Plan) -> None:
    policies, context = own_policies(_POLICIES, _STATEMENTS), make_context()
    shared, static = Compiled(policies), Compiled(policies_of(make_rules(_POLICIES * _STATEMENTS)))

    def ready(compiled: Compiled) -> Grant:
        grant = Grant(compiled, context)
        for action in _ACTIONS:
            grant.decide(action, "x")
        return grant

    def full() -> Grant:
        grant = ready(static)
        for number in range(DECISIONS_CACHED_MAX):
            for may in (grant.may_publish, grant.may_receive, grant.may_subscribe, grant.may_retain):
                may(f"{number:0{DECISION_CACHED_CHARS_MAX}}")
        return grant

    ready(shared), ready(static)
    weights: Mapping[str, Callable[[], object]] = {
        "every statement about the thing": lambda: ready(shared),
        "no statement about the thing": lambda: ready(static),
        "the same, and all it can remember": full,
    }
    for name, make in weights.items():
        found.add(GRANT, f"{name}, KiB", "kept", kept_bytes(make, plan.kept) / 1024)
