"""Act 8: readings that prove themselves. Whoever has the thermostat's connection has not its word for a reading."""

from troth.demo.cases import LET_IN
from troth.demo.ledger import Seen
from troth.demo.stage import THERMOSTAT, Stage, Twin, at_the_gateway, heard_twin
from troth.demo.visitors import Errand, HomeService, Told, described, message, nonce
from troth.device.mqtt import Client
from troth.device.queue import Queue
from troth.device.readings import signing

_TOPIC = f"home/{THERMOSTAT}/meter"


def play(stage: Stage, service: HomeService) -> None:
    """Let somebody on the thermostat's own connection change a signed reading, and send an old one again."""
    stage.narrator.act(
        "Act 8. A reading that proves itself",
        "TLS proves who is at the other end of a wire. It ends there: behind it, anybody can have changed the message.",
        "A signed reading (COSE) carries its proof along: whose it is, when it was made, as which of a row, for what.",
        "The policy lets nothing else onto this topic. The impostor even has the thermostat's own connection;",
        "the twin is the thermostat with the very same reading, as it was signed.",
    )
    stage.ledger.case("altered-reading", lambda: _altered(stage, service))
    stage.ledger.case("replayed-reading", lambda: _replayed(stage, service))


def _altered(stage: Stage, service: HomeService) -> Seen:
    word, signed = _signed(stage)
    altered = signed.replace(b"21.5", b"35.5")
    told = stage.as_itself(THERMOSTAT, _sends(altered))
    leaked = described(service.heard(word))
    return at_the_gateway(stage, "altered-reading", told, _twin(stage, service, word, signed), leaked=leaked)


def _replayed(stage: Stage, service: HomeService) -> Seen:
    word, signed = _signed(stage)
    before = _twin(stage, service, word, signed)
    told = stage.as_itself(THERMOSTAT, _sends(signed)) if before.verdict == LET_IN else Told("", "nothing to replay")
    # What comes after it tells that it would have come by now.
    twin = _twin(stage, service, *_signed(stage))
    leaked = described(service.heard(word)) if service.count(word) > 1 else None
    return at_the_gateway(stage, "replayed-reading", told, twin, leaked=leaked)


def _signed(stage: Stage) -> tuple[str, bytes]:
    """Return a word and the thermostat's next reading with it, signed by its key and numbered by its queue."""
    word = nonce()
    with Queue(stage.disk(THERMOSTAT)) as queue:
        seal = signing(stage.disk(THERMOSTAT))
        reading = queue.add(_TOPIC, message(word), stage.clock.now(), seal=seal)
        queue.remove(reading.sequence)
    return word, reading.payload


def _twin(stage: Stage, service: HomeService, word: str, signed: bytes) -> Twin:
    return heard_twin(service, stage.as_itself(THERMOSTAT, _sends(signed)), word)


def _sends(payload: bytes) -> Errand:
    def errand(client: Client) -> str:
        client.publish(_TOPIC, payload, qos=1)
        return LET_IN

    return errand
