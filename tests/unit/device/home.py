"""What the tests of this room need of a home: issuers, files with keys and chains, answers to requests."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from cryptography import x509
from tests.fixtures.est_door import Asked, Reply
from tests.fixtures.hierarchy import Maker, Signed

from troth.app.profiles import built_in_profiles
from troth.device.endpoint import Address, Endpoint
from troth.device.enroll import Wanted
from troth.device.slots import Slot
from troth.errors import Fault, Kind
from troth.keys.file import write_key
from troth.protocols import problem
from troth.protocols.est import CERTIFICATES_TYPE, parse_body, parse_credentials, render_certificates
from troth.x509.algorithms import PublicKey
from troth.x509.certificates import render_chain
from troth.x509.profile_text import parse_profile
from troth.x509.requests import parse_request
from troth.x509.subjects import parse_alternative_names, thing_subject

THING = "thermostat-1"
TOKEN = "one-time-token"
_HEADERS = {"Content-Type": CERTIFICATES_TYPE, "Content-Transfer-Encoding": "base64"}
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
        """Certify a key for a server that is called as the thing is, as no honest authority would."""
        maker = self.maker
        template = maker.template(
            maker.profiles["server"],
            thing_subject(THING),
            maker.throwaway,
            maker.servers.certificate,
            san=parse_alternative_names(["localhost"]),
        )
        return maker.sign(replace(template, public_key=public_key), maker.servers.key, linted=False)

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


def make_home(folder: Path) -> Home:
    """Return a new home whose certificates are valid now."""
    profiles = {name: parse_profile(text) for name, text in built_in_profiles().items()}
    return Home(Maker(profiles, datetime.now(UTC)), folder)


class Honest:
    """What an honest home answers: the certificate alone, and the issuers to who asks for them."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def __call__(self, asked: Asked) -> Reply:
        if (asked.method, asked.path) == ("GET", "/.well-known/est/cacerts"):
            return Reply(200, render_certificates(self.home.issuers), _HEADERS)
        assert (asked.method, asked.path) == ("POST", "/.well-known/est/simpleenroll")
        credentials = parse_credentials(asked.headers["authorization"])
        if (credentials.user, credentials.password) != (THING, TOKEN):
            shown = problem.render(Fault(Kind.UNAUTHENTICATED, "the token is not known", hint="make another"))
            return Reply(shown.status, shown.body, shown.headers)
        request = parse_request(parse_body(asked.body))
        return Reply(200, render_certificates([self.home.issue(request.public_key)]), _HEADERS)
