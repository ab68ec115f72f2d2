"""Act 10: the thermostat's agent gets a new key and certificate while it sends, and nobody notices."""

import threading
from collections.abc import Sequence
from typing import Final

from troth.demo.cases import RECEIVED
from troth.demo.ledger import Seen
from troth.demo.stage import THERMOSTAT, Stage
from troth.demo.visitors import PATIENCE_S, HomeService, message, nonce
from troth.device.events import Event
from troth.device.library import Device
from troth.device.waiting import Wait
from troth.errors import Fault, Kind
from troth.registry.certificates import find_certificate
from troth.store.read import read
from troth.x509.certificates import certificate_id

READINGS: Final = 20
LOOK_S: Final = 0.05
TOPIC: Final = f"home/{THERMOSTAT}/reading"


def play(stage: Stage, service: HomeService) -> None:
    """Let the thermostat renew itself."""
    stage.narrator.act(
        "Act 10. It renews itself",
        "Certificates end, and nobody walks around a house of devices every three months. So each device has an agent:",
        "it makes a new key in a second slot, has it certified by showing the old certificate, tries it, goes over to",
        "it, and ends the old connection when the new one is up. Readings wait on its disk until the home has them.",
    )
    stage.ledger.case("renewed-while-running", lambda: _renewed(stage, service))


def _renewed(stage: Stage, service: HomeService) -> Seen:
    before = certificate_id(stage.identity(THERMOSTAT).certificate)
    words, told = [nonce() for _ in range(READINGS)], _Told(before)
    with Device.open(stage.disk(THERMOSTAT), tell=told) as device:
        # By the old connection; raises when the thermostat is not let in.
        device.publish(TOPIC, message(nonce()), timeout_s=PATIENCE_S)
        sending = threading.Thread(target=_send, args=(device, words))
        sending.start()
        try:
            device.renew()
        finally:
            sending.join()
        if not told.gone_over.wait(PATIENCE_S):
            raise Fault(Kind.UNAVAILABLE, "the thermostat did not go over to its new certificate")
        came = [service.hears(word) is not None for word in words]
    after = certificate_id(stage.identity(THERMOSTAT).certificate)
    rows = _states(stage, before, after)
    return Seen(
        {
            "thermostat": f"{'another' if after != before else 'the same'} certificate",
            "registry": ", ".join(rows),
            "home": f"{RECEIVED} {sum(came)} of {READINGS}, {'in' if service.has_in_order(words) else 'out of'} order",
        },
        {"certificates": {"before": before, "after": after}, "agent": told.events},
    )


def _states(stage: Stage, *certificates: str) -> list[str]:
    """Return whose certificates these are and in which state, once the home has settled what the first use means."""
    wait, pause = Wait(stage.clock, PATIENCE_S), threading.Event()
    while True:
        with read(stage.home.db) as connection:
            found = [find_certificate(connection, each) for each in certificates]
        states = [f"{row.thing} {row.state}" if row else "unknown" for row in found]
        if wait.is_over or len(set(states)) == len(states):
            return states
        pause.wait(LOOK_S)


def _send(device: Device, words: Sequence[str]) -> None:
    for word in words:
        device.queue(TOPIC, message(word))


class _Told:
    """Hears the agent: whether it is connected with another certificate than the one before."""

    def __init__(self, before: str) -> None:
        self._before = before
        self.events: list[str] = []
        self.gone_over = threading.Event()

    def __call__(self, event: Event, **fields: object) -> None:
        """Take note of an event."""
        self.events.append(event.value)
        if event is Event.CONNECTED and fields["certificate_id"] != self._before:
            self.gone_over.set()
