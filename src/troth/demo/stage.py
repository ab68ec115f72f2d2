"""The stage once everything runs: what every act from then on plays with, and what a case at the gateway comes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from troth.clock import Clock
from troth.demo.cases import CASES, LET_IN
from troth.demo.commands import Commands
from troth.demo.household import Household
from troth.demo.ledger import Ledger, Seen
from troth.demo.log import Line
from troth.demo.narrator import Narrator
from troth.demo.platform import Platform
from troth.demo.visitors import (
    PATIENCE_S,
    Door,
    Errand,
    HomeService,
    Told,
    described,
    nonce,
    publishes,
    visit,
)
from troth.demo.wardrobe import Wardrobe
from troth.device.endpoint import MQTT_PORT, Address, parse_address
from troth.device.identity import Identity, open_identity
from troth.device.slots import Slot
from troth.protocols.mqtt import Will

THERMOSTAT = "thermostat"
FISH_TANK = "fish-tank"
SERVICE = "home"
THINGS = (THERMOSTAT, FISH_TANK, SERVICE)
IDENTITIES = "things"
"""The folder below which each thing has its identity."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A running home, and everybody who plays in it."""

    folder: Path
    clock: Clock
    narrator: Narrator
    ledger: Ledger
    commands: Commands
    home: Household
    platform: Platform
    wardrobe: Wardrobe

    def disk(self, thing: str) -> Path:
        """Return the folder of a thing's identity."""
        return self.folder / IDENTITIES / thing

    def identity(self, thing: str) -> Identity:
        """Return a thing's identity as it is on its disk now. Raises `Fault` when it has none."""
        return open_identity(self.disk(thing))

    def address(self, listener: str) -> Address:
        """Return where a listener of the home is."""
        return parse_address(self.platform.listen[listener], MQTT_PORT)

    def visit(self, own: Slot | None, client_id: str, errand: Errand, *, will: Will | None = None) -> Told:
        """Come to the home's own MQTT door; see `troth.demo.visitors.visit`."""
        door = Door(self.address("mqtt"), self.home.site, self.home.root)
        return visit(door, own, client_id, self.clock, errand, will=will)

    def as_itself(self, thing: str, errand: Errand, *, will: Will | None = None) -> Told:
        """Come to the home's own MQTT door as a thing with its certificate and its name."""
        return self.visit(self.identity(thing).slot, thing, errand, will=will)


@dataclass(frozen=True, slots=True)
class Twin:
    """The honest one: how its visit ended, and whether what it sent arrived where it was to."""

    told: Told
    word: str
    arrived: object
    """The message as it arrived; None when it did not."""

    @property
    def verdict(self) -> str:
        """`LET_IN`, or what kept it out."""
        if self.told.word != LET_IN:
            return self.told.word
        return LET_IN if self.arrived else "its message did not arrive"

    def report(self) -> dict[str, object]:
        """Return it as evidence."""
        return {**self.told.report(), "nonce": self.word, "arrived": self.arrived}


def heard_twin(service: HomeService, told: Told, word: str) -> Twin:
    """Return the twin whose message with `word` the home service is to hear."""
    return Twin(told, word, described(service.hears(word)) if told.word == LET_IN else None)


def reading_twin(stage: Stage, service: HomeService, own: Slot, thing: str = THERMOSTAT) -> Twin:
    """Let `thing` send a reading with the certificate in `own`, honestly."""
    word = nonce()
    return heard_twin(service, stage.visit(own, thing, publishes(f"home/{thing}/reading", word)), word)


def at_the_gateway(stage: Stage, case_id: str, impostor: Told, twin: Twin, *, leaked: object = None) -> Seen:
    """Return what came of an impostor and its twin: what it was told, and what the gateway logged of it.

    `leaked` is a message of the impostor that arrived all the same.
    """
    expected = next(case.expected["gateway"] for case in CASES if case.case_id == case_id)
    lines = _logged(stage, impostor, expected.split(", "))
    return Seen(
        {
            "impostor": f"{impostor.word}, but its message arrived" if leaked else impostor.word,
            "gateway": ", ".join(f"{line['event']}: {line.get('reason')}" for line in lines) or "nothing",
            "twin": twin.verdict,
        },
        {"impostor": impostor.report(), "gateway": [dict(line) for line in lines], "twin": twin.report()},
        impostor.address if lines else "",
    )


def _logged(stage: Stage, impostor: Told, expected: Sequence[str]) -> Sequence[Line]:
    """Return what the gateway logged of a refusal, waiting for as many lines of that event as are expected.

    Where those do not come, what it logged of the visit at all. One who was let in is not waited for.
    """
    log = stage.platform.log
    event = expected[0].partition(":")[0]
    patience_s = 0.0 if impostor.word == LET_IN else PATIENCE_S
    return log.about(impostor.address, event, len(expected), patience_s) or log.all_about(impostor.address)
