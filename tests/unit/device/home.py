"""What the tests of this room need of a home: issuers, files with keys and chains, answers to requests."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from cryptography import x509
from tests.fixtures.hierarchy import Maker, Signed

from troth.device.endpoint import Address, Endpoint
from troth.device.enroll import Wanted
from troth.device.slots import Slot
from troth.keys.file import write_key
from troth.x509.algorithms import PublicKey
from troth.x509.certificates import render_chain
from troth.x509.requests import parse_request
from troth.x509.subjects import parse_alternative_names, thing_subject

THING = "thermostat-1"
NOWHERE = Address("home.example", 8443)


class Home:
    """A hierarchy and the files made from it."""

    def __init__(self, maker: Maker, folder: Path) -> None:
        self.maker = maker
        self.folder = folder

    @cached_property
    def root_file(self) -> Path:
        file = self.folder / "root.pem"
        file.write_bytes(render_chain([self.root]))
        return file

    @cached_property
    def server(self) -> Slot:
        """The files of a server called ``home.example``, ``localhost`` and ``127.0.0.1``."""
        return self.write("server", self.maker.server(), [self.maker.servers.certificate])

    @property
    def root(self) -> x509.Certificate:
        return self.maker.root.certificate

    @property
    def issuers(self) -> tuple[x509.Certificate, ...]:
        """What the home says to cacerts, in no order."""
        return (self.maker.servers.certificate, self.root, self.maker.devices.certificate)

    def wanted(self, thing: str = THING, est: Address = NOWHERE, mqtt: Address = NOWHERE) -> Wanted:
        return Wanted(thing, Endpoint(est, mqtt), (self.root,))

    def issue(self, public_key: PublicKey, thing: str = THING) -> x509.Certificate:
        """Certify a key for a thing."""
        maker = self.maker
        template = maker.template(
            maker.profiles["device"], thing_subject(thing), maker.throwaway, maker.devices.certificate
        )
        return maker.sign(replace(template, public_key=public_key), maker.devices.key)

    def issue_server(self, public_key: PublicKey) -> x509.Certificate:
        """Certify a key for a server that is called as the thing is."""
        maker = self.maker
        template = maker.template(
            maker.profiles["server"],
            thing_subject(THING),
            maker.throwaway,
            maker.servers.certificate,
            san=parse_alternative_names(["localhost"]),
        )
        return maker.sign(replace(template, public_key=public_key), maker.servers.key)

    def answer(self, request: bytes) -> Sequence[x509.Certificate]:
        """Certify a request for the thing that it names, as an honest home does, with all its issuers."""
        parsed = parse_request(request)
        assert parsed.common_name
        return (*self.issuers, self.issue(parsed.public_key, parsed.common_name))

    def write(self, name: str, signed: Signed, above: Sequence[x509.Certificate]) -> Slot:
        """Write a key and its chain into a folder of their own, laid out as a slot."""
        slot = Slot(self.folder / name)
        slot.make()
        write_key(slot.key_file, signed.key, None, overwrite=True)
        slot.chain_file.write_bytes(render_chain([signed.certificate, *above]))
        return slot

    def device(self, thing: str = THING) -> Slot:
        """Return the files of a device that this home has certified."""
        return self.write(thing, self.maker.device(thing), [self.maker.devices.certificate])
