"""What happens on this stage and what must come of it: the cases in their order, and the ledger of what was seen.

Knows nobody who plays.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from subprocess import SubprocessError
from typing import Any, Final

from troth.demo.narrator import Narrator
from troth.errors import Bug, Fault

LET_IN: Final = "let in"
RECEIVED: Final = "received"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class Case:
    """Something that is tried, and what each of those who take part must say of it."""

    case_id: str
    story: str
    expected: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """What each side really said, in the same words as a case's `expected`, and where that was read."""

    observed: Mapping[str, str]
    evidence: Mapping[str, Any] = field(default_factory=dict)


def _at_the_gateway(case_id: str, story: str, impostor: str, gateway: str) -> Case:
    return Case(case_id, story, {"impostor": impostor, "gateway": gateway, "twin": LET_IN})


def _at_a_fake_home(case_id: str, story: str, thermostat: str, fake_home: str) -> Case:
    return Case(case_id, story, {"thermostat": thermostat, "fake home": fake_home, "twin": LET_IN})


CASES: Final[tuple[Case, ...]] = (
    Case(
        "enroll",
        "each device makes a key and gets a certificate for it with a one-time token",
        {"devices": "thermostat, fish-tank, home", "registry": "thermostat ACTIVE, fish-tank ACTIVE, home ACTIVE"},
    ),
    Case(
        "phone-home",
        "the thermostat sends a reading, and the home service that subscribed to it gets it",
        {"thermostat": "published", "home": RECEIVED},
    ),
    _at_a_fake_home(
        "fake-home-other-ca",
        "a neighbour's home answers under our home's name, certified by the neighbour's own CA",
        "unknown-issuer",
        "alert:unknown_ca",
    ),
    _at_a_fake_home(
        "fake-home-wrong-name",
        "our printer answers in our home's place, with its own certificate by our own CA",
        "wrong-name",
        "alert:bad_certificate",
    ),
    _at_the_gateway(
        "no-certificate",
        "somebody without any certificate says to be the thermostat",
        "alert:certificate_required",
        "handshake.failed: no-certificate",
    ),
    _at_the_gateway(
        "self-signed-namesake",
        "somebody signs a certificate for the name thermostat himself",
        "alert:unknown_ca",
        "handshake.failed: self-signed",
    ),
    _at_the_gateway(
        "other-ca-namesake",
        "the neighbour's CA, named like ours, certifies another thermostat",
        "alert:unknown_ca",
        "handshake.failed: unknown-issuer",
    ),
    _at_the_gateway(
        "expired",
        "a certificate that our own CA signed, and whose time is over",
        "alert:certificate_expired",
        "handshake.failed: certificate-expired",
    ),
    _at_the_gateway(
        "not-yet-valid",
        "a certificate that our own CA signed, and whose time is still to come",
        "alert:bad_certificate",
        "handshake.failed: certificate-not-yet-valid",
    ),
    _at_the_gateway(
        "server-certificate-as-client",
        "a certificate that our own CA for servers signed, shown by a client",
        "alert:unknown_ca",
        "handshake.failed: unknown-issuer",
    ),
    _at_the_gateway(
        "fish-tank-publishes-as-thermostat",
        "the fish tank, with its own good certificate, sends a reading in the thermostat's name",
        "closed",
        "publish.denied: policy",
    ),
    _at_the_gateway(
        "fish-tank-reads-thermostat",
        "the fish tank subscribes to the thermostat's readings",
        "SUBACK 0x80",
        "subscribe.denied: policy",
    ),
    _at_the_gateway(
        "fish-tank-takes-client-id",
        "the fish tank connects under the thermostat's client id, to throw it out",
        "CONNACK 5",
        "connection.refused: connect-denied",
    ),
    _at_the_gateway(
        "fish-tank-subscribes-everything",
        "the fish tank subscribes to # and, by way of a shared subscription, to $share/x/#",
        "SUBACK 0x80, SUBACK 0x80",
        "subscribe.denied: policy, subscribe.denied: shared-subscription",
    ),
    _at_the_gateway(
        "fish-tank-wills-as-thermostat",
        "the fish tank leaves a will, to be published in the thermostat's name when it is gone",
        "CONNACK 5",
        "connection.refused: will-denied",
    ),
    Case(
        "revoked-while-connected",
        "the thermostat is stolen; its certificate is revoked while the thief is connected with it",
        {
            "impostor": "closed",
            "gateway": "session.closed: certificate-revoked",
            "after": "less than a second",
            "twin": LET_IN,
        },
    ),
    _at_the_gateway(
        "revoked-reconnects",
        "the thief comes back with the revoked certificate",
        "CONNACK 5",
        "connection.refused: certificate-revoked",
    ),
    Case(
        "re-enrolled-same-thing",
        "the thermostat is found and enrolls again: a new certificate, the same thing, the same policies",
        {"thermostat": "new certificate, same thing", "home": RECEIVED},
    ),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case that was played."""

    case: Case
    seen: Seen

    @property
    def ok(self) -> bool:
        """Whether everybody said exactly what was expected."""
        return dict(self.seen.observed) == dict(self.case.expected)

    def report(self) -> dict[str, Any]:
        """Return it as the report has it."""
        return {
            "id": self.case.case_id,
            "story": self.case.story,
            "expected": dict(self.case.expected),
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
        self._narrator.verdict(due.expected, seen.observed, ok=outcome.ok)

    def abandon(self, why: str) -> None:
        """Take down that the cases that are left could not be played."""
        for due in CASES[len(self.outcomes) :]:
            self.outcomes.append(Outcome(due, Seen({FAILED: why})))
