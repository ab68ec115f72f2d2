"""Act 7: the fish tank. It is who it claims to be, and wants what is not its own: now it is policy that says no."""

from troth.demo.cases import LET_IN
from troth.demo.ledger import Seen
from troth.demo.stage import FISH_TANK, THERMOSTAT, Stage, Twin, at_the_gateway, heard_twin
from troth.demo.visitors import (
    PATIENCE_S,
    Errand,
    HomeService,
    described,
    dies,
    message,
    nonce,
    publishes,
    subscribes,
)
from troth.device.mqtt import Client
from troth.protocols.mqtt import Publish, Will

_ITS_READING = f"home/{FISH_TANK}/reading"
_ITS_STATUS = f"home/{FISH_TANK}/status"
_ITS_COMMAND = f"home/{FISH_TANK}/command"
_NOT_ITS_READING = f"home/{THERMOSTAT}/reading"


def play(stage: Stage, service: HomeService) -> None:
    """Let the fish tank try all that it may not, and beside it what it may."""
    stage.narrator.act(
        "Act 7. A guest at the fish tank",
        "Fish tanks have been broken into. This one has a good certificate, so TLS lets it in: it is the fish tank.",
        "But its policy lets it be the fish tank only. A CONNECT or a SUBSCRIBE that it may not make gets a no",
        "(CONNACK 5, SUBACK 0x80); MQTT 3.1.1 has no such word for a message, so the connection is closed.",
        "The twin is the fish tank itself, asking for its own.",
    )
    case = stage.ledger.case
    case("fish-tank-publishes-as-thermostat", lambda: _publishes(stage, service))
    case("fish-tank-reads-thermostat", lambda: _reads(stage, service))
    case("fish-tank-takes-client-id", lambda: _takes_client_id(stage, service))
    case("fish-tank-subscribes-everything", lambda: _subscribes_everything(stage, service))
    case("fish-tank-wills-as-thermostat", lambda: _wills(stage, service))


def _publishes(stage: Stage, service: HomeService) -> Seen:
    forged, word = nonce(), nonce()
    told = stage.as_itself(FISH_TANK, publishes(_NOT_ITS_READING, forged))
    twin = heard_twin(service, stage.as_itself(FISH_TANK, publishes(_ITS_READING, word)), word)
    return at_the_gateway(
        stage, "fish-tank-publishes-as-thermostat", told, twin, leaked=described(service.heard(forged))
    )


def _reads(stage: Stage, service: HomeService) -> Seen:
    told = stage.as_itself(FISH_TANK, subscribes(_NOT_ITS_READING))
    twin = _commanded(stage, service, _ITS_COMMAND)
    return at_the_gateway(stage, "fish-tank-reads-thermostat", told, twin)


def _takes_client_id(stage: Stage, service: HomeService) -> Seen:
    word = nonce()
    errand = publishes(_ITS_READING, word)
    told = stage.visit(stage.identity(FISH_TANK).slot, THERMOSTAT, publishes(_ITS_READING, nonce()))
    twin = heard_twin(service, stage.as_itself(FISH_TANK, errand), word)
    return at_the_gateway(stage, "fish-tank-takes-client-id", told, twin)


def _subscribes_everything(stage: Stage, service: HomeService) -> Seen:
    told = stage.as_itself(FISH_TANK, subscribes("#", "$share/x/#"))
    twin = _commanded(stage, service, f"home/{FISH_TANK}/#")
    return at_the_gateway(stage, "fish-tank-subscribes-everything", told, twin)


def _wills(stage: Stage, service: HomeService) -> Seen:
    forged, word = nonce(), nonce()
    told = stage.as_itself(FISH_TANK, dies, will=Will(_NOT_ITS_READING, message(forged)))
    twin = heard_twin(service, stage.as_itself(FISH_TANK, dies, will=Will(_ITS_STATUS, message(word))), word)
    return at_the_gateway(stage, "fish-tank-wills-as-thermostat", told, twin, leaked=described(service.heard(forged)))


def _commanded(stage: Stage, service: HomeService, topic_filter: str) -> Twin:
    """Let the fish tank subscribe to what is its own, and the home service send it a command."""
    word = nonce()
    came: list[Publish] = []
    told = stage.as_itself(FISH_TANK, subscribes(topic_filter, then=_takes(service, word, came)))
    arrived = next((each for each in came if word.encode() in each.payload), None)
    return Twin(told, word, described(arrived))


def _takes(service: HomeService, word: str, came: list[Publish]) -> Errand:
    def errand(client: Client) -> str:
        service.tell(_ITS_COMMAND, word)
        received = client.receive(PATIENCE_S)
        if received is not None:
            came.append(received)
        return LET_IN

    return errand
