"""token_neighbours.py FOLDER MODULE PIN-FILE LABEL: two devices whose keys for neighbours are in a token meet."""

import sys
from dataclasses import replace
from pathlib import Path

from tests.unit.device.home import make_home
from tests.unit.device.neighbourhood import Neighbourhood

from troth.device.endpoint import Address
from troth.device.neighbours import Host, call
from troth.device.peer import FOLDER
from troth.device.slot_keys import TokenPlace, make_key
from troth.device.slots import Slot
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import render_chain
from troth.x509.subjects import parse_alternative_names, thing_host, thing_subject


def main(folder: Path, module: Path, pin_file: Path, label: str) -> None:
    here, place = Neighbourhood(make_home(folder)), TokenPlace(module, pin_file, label)
    maker = here.maker
    for thing in ("lamp", "door"):
        here.identity(folder / thing, thing, here.peer(thing))
        slot = Slot(folder / thing / FOLDER / "a")
        slot.key_file.unlink()
        key = make_key(slot, KeyAlgorithm.P256, place)
        san = parse_alternative_names([thing_host(thing)])
        template = maker.template(
            maker.profiles["peer"], thing_subject(thing), maker.throwaway, here.peers.certificate, san=san
        )
        certificate = maker.sign(replace(template, public_key=key.public_key), here.peers.key)
        slot.chain_file.write_bytes(render_chain([certificate, here.peers.certificate]))
    said = "{} said {}".format
    host = Host(folder / "lamp", Address("127.0.0.1", 0), ["door"], said, lambda event, **fields: None)
    with host, call(folder / "door", host.address, "lamp") as neighbour:
        print(neighbour.send("hello"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
