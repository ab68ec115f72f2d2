"""Act 5: the thermostat is called by homes that are not its own, and tells them nothing."""

from dataclasses import replace

from troth.clock import Clock
from troth.demo.acts.forging import LONG_AGO
from troth.demo.household import ShiftedClock
from troth.demo.ledger import Seen
from troth.demo.pretender import Pretender
from troth.demo.stage import THERMOSTAT, Stage
from troth.demo.visitors import PATIENCE_S, Door, Told, nonce, publishes, visit
from troth.device.slots import Slot
from troth.device.trusted_time import TrustedTime
from troth.protocols.roughtime.servers import parse_servers


def play(stage: Stage) -> None:
    """Lead the thermostat to two fake homes, and to one that proves to be its own."""
    stage.narrator.act(
        "Act 5. Fake homes",
        "TLS is mutual: before the thermostat says a word, the home must prove to be the home.",
        "Somebody leads its connection astray. It refuses, says why in a TLS alert, and no reading is sent.",
        "The twin is the same server with the certificate of our home: that one the thermostat believes.",
    )
    stage.ledger.case("fake-home-other-ca", lambda: _lead_astray(stage, stage.wardrobe.neighbour_home))
    stage.ledger.case("fake-home-wrong-name", lambda: _lead_astray(stage, stage.wardrobe.printer))
    stage.ledger.case("no-clock", lambda: _without_a_clock(stage))


def _without_a_clock(stage: Stage) -> Seen:
    """Judge a home whose certificate is over: by a clock that was set back, then by the time that our home signs."""
    (listed,) = parse_servers((stage.home.path / "time.json").read_bytes())
    # The site's name leads nowhere on this machine.
    told_time = TrustedTime([replace(listed, address=str(stage.address("time")))])
    fooled, _, _, leaked = _call(stage, stage.wardrobe.stale_home, ShiftedClock(stage.clock, LONG_AGO))
    told, _, where, heard = _call(stage, stage.wardrobe.stale_home, told_time)
    twin, _, _, arrived = _call(stage, stage.wardrobe.true_home, told_time)
    return Seen(
        {
            "by a clock set back": "it would be believed" if leaked else fooled.word,
            "thermostat": told.word,
            "fake home": "it got the reading" if heard else "heard nothing",
            "twin": twin.word if arrived else f"{twin.word}, but no reading arrived",
        },
        {"thermostat": told.report(), "twin": twin.report(), "fake home": {"visitor": where, "got the reading": heard}},
        where,
    )


def _lead_astray(stage: Stage, fake: Slot) -> Seen:
    told, other_end, where, leaked = _call(stage, fake)
    twin, _, twin_where, arrived = _call(stage, stage.wardrobe.true_home)
    return Seen(
        {
            "thermostat": told.word,
            "fake home": "it got the reading" if leaked else other_end,
            "twin": twin.word if arrived else f"{twin.word}, but no reading arrived",
        },
        {
            "thermostat": told.report(),
            "fake home": {"visitor": where, "told": other_end, "got the reading": leaked},
            "twin": {**twin.report(), "visitor": twin_where, "got the reading": arrived},
        },
        where,
    )


def _call(stage: Stage, own: Slot, judge: Clock | None = None) -> tuple[Told, str, str, bool]:
    """Let the thermostat send a reading to a server with the certificate in `own`.

    Return what the thermostat said, what the server did and of whom, and whether the server got the reading.
    """
    identity = stage.identity(THERMOSTAT)
    word = nonce()
    with Pretender(own) as server:
        door = Door(server.address, stage.home.site, stage.home.root)
        errand = publishes(f"home/{THERMOSTAT}/reading", word)
        told = visit(door, identity.slot, identity.thing, stage.clock, errand, judge=judge)
        other_end, where = server.handshake(PATIENCE_S)
        return told, other_end, where, server.got(word)
