"""OCSP on every kind of database: signers certified, states found, and a revocation heard of within a second."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from tests.fixtures.doors import PATIENCE_S, RunningDoors

from troth.app.wiring.door import open_door
from troth.authority.settle import settle_waiting
from troth.authority.status.ocsp import prepare_signer
from troth.journal.change import change
from troth.keys.file import generate
from troth.store.connect import Database
from troth.testing.authority import ACTOR, Held, TestAuthority
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.profiles import Purpose


@pytest.fixture
def site(db: Database, tmp_path: Path) -> Iterator[TestAuthority]:
    with TestAuthority(tmp_path, db=db) as authority:
        yield authority


def state(doors: RunningDoors, held: Held) -> ocsp.OCSPCertStatus:
    request = ocsp.OCSPRequestBuilder().add_certificate(held.certificate, held.chain[1], SHA1()).build()
    asked = Request(
        f"http://127.0.0.1:{doors.public}/ocsp",
        request.public_bytes(Encoding.DER),
        {"Content-Type": "application/ocsp-request"},
    )
    with urlopen(asked, timeout=PATIENCE_S) as reply:
        return ocsp.load_der_ocsp_response(reply.read()).certificate_status


def test_a_revocation_is_told_within_a_second(site: TestAuthority, tmp_path: Path) -> None:
    doors = RunningDoors(site, tmp_path / "bell")
    try:
        lamp, other = site.device("lamp-1"), site.device("lamp-2")
        assert state(doors, lamp) is ocsp.OCSPCertStatus.GOOD
        assert state(doors, other) is ocsp.OCSPCertStatus.GOOD
        site.revoke(lamp)
        end = time.monotonic() + 1.0
        while state(doors, lamp) is not ocsp.OCSPCertStatus.REVOKED:
            assert time.monotonic() < end
        assert state(doors, other) is ocsp.OCSPCertStatus.GOOD
    finally:
        doors.close()


def test_only_signers_wait_for_a_door_that_certifies_nothing_else(site: TestAuthority) -> None:
    door = open_door(site.db, site.cabinet, site.public_url, ())
    with change(site.db, site.clock, ACTOR) as changing:
        for purpose in (Purpose.DEVICES, Purpose.SERVERS):
            issuer = site.hierarchy.issuing[purpose]
            prepare_signer(changing, issuer, generate(KeyAlgorithm.P256), site.public_url)
    assert settle_waiting(site.db, site.clock, door).settled == 2
    assert settle_waiting(site.db, site.clock, door).settled == 0
