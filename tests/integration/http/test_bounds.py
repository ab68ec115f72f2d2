"""The bounds of enrollment at the HTTPS door: per token, thing, address, enrollment and CA, and by size."""

from datetime import timedelta

import pytest
from tests.fixtures.doors import Answer, RunningDoors
from tests.fixtures.enrolling import new_token
from tests.fixtures.issuance import entries
from tests.fixtures.strangers import a_request, come, enrollment

from troth.limits import EST_BODY_BYTES_MAX
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock

pytestmark = pytest.mark.needs("curl")


def enroll(doors: RunningDoors, label: str, thing: str) -> Answer:
    return come(doors, label, a_request(thing), None, f"{thing}:{new_token(doors.site, thing)}")


@pytest.mark.parametrize(
    ("bound", "span"),
    [("per_thing", timedelta(days=1)), ("per_address", timedelta(hours=1)), ("total", timedelta(days=1))],
)
def test_an_enrollments_own_bounds_are_kept_and_pass(
    live_authority: TestAuthority, doors: RunningDoors, live_clock: FakeClock, bound: str, span: timedelta
) -> None:
    enrollment(live_authority, f'name = "few"\nprofile = "device"\nproofs = ["token"]\n[limits]\n{bound} = 2\n')
    enrollment(live_authority, 'name = "many"\nprofile = "device"\nproofs = ["token"]\n')
    things = ["lamp-1"] * 3 if bound == "per_thing" else ["lamp-1", "lamp-2", "lamp-3"]
    first, second, third = (enroll(doors, "few", thing) for thing in things)
    assert (first.status, second.status, third.status) == (200, 200, 429)
    assert 1 <= int(third.headers["retry-after"]) <= span.total_seconds()
    assert enroll(doors, "many", "lamp-4").status == 200
    live_clock.advance(span)
    assert enroll(doors, "few", things[-1]).status == 200


def test_all_enrollments_together_have_a_ca_sign_so_much_an_hour(
    doors: RunningDoors, live_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("troth.enrollment.beginnings.ISSUANCES_PER_ISSUER_PER_HOUR_MAX", 2)
    enrollment(doors.site, 'name = "other"\nprofile = "device"\nproofs = ["token"]\n')
    answers = [enroll(doors, label, f"lamp-{number}") for number, label in enumerate(("", "other", ""))]
    assert [answer.status for answer in answers] == [200, 200, 429]
    live_clock.advance(timedelta(hours=1))
    assert enroll(doors, "", "lamp-2").status == 200


def test_a_token_is_good_once_and_a_request_is_so_large(live_authority: TestAuthority, doors: RunningDoors) -> None:
    secret = new_token(live_authority)
    user, body = f"lamp-1:{secret}", a_request("lamp-1")
    # To the last byte that is taken, and the first that is not; white space is none of the request.
    assert come(doors, "", body + b"\n" * (EST_BODY_BYTES_MAX + 1 - len(body)), None, user).status == 413
    assert come(doors, "", body + b"\n" * (EST_BODY_BYTES_MAX - len(body)), None, user).status == 200
    assert come(doors, "", a_request("lamp-1"), None, user).status == 401
    assert len([each for each in entries(live_authority.db, "certificate.issued") if each.data["thing"]]) == 1
