import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.sqlite import dialect

from troth.errors import Bug
from troth.store.types import Instant, JSONText

SQLITE = dialect()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
)


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])))
def test_an_instant_comes_back_to_the_microsecond(instant: datetime) -> None:
    stored = Instant().process_bind_param(instant, SQLITE)
    assert isinstance(stored, int)
    back = Instant().process_result_value(stored, SQLITE)
    assert back == instant
    assert back is not None
    assert back.tzinfo is UTC


def test_an_instant_without_time_zone_is_a_bug() -> None:
    with pytest.raises(Bug):
        Instant().process_bind_param(datetime(2026, 1, 1), SQLITE)  # noqa: DTZ001


def test_instants_are_whole_microseconds_since_1970() -> None:
    assert Instant().process_bind_param(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC), SQLITE) == 1_000_005
    assert Instant().process_bind_param(None, SQLITE) is None
    assert Instant().process_result_value(None, SQLITE) is None


@settings(max_examples=40)
@given(json_values)
def test_json_comes_back_as_it_was(value: object) -> None:
    stored = JSONText().process_bind_param(value, SQLITE)
    assert JSONText().process_result_value(stored, SQLITE) == value


def test_equal_json_is_equal_text() -> None:
    one = JSONText().process_bind_param({"b": [1], "a": "é"}, SQLITE)
    assert one == JSONText().process_bind_param({"a": "é", "b": [1]}, SQLITE) == '{"a":"é","b":[1]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        JSONText().process_bind_param(float("nan"), SQLITE)
    assert json.loads(one or "") == {"a": "é", "b": [1]}
