"""The public door: CA certificates by name in the clear, and nothing that anybody should trust from there."""

import json
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID
from tests.fixtures.doors import Answer, RunningDoors, curl

from troth.authority.derive import published_name
from troth.authority.door import Door
from troth.authority.generation import Generation
from troth.authority.issuer_intents import prepare_issuer
from troth.authority.settle import settle
from troth.journal.change import change
from troth.keys.file import generate
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.profiles import Purpose

pytestmark = pytest.mark.needs("curl")


def get(doors: RunningDoors, path: str, *words: str) -> Answer:
    return curl(f"http://localhost:{doors.public}{path}", *words)


def issuer_path(doors: RunningDoors, purpose: Purpose) -> str:
    return f"/certs/{published_name(doors.site.hierarchy.issuing[purpose].issuer_id)}.cer"


@pytest.mark.needs("openssl")
def test_the_issuer_that_a_certificate_names_can_be_fetched(doors: RunningDoors) -> None:
    certificate = doors.site.device("lamp-1").certificate
    _, access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert access.access_method == AuthorityInformationAccessOID.CA_ISSUERS
    path = access.access_location.value.removeprefix(doors.site.public_url)
    answer = get(doors, path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/pkix-cert"
    assert answer.body == doors.site.issuer(Purpose.DEVICES).public_bytes(Encoding.DER)
    subject = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-noout", "-subject"], input=answer.body, capture_output=True, check=True
    ).stdout
    assert b"home.example devices CA 1" in subject


def test_a_file_that_never_changes_is_fetched_once(doors: RunningDoors) -> None:
    path = issuer_path(doors, Purpose.SERVERS)
    first = get(doors, path)
    assert "immutable" in first.headers["cache-control"]
    again = get(doors, path, "--header", f"If-None-Match: {first.headers['etag']}")
    assert (again.status, again.body) == (304, b"")
    other = get(doors, path, "--header", 'If-None-Match: "x"')
    assert (other.status, other.body) == (200, first.body)


def test_head_has_the_headers_alone(doors: RunningDoors) -> None:
    path = issuer_path(doors, Purpose.OPERATORS)
    head, whole = get(doors, path, "--head"), get(doors, path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.body)) == whole.headers["content-length"]


def test_the_root_is_not_to_be_had_in_the_clear(doors: RunningDoors) -> None:
    for path in ("/root.pem", f"/certs/{published_name(doors.site.hierarchy.root.issuer_id)}.cer"):
        assert get(doors, path).status == 404


@pytest.mark.parametrize("path", ["/", "/certs/", "/certs/x.cer", "/certs/../health", "/.well-known/est/cacerts"])
def test_nothing_else_is_there(doors: RunningDoors, path: str) -> None:
    answer = get(doors, path, "--path-as-is")
    assert (answer.status, answer.headers["cache-control"]) == (404, "no-store")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_is_for_reading(doors: RunningDoors, method: str) -> None:
    for path in ("/health", issuer_path(doors, Purpose.DEVICES)):
        answer = get(doors, path, "--request", method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_it_says_that_it_lives(doors: RunningDoors) -> None:
    answer = get(doors, "/health")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert json.loads(answer.body) == {"status": "alive"}


def test_a_new_issuer_is_there_as_soon_as_it_is_born(doors: RunningDoors) -> None:
    site, key = doors.site, generate(KeyAlgorithm.P256)
    with change(site.db, site.clock, "operator:anna") as changing:
        intent = prepare_issuer(
            changing,
            generation=Generation("home.example", Purpose.DEVICES, 2),
            public_key=key.public_key,
            parent=site.hierarchy.root,
            public_url=site.public_url,
        )
    door = Door({site.hierarchy.root.issuer_id: site.cabinet.open("root/root.key")}, site.public_url)
    born = settle(site.db, site.clock, door, intent.intent_id)
    deadline = time.monotonic() + 20
    while get(doors, f"/certs/{published_name(born.certificate_id or '')}.cer").status != 200:
        assert time.monotonic() < deadline
