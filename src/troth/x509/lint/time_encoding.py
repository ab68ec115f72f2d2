"""Times are written as UTCTime through 2049 and as GeneralizedTime from 2050 on, in whole seconds, in Zulu time."""

from collections.abc import Iterator
from typing import Final

from troth.x509.lint.rule import Case, Rule
from troth.x509.signed import EncodedTime

_UTC_TIME: Final = b"\x17"
_GENERALIZED_TIME: Final = b"\x18"
_FIRST_GENERALIZED_YEAR: Final = 2050


def _check(case: Case) -> Iterator[str]:
    for encoded, time in (
        (case.parts.not_before, case.certificate.not_valid_before_utc),
        (case.parts.not_after, case.certificate.not_valid_after_utc),
    ):
        rest = f"{time.month:02}{time.day:02}{time.hour:02}{time.minute:02}{time.second:02}Z"
        if time.year < _FIRST_GENERALIZED_YEAR:
            expected = EncodedTime(_UTC_TIME, f"{time.year % 100:02}{rest}".encode())
        else:
            expected = EncodedTime(_GENERALIZED_TIME, f"{time.year:04}{rest}".encode())
        if encoded != expected:
            yield f"the time {time:%Y-%m-%d %H:%M:%S} is not written as it must be"


TIME_ENCODING: Final = Rule("time-encoding", "RFC 5280, 4.1.2.5.1 and 4.1.2.5.2", _check)
