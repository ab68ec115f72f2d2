"""Act 3: each device makes a key, and proves with a one-time token that the certificate for it is its own."""

from datetime import timedelta
from typing import Final

from troth.demo.household import ACTOR
from troth.demo.ledger import Seen
from troth.demo.stage import FISH_TANK, IDENTITIES, SERVICE, THERMOSTAT, THINGS, Stage
from troth.device.endpoint import Endpoint
from troth.device.enroll import Wanted, enroll
from troth.enrollment.tokens import create_token
from troth.journal.change import change
from troth.keys.files import write_private
from troth.registry.certificates import find_certificate
from troth.store.read import read
from troth.x509.certificates import certificate_id

TTL: Final = timedelta(minutes=15)


def play(stage: Stage) -> None:
    """Enroll everybody."""
    stage.narrator.act(
        "Act 3. The devices enroll",
        "A device makes its key itself; the private half never leaves it. It asks the home to certify the public half,",
        "and shows a token that is good for one name, one time. It checks the home against the root it was given.",
    )
    stage.ledger.case("enroll", lambda: _enroll(stage))


def enroll_by_command(stage: Stage, thing: str) -> None:
    """Enroll a thing as a person would. Raises `Fault`."""
    token = stage.commands.troth("token", "create", "--thing", thing, "--ttl", "15m")["token"]
    write_private(stage.folder / "token.txt", token.encode(), overwrite=True)
    stage.commands.troth(
        "device",
        "enroll",
        *("--endpoint", str(stage.address("https")), "--mqtt", str(stage.address("mqtt"))),
        *("--server-name", stage.home.site, "--trust", "home/root.pem"),
        *("--thing", thing, "--token-file", "token.txt", "--identity", f"{IDENTITIES}/{thing}"),
    )


def _enroll(stage: Stage) -> Seen:
    enroll_by_command(stage, THERMOSTAT)
    for thing in (FISH_TANK, SERVICE):
        _enroll_by_library(stage, thing)
    ids = {thing: certificate_id(stage.identity(thing).certificate) for thing in THINGS}
    states = []
    with read(stage.home.db) as connection:
        for thing, identity in ids.items():
            row = find_certificate(connection, identity)
            states.append(f"{row.thing} {row.state}" if row else f"{thing} unknown")
    return Seen({"devices": ", ".join(ids), "registry": ", ".join(states)}, {"certificates": ids})


def _enroll_by_library(stage: Stage, thing: str) -> None:
    """Do what the two commands do, without starting a process for each."""
    with change(stage.home.db, stage.clock, ACTOR) as changing:
        token = create_token(changing, thing, TTL)
    endpoint = Endpoint(stage.address("https"), stage.address("mqtt"), stage.home.site)
    wanted = Wanted(thing, endpoint, (stage.home.root,))
    enroll(stage.disk(thing), wanted, token.secret, stage.clock)
