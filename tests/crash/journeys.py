"""What is cut off: each role of each journey, run in a process of its own that can be killed at a named point."""

import asyncio
import base64
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from tests.fixtures.enrolling import fed
from tests.fixtures.provisioning import CLAIM, provisioning_fed

from troth.app import logs
from troth.app.cabinet import FileCabinet
from troth.app.profiles import built_in_profiles
from troth.app.wiring.door import open_door
from troth.authority.bell import ring
from troth.authority.bulk import Answer, Issuance
from troth.authority.hierarchy import found, open_keys
from troth.authority.issue import Wanted
from troth.authority.revoke import revoke
from troth.authority.serve import serve
from troth.authority.status.publish import CRLDoor
from troth.clock import SystemClock
from troth.enrollment.est import simpleenroll
from troth.enrollment.flow import Enrolled, Enrollment, Waiting
from troth.enrollment.jit import meet
from troth.enrollment.presented import Presented
from troth.enrollment.requests import approve_request
from troth.errors import Bug
from troth.journal.change import change
from troth.keys.file import generate
from troth.keys.files import write_private
from troth.keys.requests import build_request
from troth.limits import DEFAULT
from troth.protocols.provisioning import Registration
from troth.registry.certificates import CertificateRow
from troth.registry.inventory import Search, all_certificates
from troth.registry.issuers import get_issuer
from troth.registry.things import create_thing
from troth.store.connect import Database, connect
from troth.store.read import read
from troth.testing.crashing import arm
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.profiles import Purpose
from troth.x509.requests import parse_request
from troth.x509.subjects import thing_of

PUBLIC_URL = "http://home.example:8080"
OPERATOR = "operator:anna"
WAIT_S = 60.0
REVOKED = "lamp-old"
CRLS = (None, 0, 1)
FLEET = 60
"""Things of one host."""
_BATCH = 7


@dataclass(frozen=True)
class Place:
    """A site: a folder with keys, requests and a token in files, and its database."""

    folder: Path
    url: str

    @property
    def answers(self) -> Path:
        """Where devices and operators write down what they got, a line each."""
        return self.folder / "answers"

    @contextmanager
    def database(self) -> Iterator[Database]:
        db = connect(self.url, self.folder)
        try:
            yield db
        finally:
            db.dispose()

    def cabinet(self) -> FileCabinet:
        return FileCabinet(self.folder, None)

    def trace(self, role: str) -> Path:
        return self.folder / f"{role}.trace"

    def requests(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.folder.glob("*.csr"))]

    def answered(self, thing: str, der: bytes) -> None:
        with self.answers.open("a") as file:
            file.write(json.dumps([thing, hashlib.sha256(der).hexdigest()]) + "\n")


def authority(place: Place) -> None:
    """Settle what waits, as the authority's process does, until the process is killed."""
    with place.database() as db:
        door = open_door(db, place.cabinet(), PUBLIC_URL, (Purpose.DEVICES,))
        asyncio.run(serve(db, SystemClock(), door, place.folder / "bell", asyncio.Event(), lambda: None))


def device(place: Place) -> None:
    """Enroll lamp-1 with its token, as the EST door does it."""
    with place.database() as db:
        asyncio.run(_enroll(place, db))


async def _enroll(place: Place, db: Database) -> None:
    (request, *_) = place.requests()
    presented = Presented(user="lamp-1", password=(place.folder / "token").read_text())
    async with fed(db, SystemClock(), PUBLIC_URL, place.folder / "bell", WAIT_S) as enrollment:
        enrolled = await simpleenroll(enrollment, presented, base64.encodebytes(request))
    assert isinstance(enrolled, Enrolled)
    place.answered(enrolled.thing, enrolled.certificate.public_bytes(Encoding.DER))


def crowd(place: Place) -> None:
    """Enroll all three lamps at once, as the EST door does it for those who come together: they share a change."""
    with place.database() as db:
        asyncio.run(_crowd(place, db))


async def _crowd(place: Place, db: Database) -> None:
    tokens: dict[str, str] = json.loads((place.folder / "tokens").read_text())

    async def enroll(enrollment: Enrollment, thing: str, der: bytes) -> None:
        presented = Presented(user=thing, password=tokens[thing])
        enrolled = await simpleenroll(enrollment, presented, base64.encodebytes(der))
        assert isinstance(enrolled, Enrolled)
        place.answered(enrolled.thing, enrolled.certificate.public_bytes(Encoding.DER))

    async with fed(db, SystemClock(), PUBLIC_URL, place.folder / "bell", WAIT_S) as enrollment:
        requests = zip(sorted(tokens), place.requests(), strict=True)
        await asyncio.gather(*(enroll(enrollment, thing, der) for thing, der in requests))


def claimant(place: Place) -> None:
    """Become lamp-claimed by the template, as the MQTT door does it; what it has been given it keeps on disk."""
    with place.database() as db:
        asyncio.run(_claim(place, db))


async def _claim(place: Place, db: Database) -> None:
    async with provisioning_fed(db, SystemClock(), PUBLIC_URL, place.folder / "bell", WAIT_S) as provisioning:
        kept = place.folder / "created"
        if not kept.exists():
            (request, *_) = place.requests()
            made = await provisioning.create_from_csr(CLAIM, request)
            write_private(kept, json.dumps([made.certificate_pem, made.token]).encode())
        pem, token = json.loads(kept.read_bytes())
        registered = await provisioning.register(CLAIM, "lamps", Registration(token, {"Serial": "claimed"}))
    place.answered(registered.thing, load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER))


