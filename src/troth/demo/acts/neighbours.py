"""Act 12: the home is switched off. Two of its devices meet all the same, and a stranger meets neither."""

import queue
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from troth.demo.cases import LET_IN
from troth.demo.ledger import Seen
from troth.demo.stage import FISH_TANK, THERMOSTAT, Stage
from troth.demo.visitors import PATIENCE_S
from troth.device.connection import ConnectionFault, dial
from troth.device.endpoint import Address
from troth.device.events import Event
from troth.device.identity import read_chain
from troth.device.meeting import NotMet, Party
from troth.device.neighbours import Host, call
from troth.device.peer import Peer, ready_peer
from troth.device.recognition import Expected

_ANY_PORT: Final = Address("127.0.0.1", 0)
_NOBODY: Final = "nobody"


def prepare(stage: Stage) -> None:
    """Have both get what they will show to each other, while the home is there. Raises `Fault`."""
    for thing in (THERMOSTAT, FISH_TANK):
        ready_peer(stage.disk(thing), stage.clock)


def play(stage: Stage) -> None:
    """Let the fish tank call the thermostat, and a stranger both of them."""
    stage.narrator.act(
        "Act 12. Neighbours",
        "The home is switched off. While it was there, the fish tank and the thermostat got a certificate for this.",
        "It is good for a day, so that nobody needs to be asked whether it was revoked; and at home it opens nothing.",
        "A stranger with such a certificate of the neighbour's home comes to the thermostat, and stands in its place.",
    )
    stage.ledger.case("neighbours-trust-each-other", lambda: _meet(stage))
    stage.ledger.case("stranger-at-the-door", lambda: _turn_away(stage))


class _Told:
    """What the thermostat tells of who comes to it."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[tuple[Event, Mapping[str, object]]] = queue.SimpleQueue()

    def __call__(self, event: Event, **fields: object) -> None:
        self._events.put((event, fields))

    def next(self) -> tuple[Event, Mapping[str, object]]:
        """Return the next event. Raises `NotMet` when none comes."""
        try:
            return self._events.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise NotMet("timeout", _NOBODY, is_theirs=False) from None


@contextmanager
def _thermostat(stage: Stage) -> Iterator[tuple[Address, _Told]]:
    told = _Told()
    with Host(
        stage.disk(THERMOSTAT), _ANY_PORT, [FISH_TANK], lambda *_: "21.5 degrees", told, clock=stage.clock
    ) as host:
        yield host.address, told


def _meet(stage: Stage) -> Seen:
    with _thermostat(stage) as (address, told):
        with call(stage.disk(FISH_TANK), address, THERMOSTAT, clock=stage.clock) as neighbour:
            reply = neighbour.send("how warm is it?")
        _, came = told.next()
        _, message = told.next()
    return Seen(
        {
            FISH_TANK: f"met {neighbour.thing}, and got a reply",
            THERMOSTAT: f"met {came.get('thing', _NOBODY)}, and got a message",
            "home": _find_home(stage),
        },
        {"message": message.get("message"), "reply": reply, "certificate_id": came.get("certificate_id")},
        str(came.get("peer", "")),
    )


def _find_home(stage: Stage) -> str:
    """Return in a word what comes of a call at the home."""
    try:
        dial(stage.address("https"), stage.home.site, [stage.home.root]).close()
    except ConnectionFault as fault:
        return fault.refusal.word
    return LET_IN


def _turn_away(stage: Stage) -> Seen:
    with _thermostat(stage) as (address, told):
        outside = _heard(lambda: _call(_stranger(stage), address))
        _, refused = told.next()
        twin = _heard(lambda: call(stage.disk(FISH_TANK), address, THERMOSTAT, clock=stage.clock).close())
    with _standing(_stranger(stage)) as (address, heard):
        inside = _heard(lambda: call(stage.disk(FISH_TANK), address, THERMOSTAT, clock=stage.clock).close())
    evidence: dict[str, Any] = {"thermostat": dict(refused)}
    return Seen(
        {
            "stranger": outside,
            THERMOSTAT: str(refused.get("why", LET_IN)),
            "stranger in its place": heard.get(timeout=PATIENCE_S),
            FISH_TANK: inside,
            "twin": twin,
        },
        evidence,
        str(refused.get("peer", "")),
    )


def _stranger(stage: Stage) -> Party:
    """Return one who calls himself thermostat and fish tank, as it suits, and takes anybody."""
    slot = stage.wardrobe.other_peer
    return Party(stage.identity(FISH_TANK), Peer(slot, read_chain(slot.chain_file)), Expected(("*",)), stage.clock)


def _call(party: Party, address: Address) -> None:
    stream = party.meet(socket.create_connection((address.host, address.port), PATIENCE_S), address, listens=False)
    try:
        stream.hear(PATIENCE_S)
    finally:
        stream.close()


@contextmanager
def _standing(party: Party) -> Iterator[tuple[Address, "queue.SimpleQueue[str]"]]:
    """Let a party wait for one who calls, and put what came of it."""
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    with socket.create_server((_ANY_PORT.host, 0)) as listening:
        listening.settimeout(PATIENCE_S)
        address = Address(_ANY_PORT.host, listening.getsockname()[1])

        def wait() -> None:
            plain, _ = listening.accept()
            heard.put(_heard(lambda: party.meet(plain, address, listens=True).close()))

        thread = threading.Thread(target=wait, name="stranger", daemon=True)
        thread.start()
        yield address, heard
        thread.join(PATIENCE_S)


def _heard(meet: Callable[[], object]) -> str:
    """Return in a word what came of a meeting."""
    try:
        meet()
    except NotMet as fault:
        return fault.word
    return LET_IN
