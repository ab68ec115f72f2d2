"""The figures for people and as JSON: medians, ratios with the others, and what was to be reached."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.policy.engines import ENGINES, OURS
from bench.policy.figures import AGAIN, FIRST, GRANT, GROWTH, Figures


@dataclass(frozen=True, slots=True)
class Goal:
    """What was to be reached; `most` unless `least`."""

    what: str
    got: float
    bound: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether it was."""
        return self.got >= self.bound if self.least else self.got <= self.bound


def render(found: Figures, table: str) -> str:
    """Return a table as lines."""
    rows = found.tables[table]
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [f"{table:<44}" + "".join(f"{column:>16}" for column in columns)]
    for row, cells in rows.items():
        figures = (f"{found.get(table, row, column):>16.2f}" if column in cells else f"{'':>16}" for column in columns)
        lines.append(f"  {row:<42}" + "".join(figures))
    return "\n".join(lines)


def ratios(found: Figures) -> str:
    """Return how many of our decisions take the time of one of theirs."""
    return "\n".join(
        f"{OURS} / {other:<14} {ratio:8.1f} times the decisions per second, {column}"
        for (other, column), ratio in _ratios(found).items()
    )


def _ratios(found: Figures) -> dict[tuple[str, str], float]:
    rows = found.tables[FIRST]
    return {
        (other, column): found.get(FIRST, other, column) / found.get(FIRST, OURS, column)
        for other in rows
        if other != OURS
        for column in rows[other]
    }


def goals(found: Figures) -> str:
    """Return what was to be reached, and what was."""
    return "\n".join(
        f"{'met   ' if goal.met else 'MISSED'} {goal.what}: {goal.got:.2f}"
        f" (at {'least' if goal.least else 'most'} {goal.bound:g})"
        for goal in _goals(found)
    )


def _goals(found: Figures) -> Iterator[Goal]:
    yield Goal(
        "a grant for 10 x 20 statements, ready for 5 actions, us",
        found.get(GRANT, "ready for 5 actions, us", "by itself"),
        1000,
    )
    yield Goal("a first-seen topic, 1,000 rules, us", found.get(FIRST, OURS, "1000 rules"), 5)
    yield Goal("a seen topic, us", found.get(AGAIN, OURS, "10 topics"), 0.4)
    for kind in found.tables[GROWTH]:
        grown = found.get(GROWTH, kind, "1000 rules") / found.get(GROWTH, kind, "10 rules")
        yield Goal(f"1,000 rules against 10, {kind}, times", grown, 2)
    if ENGINES["cedarpy"].version is not None:
        for name in ("cedarpy", "cedarpy text"):
            times = _ratios(found)[name, "20 rules"]
            yield Goal(f"decisions per second against {name}, times", times, 50, least=True)


def to_json(found: Figures) -> dict[str, object]:
    """Return samples, ratios and goals as JSON can carry them."""
    return {
        "versions": {name: engine.version for name, engine in ENGINES.items()},
        "samples": found.tables,
        "ratios": {f"{other}, {column}": ratio for (other, column), ratio in _ratios(found).items()},
        "goals": {goal.what: {"got": goal.got, "bound": goal.bound, "met": goal.met} for goal in _goals(found)},
    }
