"""An agent in a process of its own, and then a thief inside it, logged in as the agent is.

``agent.py IDENTITY THING EST-PORT MQTT-PORT ROOT.pem TOPIC [MODULE PIN-FILE TOKEN]``, the enrollment token in the first
line of stdin. It enrolls, publishes its name to the topic, says ``connected``, and signs without a pause. At the next
line of stdin it tries to get its key out of the token, and prints in JSON what came of it.
"""

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pkcs11

from troth.clock import SystemClock
from troth.demo.token_thief import steal
from troth.device.endpoint import Address, Endpoint
from troth.device.enroll import Wanted, enroll
from troth.device.identity import read_chain
from troth.device.library import Device
from troth.device.slot_keys import TokenPlace, open_key
from troth.device.slots import Slot


def main(path: str, thing: str, est: str, mqtt: str, root: str, topic: str, *token: str) -> None:
    place = TokenPlace(Path(token[0]), Path(token[1]), token[2]) if token else None
    doors = Endpoint(Address("localhost", int(est)), Address("localhost", int(mqtt)))
    wanted = Wanted(thing=thing, endpoint=doors, trust=read_chain(Path(root)), place=place)
    enroll(Path(path), wanted, sys.stdin.readline().strip(), SystemClock())
    with Device.open(Path(path)) as device:
        device.publish(topic, thing.encode(), timeout_s=60)
        with signing(Slot(Path(path) / "current")):
            print("connected", flush=True)
            sys.stdin.readline()
        if place is not None:
            found = re.search("object=([^;?]+)", (Path(path) / "current" / "key.uri").read_text())
            assert found
            # Whoever is in the agent's process is logged in as it is.
            with pkcs11.lib(str(place.module)).get_token(token_label=place.label).open(rw=True) as session:
                print(json.dumps(steal(session, found[1])))


@contextmanager
def signing(slot: Slot) -> Iterator[None]:
    """Sign inside the block, again and again."""
    key, over = open_key(slot), threading.Event()

    def work() -> None:
        while not over.is_set():
            key.sign(b"a reading")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


main(*sys.argv[1:])
