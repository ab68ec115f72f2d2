"""A ratio stands only where both sides did all that they were asked, in every round."""

import pytest
from bench.plan import connects
from bench.report import compare, render
from bench.sample import Sample


def sample(cpu_us: float, *, done: int = 100, errors: tuple[str, ...] = ()) -> Sample:
    return Sample(asked=100, done=done, cpu_us={"broker": cpu_us}, per_s=1.0, errors=errors)


def test_a_ratio_compares_medians() -> None:
    found = {"troth": [sample(30), sample(90), sample(40)], "nats": [sample(20), sample(10), sample(900)]}
    (comparison,) = compare(found)
    assert comparison.ratio == 2
    assert "troth / nats         2.00" in render(connects(100), found)


@pytest.mark.parametrize("spoilt", [sample(10, done=99), sample(10, done=101), sample(10, errors=("it closed",))])
@pytest.mark.parametrize("side", ["troth", "nats"])
def test_one_spoilt_round_refuses_the_ratio(side: str, spoilt: Sample) -> None:
    found = {"troth": [sample(10)] * 3, "nats": [sample(10)] * 3, "mosquitto": [sample(10)] * 3}
    found[side] = [sample(10), spoilt, sample(10)]
    refused = {comparison.other: comparison.refusal for comparison in compare(found)}
    assert refused["nats"] is not None
    assert refused["nats"].startswith(side)
    assert (refused["mosquitto"] is not None) == (side == "troth")
    shown = render(connects(100), found)
    assert f"  {side:<12}no figure: " in shown
    assert f"troth / nats         refused: {side}: " in shown
