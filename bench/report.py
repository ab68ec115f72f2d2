"""What came of a run, for people and as JSON: figures, and ratios where both sides did all that they were asked.

A ratio compares medians over the rounds. One sample with an error, or with less delivered than sent, refuses it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from bench.plan import Load, Samples
from bench.sample import Sample

OURS = "troth"


@dataclass(frozen=True, slots=True)
class Figures:
    """One server under one load: medians over the rounds. CPU time in microseconds for each that was asked."""

    cpu_us: float
    cpu_us_least: float
    cpu_us_most: float
    parts_us: Mapping[str, float]
    per_s: float

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Figures":
        """Return the medians of samples of one server under one load."""
        totals = [sample.total_us for sample in samples]
        return cls(
            median(totals),
            min(totals),
            max(totals),
            {part: median(sample.cpu_us[part] for sample in samples) for part in samples[0].cpu_us},
            median(sample.per_s for sample in samples),
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours against one other under one load: a ratio of CPU times, or why there is none."""

    other: str
    ratio: float | None
    refusal: str | None


def objection_to(name: str, samples: Sequence[Sample]) -> str | None:
    """Return why a server's samples can be compared with nothing; None when they can."""
    return next((f"{name}: {sample.objection}" for sample in samples if sample.objection), None)


def compare(found: Samples) -> tuple[Comparison, ...]:
    """Compare ours with every other."""
    return tuple(_compared(found, other) for other in found if other != OURS)


def _compared(found: Samples, other: str) -> Comparison:
    refusal = objection_to(OURS, found[OURS]) or objection_to(other, found[other])
    if refusal is not None:
        return Comparison(other, None, refusal)
    return Comparison(other, Figures.of(found[OURS]).cpu_us / Figures.of(found[other]).cpu_us, None)


def render(load: Load, found: Samples) -> str:
    """Return a load's figures and ratios as lines for a person."""
    return "\n".join(_lines(load, found))


def _lines(load: Load, found: Samples) -> Iterator[str]:
    yield f"{load.name}: {load.what}"
    yield f"  {'server':<12}{'CPU us per ' + load.unit:>19}{'least':>8}{'most':>8}{load.unit + 's/s':>12}   of which"
    for name, samples in found.items():
        objection = objection_to(name, samples)
        if objection is not None:
            yield f"  {name:<12}no figure: {objection.removeprefix(name + ': ')}"
            continue
        own = Figures.of(samples)
        parts = ", ".join(f"{part} {_short(used)}" for part, used in own.parts_us.items())
        yield (
            f"  {name:<12}{_short(own.cpu_us):>19}{_short(own.cpu_us_least):>8}{_short(own.cpu_us_most):>8}"
            f"{own.per_s:>12,.0f}   {parts}"
        )
    for comparison in compare(found):
        shown = f"{comparison.ratio:.2f}" if comparison.ratio is not None else f"refused: {comparison.refusal}"
        yield f"  {OURS} / {comparison.other:<12} {shown}"


def to_json(found: Samples) -> dict[str, object]:
    """Return samples, figures and ratios of one load as JSON can carry them."""
    return {
        "samples": {name: [asdict(sample) for sample in samples] for name, samples in found.items()},
        "figures": {
            name: None if objection_to(name, samples) else asdict(Figures.of(samples))
            for name, samples in found.items()
        },
        "ratios": {comparison.other: comparison.ratio for comparison in compare(found)},
        "refusals": {comparison.other: comparison.refusal for comparison in compare(found) if comparison.refusal},
    }


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}"
