"""What a worker counts, and how it is kept."""

from hypothesis import given
from hypothesis import strategies as st

from troth.gateway.meter import Meter
from troth.registry.measures import OPENING_S, Measures, parse_measures, place_of, render_measures


@given(st.floats(0, 100))
def test_a_time_is_counted_below_the_first_bound_that_it_does_not_exceed(seconds: float) -> None:
    place = place_of(seconds)
    assert place == len(OPENING_S) or seconds <= OPENING_S[place]
    assert place == 0 or seconds > OPENING_S[place - 1]


def test_what_is_counted_is_kept_as_it_is() -> None:
    meter = Meter()
    for seconds in (0.001, 0.001, 3.0, 60.0):
        meter.opened(seconds)
    meter.received_bytes += 5
    meter.paced += 2
    measures = meter.read(is_upstream_up=True, events_lost=1, bytes_in_flight=9)
    assert (sum(measures.openings), measures.openings[0], measures.openings[-1]) == (4, 2, 1)
    assert parse_measures(render_measures(measures)) == measures


def test_what_another_version_keeps_otherwise_is_left_out() -> None:
    told = '{"received_bytes": 4, "openings": [1, 2], "openings_s": 3.5, "unheard_of": 1}'
    assert parse_measures(told) == Measures(received_bytes=4)
