"""What was seen of each case, and whether that is what must be seen. Plays nothing itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from subprocess import SubprocessError
from typing import Any, Final

from troth.demo.cases import CASES, Case
from troth.demo.narrator import Narrator
from troth.errors import Bug, Fault

FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class Seen:
    """What each side really said, in the same words as a case's `expected`, and where that was read."""

    observed: Mapping[str, str]
    evidence: Mapping[str, Any] = field(default_factory=dict)
    connection: str = ""
    """The visitor's ``host:port``, by which both ends know the connection; empty where it is about no single one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case that was played."""

    case: Case
    seen: Seen

    @property
    def expected(self) -> Mapping[str, str]:
        """What had to be seen on this machine."""
        lacking = {who: word for who, word in self.case.lacking.items() if self.seen.observed.get(who) == word}
        return {**self.case.expected, **lacking}

    @property
    def ok(self) -> bool:
        """Whether everybody said exactly what was expected."""
        return dict(self.seen.observed) == dict(self.expected)

    def report(self) -> dict[str, Any]:
        """Return it as the report has it."""
        return {
            "id": self.case.case_id,
            "story": self.case.story,
            "expected": dict(self.expected),
            "observed": dict(self.seen.observed),
            "ok": self.ok,
            "evidence": dict(self.seen.evidence),
        }


class Ledger:
    """Takes down what comes of each case, in the order of `CASES` and each once."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self.outcomes: list[Outcome] = []

    def case(self, case_id: str, scene: Callable[[], Seen]) -> None:
        """Play `scene` as the next case. What goes wrong in it is what was seen."""
        due = CASES[len(self.outcomes)]
        if due.case_id != case_id:
            raise Bug(f"{due.case_id} comes before {case_id}")
        self._narrator.case(case_id, due.story)
        try:
            seen = scene()
        except (Fault, SubprocessError) as error:
            seen = Seen({FAILED: str(error)}, {"detail": getattr(error, "detail", None)})
        outcome = Outcome(due, seen)
        self.outcomes.append(outcome)
        self._narrator.verdict(outcome.expected, seen.observed, seen.connection, due.why, ok=outcome.ok)

    def abandon(self, why: str) -> None:
        """Take down that the cases that are left could not be played."""
        for due in CASES[len(self.outcomes) :]:
            self.outcomes.append(Outcome(due, Seen({FAILED: why})))
