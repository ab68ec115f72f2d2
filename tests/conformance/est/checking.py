"""What a check is, and what comes of it.

A check fails when the server does what the cited clause forbids. It is blocked when what it would look at is not there
because of something that another check fails for; so one fault is told once.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.conformance.est.cms import Unreadable
from tests.conformance.est.target import Blocked, Offer, Target
from tests.conformance.est.wire import Answer


class Failed(Exception):
    """Says what the server did wrong."""


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Check:
    """One thing that a server has to do. `needs` is what it must offer for that."""

    name: str
    clause: str
    says: str
    needs: frozenset[Offer]
    work: Callable[[Target], None]


@dataclass(frozen=True)
class Outcome:
    """What came of one check; `reason` is empty when it passed."""

    check: Check
    verdict: Verdict
    reason: str = ""


def check(clause: str, *needs: Offer) -> Callable[[Callable[[Target], None]], Check]:
    """Make a check of a function: its name with hyphens, what it says on its first line."""

    def made(work: Callable[[Target], None]) -> Check:
        says = (work.__doc__ or "").strip().partition("\n")[0]
        return Check(work.__name__.replace("_", "-"), clause, says, frozenset(needs), work)

    return made


def perform(checks: Iterable[Check], target: Target) -> Iterator[Outcome]:
    """Perform those checks that the server offers something for, one after the other."""
    for each in checks:
        if each.needs <= target.settings.offers:
            yield _perform(each, target)


def _perform(each: Check, target: Target) -> Outcome:
    try:
        each.work(target)
    except Blocked as blocked:
        return Outcome(each, Verdict.BLOCKED, str(blocked))
    except (Failed, Unreadable) as failed:
        return Outcome(each, Verdict.FAILED, str(failed))
    except Exception as error:  # whatever a server makes the client stumble over is its own fault, and is told
        return Outcome(each, Verdict.FAILED, f"{type(error).__name__}: {error}")
    return Outcome(each, Verdict.PASSED)


def expect(is_so: bool, otherwise: str) -> None:
    """Raise `Failed` unless it is so."""
    if not is_so:
        raise Failed(otherwise)


def expect_refused(answer: Answer, what: str) -> None:
    """Raise `Failed` unless the answer says that the client has erred, which neither 2xx nor 5xx does."""
    expect(answer.is_refusal, f"{what} is answered {answer.status}, not refused with 4xx")


DENIED: Final = frozenset({401, 403})
