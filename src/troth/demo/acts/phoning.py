"""Act 4: the thermostat phones home, over TLS that proves both ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from troth.demo.cases import RECEIVED
from troth.demo.ledger import Seen
from troth.demo.stage import IDENTITIES, SERVICE, THERMOSTAT, Stage
from troth.demo.visitors import HomeService, described, message, nonce
from troth.device.mqtt import connect


@contextmanager
def listening(stage: Stage) -> Iterator[HomeService]:
    """Connect the home service for the length of the block, and play the act."""
    stage.narrator.act(
        "Act 4. The thermostat phones home",
        "Mutual TLS: the home shows its certificate and proves that it holds the key, and so does the device.",
        "Then the gateway asks the policy, for every message. The home service has subscribed to all readings.",
    )
    with connect(stage.identity(SERVICE), stage.clock) as client:
        service = HomeService(client, stage.clock)
        service.subscribe()
        stage.ledger.case("phone-home", lambda: _phone_home(stage, service))
        yield service


def _phone_home(stage: Stage, service: HomeService) -> Seen:
    word = nonce()
    topic = f"home/{THERMOSTAT}/reading"
    published = stage.commands.troth(
        "device",
        "publish",
        "--topic",
        topic,
        "--message",
        message(word).decode(),
        "--identity",
        f"{IDENTITIES}/{THERMOSTAT}",
    )
    came = service.hears(word)
    return Seen(
        {
            "thermostat": "published" if published["topic"] == topic else "not published",
            "home": RECEIVED if came is not None and came.topic == topic else "nothing came",
        },
        {"thermostat": published, "home": described(came), "nonce": word},
    )
