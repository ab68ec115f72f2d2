"""Times are written as UTCTime through 2049 and as GeneralizedTime from 2050 on, in whole seconds, in Zulu time."""

from collections.abc import Iterator
from typing import Final

from troth.x509.lint.rule import Case, Rule
from troth.x509.signed import validity_times

_UTC_TIME: Final = b"\x17"
_GENERALIZED_TIME: Final = b"\x18"
_FIRST_GENERALIZED_YEAR: Final = 2050


def _check(case: Case) -> Iterator[str]:
    times = (case.certificate.not_valid_before_utc, case.certificate.not_valid_after_utc)
    for encoded, time in zip(validity_times(case.certificate), times, strict=True):
        if time.year < _FIRST_GENERALIZED_YEAR:
            expected = (_UTC_TIME, f"{time:%y%m%d%H%M%S}Z")
        else:
            expected = (_GENERALIZED_TIME, f"{time:%Y%m%d%H%M%S}Z")
        if encoded != (expected[0], expected[1].encode()):
            yield f"the time {time:%Y-%m-%d %H:%M:%S} is not written as it must be"


TIME_ENCODING: Final = Rule("time-encoding", "RFC 5280, 4.1.2.5.1 and 4.1.2.5.2", _check)
