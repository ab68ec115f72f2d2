"""Act 1: a home is founded: a CA, the things that will live here, and what each of them may do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from troth.clock import Clock
from troth.demo import policies
from troth.demo.commands import Commands
from troth.demo.household import Household, opened
from troth.demo.narrator import Narrator
from troth.demo.stage import FISH_TANK, SERVICE, THERMOSTAT
from troth.keys.files import write_private

SITE: Final = "home.example"
PUBLIC_URL: Final = "http://home.example:8080"
HOME_FOLDER: Final = "home"


@contextmanager
def founded(folder: Path, commands: Commands, narrator: Narrator, clock: Clock) -> Iterator[Household]:
    """Make the home in `folder`, with its things and policies, and keep it open for the length of the block."""
    narrator.act(
        "Act 1. A home is founded",
        "A home gets a certificate authority (CA): a key whose signature says who belongs here.",
        "Its root certificate is the one thing that every device is given to trust.",
    )
    commands.troth("init", "--name", SITE, "--public-url", PUBLIC_URL)
    with opened(folder / HOME_FOLDER, commands.environment, clock) as home:
        narrator.say("Whoever lives here is a thing with a name, and a policy says what that thing may do.")
        commands.troth("thing", "create", THERMOSTAT, "--type", "device")
        write_private(folder / "device.json", policies.DEVICE.encode())
        narrator.quote(policies.DEVICE)
        commands.troth("policy", "create", "device", "device.json")
        commands.troth("policy", "attach", "device", "--thing", THERMOSTAT)
        narrator.say("A fish tank gets the same policy. The home service is a thing too, and may hear them all.")
        home.introduce(FISH_TANK, "device", {"device": policies.DEVICE})
        home.introduce(SERVICE, "service", {"home-service": policies.HOME_SERVICE})
        home.let_things_meet()
        yield home