def guest(place: Place) -> None:
    """Enroll lamp-1 by a person's word, which is given as soon as it is asked for."""
    with place.database() as db:
        asyncio.run(_ask(place, db))


async def _ask(place: Place, db: Database) -> None:
    (request, *_) = place.requests()
    body, presented = base64.encodebytes(request), Presented(label="guests", address="192.0.2.7")
    async with fed(db, SystemClock(), PUBLIC_URL, place.folder / "bell", WAIT_S) as enrollment:
        enrolled = await simpleenroll(enrollment, presented, body)
        if isinstance(enrolled, Waiting):
            with change(db, SystemClock(), OPERATOR) as changing:
                approve_request(changing, enrolled.request_id)
            enrolled = await simpleenroll(enrollment, presented, body)
    assert isinstance(enrolled, Enrolled)
    place.answered(enrolled.thing, enrolled.certificate.public_bytes(Encoding.DER))


def newcomer(place: Place) -> None:
    """Connect for the first time with the certificate of a customer's CA, as the MQTT door does it."""
    leaf = load_pem_x509_certificate((place.folder / "meter.pem").read_bytes())
    with place.database() as db:
        met = meet(db, SystemClock(), DEFAULT, leaf, "192.0.2.7")
    assert met.thing is not None
    place.answered(met.thing, met.certificate.der)


def bulk(place: Place) -> None:
    """Issue for all things with a request, the first of them twice, as `troth cert issue` does."""
    with place.database() as db:
        asyncio.run(_bulk(place, db))


async def _bulk(place: Place, db: Database) -> None:
    requests = place.requests()
    rouse = partial(ring, place.folder / "bell")
    issuance = Issuance(db, SystemClock(), OPERATOR, PUBLIC_URL, rouse, WAIT_S)
    async for answers in issuance.answers([_for_its_thing(der) for der in (*requests, requests[0])]):
        _note(place, answers)


def make_fleet(site: Place, host: Place) -> None:
    """Give a host the site's keys, and things of its own with their requests."""
    shutil.copytree(site.folder / "keys", host.folder / "keys")
    things = [f"fleet-{host.folder.name}-{number}" for number in range(FLEET)]
    with site.database() as db, change(db, SystemClock(), OPERATOR) as changing:
        for thing in things:
            create_thing(changing, thing)
            (host.folder / f"{thing}.csr").write_bytes(build_request(generate(KeyAlgorithm.P256), thing))


def fleet(place: Place) -> None:
    """Issue for the things of this host, in many small batches."""
    with place.database() as db:
        asyncio.run(_fleet(place, db))


async def _fleet(place: Place, db: Database) -> None:
    rouse = partial(ring, place.folder / "bell")
    issuance = Issuance(db, SystemClock(), OPERATOR, PUBLIC_URL, rouse, WAIT_S)
    wanted = [_for_its_thing(der) for der in place.requests()]
    for first in range(0, FLEET, _BATCH):
        async for answers in issuance.answers(wanted[first : first + _BATCH]):
            _note(place, answers)


def _for_its_thing(der: bytes) -> Wanted:
    request = parse_request(der)
    return Wanted("device", request, "operator", {"file": "fleet.csv"}, thing=thing_of(request.subject))


def _note(place: Place, answers: list[Answer]) -> None:
    for answer in answers:
        if not isinstance(answer.outcome, CertificateRow):
            raise Bug(str(answer.outcome))
        place.answered(str(answer.wanted.thing), answer.outcome.der)


def founder(place: Place) -> None:
    """Bring the hierarchy of an empty home into being."""
    profiles = tuple(built_in_profiles().values())
    with place.database() as db:
        found(
            db,
            SystemClock(),
            site="home.example",
            public_url=PUBLIC_URL,
            profiles=profiles,
            cabinet=place.cabinet(),
        )


def revoker(place: Place) -> None:
    """Revoke the old lamp's certificate."""
    with place.database() as db, change(db, SystemClock(), OPERATOR) as changing:
        (row,) = all_certificates(changing.connection, Search(thing=REVOKED))
        revoke(changing, row.certificate_id)


def publisher(place: Place) -> None:
    """Publish CRLs of the devices' CA: the whole and two shards."""
    with place.database() as db:
        with read(db) as connection:
            issuer = get_issuer(connection, Purpose.DEVICES)
            door = CRLDoor(open_keys(connection, place.cabinet()), PUBLIC_URL)
        door.publish(db, SystemClock(), OPERATOR, issuer, CRLS)


Role = Callable[[Place], None]
ROLES: dict[str, Role] = {
    each.__name__: each
    for each in (authority, device, crowd, claimant, guest, newcomer, bulk, fleet, founder, revoker, publisher)
}


def run(role: str, place: Place, die_at: str | None) -> None:
    """Play a role in this process, which is a new one."""
    logs.configure(role, "json", level=logging.CRITICAL)
    arm(place.trace(role), die_at)
    ROLES[role](place)
