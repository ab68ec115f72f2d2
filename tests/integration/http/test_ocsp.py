"""OCSP at the public door as HTTP: paths, types, caches, failures, and the clock."""

import base64
import http.client
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from tests.fixtures.doors import PATIENCE_S, RunningDoors
from tests.fixtures.issuance import entries
from tests.fixtures.ocsp_lint import ocsp_findings
from tests.fixtures.platform import until

from troth.gateway.http.ocsp import CACHED_S_MAX
from troth.gateway.http.ocsp_answers import VALIDITY
from troth.journal.change import change
from troth.limits import OCSP_CERTIFICATES_MAX, OCSP_NONCE_BYTES_MAX, OCSP_REQUEST_BYTES_MAX
from troth.registry.states import deactivate
from troth.testing.authority import Held, TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.crl import Reason
from troth.x509.der import OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, constructed, integer, tlv
from troth.x509.ocsp import issuer_digests
from troth.x509.profiles import Purpose

TYPE = "application/ocsp-request"
NONCE = bytes.fromhex("2b0601050507300102")
GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
Failure = ocsp.OCSPResponseStatus


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> ocsp.OCSPResponse:
        assert self.status == 200
        assert self.headers["content-type"] == "application/ocsp-response"
        assert ocsp_findings(self.body) == []
        return ocsp.load_der_ocsp_response(self.body)

    @property
    def failure(self) -> ocsp.OCSPResponseStatus:
        assert self.headers["cache-control"] == "no-store"
        return self.said.response_status


class Client:
    """Asks over one connection that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        self._connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        reply = self._connection.getresponse()
        return Reply(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())

    def get(self, request: bytes, **headers: str) -> Reply:
        return self.send("GET", "/ocsp/" + quote(base64.b64encode(request), safe=""), None, **headers)

    def post(self, request: bytes) -> Reply:
        return self.send("POST", "/ocsp", request, Content_Type=TYPE)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def client(doors: RunningDoors) -> Iterator[Client]:
    client = Client(doors.public)
    yield client
    client.close()


def cert_id(serial: int, issuer: x509.Certificate) -> bytes:
    """Return the DER of a CertID by SHA-1."""
    digests = issuer_digests(issuer)[0]
    algorithm = tlv(SEQUENCE, tlv(OBJECT_IDENTIFIER, digests.algorithm))
    named = tlv(OCTET_STRING, digests.name_hash), tlv(OCTET_STRING, digests.key_hash)
    return tlv(SEQUENCE, algorithm, *named, integer(serial))


def a_request(*cert_ids: bytes, nonce: bytes | None = None) -> bytes:
    asked = tlv(SEQUENCE, *(tlv(SEQUENCE, each) for each in cert_ids))
    after = b""
    if nonce is not None:
        value = tlv(OCTET_STRING, tlv(OCTET_STRING, nonce))
        after = tlv(constructed(2), tlv(SEQUENCE, tlv(SEQUENCE, tlv(OBJECT_IDENTIFIER, NONCE), value)))
    return tlv(SEQUENCE, tlv(SEQUENCE, asked, after))


def about(held: Held, nonce: bytes | None = None) -> bytes:
    return a_request(cert_id(held.certificate.serial_number, held.chain[1]), nonce=nonce)


def signers(site: TestAuthority) -> int:
    """Return how many signers have been certified."""
    return sum(entry.data["profile"] == "ocsp-signer" for entry in entries(site.db, "certificate.issued"))


def test_what_is_answered_at_a_glance_is_what_is_answered_otherwise(doors: RunningDoors, client: Client) -> None:
    """The plainest GET of an answer that is kept is not read by the whole parser; a field more, and it is."""
    lamp = doors.site.device("lamp-1")
    request = about(lamp)
    first = client.get(request)
    plain = client.get(request)
    long_way = client.get(request, X_Unknown="1")
    assert plain == long_way == first
    assert list(plain.headers) == list(long_way.headers)
    for _ in range(3):
        assert client.get(request) == plain
        assert client.post(request).body == plain.body
    assert client.send("GET", "/health").status == 200
    doors.site.revoke(lamp)
    until(lambda: client.get(request).said.certificate_status is REVOKED)
    assert client.get(request, X_Unknown="1").said.certificate_status is REVOKED


def test_requests_cut_anywhere_or_sent_together_are_answered_in_turn(doors: RunningDoors, client: Client) -> None:
    request = about(doors.site.device("lamp-1"))
    expected = client.get(request).body
    path = "/ocsp/" + quote(base64.b64encode(request), safe="")
    plain = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    last = plain.replace(b"Host", b"Connection: close\r\nHost")
    pieces = [plain[:10], plain[10:], plain + plain, plain, plain[:-1], plain[-1:] + last]
    with socket.create_connection(("127.0.0.1", doors.public), PATIENCE_S) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            raw.sendall(piece)
        said = b"".join(iter(lambda: raw.recv(65_536), b""))
    assert said.count(expected) == 6
    assert said.count(b"HTTP/1.1 200") == 6


def test_the_shapes_of_a_request_are_one_request(doors: RunningDoors, client: Client) -> None:
    request = about(doors.site.device("lamp-1"))
    text = base64.b64encode(request).decode()
    first = client.post(request)
    assert first.said.certificate_status is GOOD
    for path in (f"/{text}", f"//{text}", f"/{quote(text, safe='')}", f"/{text.rstrip('=')}", f"/{text}/"):
        assert client.send("GET", f"/ocsp{path}") == Reply(200, first.headers, first.body)
    head = client.send("HEAD", f"/ocsp/{text}")
    assert (head.status, head.body, head.headers) == (200, b"", first.headers)
    posted = client.send("POST", "/ocsp/", request, Content_Type=f"{TYPE.upper()}; charset=x")
    assert posted.body == first.body


def test_what_a_cache_is_told_is_true(doors: RunningDoors, client: Client) -> None:
    request = about(doors.site.device("lamp-1"))
    reply = client.get(request)
    said, headers = reply.said, reply.headers
    assert parsedate_to_datetime(headers["last-modified"]) == said.this_update_utc
    assert parsedate_to_datetime(headers["expires"]) == said.next_update_utc
    assert said.produced_at_utc == said.this_update_utc == doors.site.clock.now().replace(microsecond=0)
    assert said.next_update_utc == said.produced_at_utc + VALIDITY
    assert headers["cache-control"] == f"max-age={CACHED_S_MAX}, public, no-transform, must-revalidate"
    assert "date" in headers
    assert client.get(request) == reply
    unchanged = client.get(request, If_None_Match=headers["etag"])
    assert (unchanged.status, unchanged.body, unchanged.headers["etag"]) == (304, b"", headers["etag"])
    other = client.get(about(doors.site.device("lamp-2")), If_None_Match=headers["etag"])
    assert other.said.certificate_status is GOOD


def test_no_cache_keeps_what_may_change_at_any_time(doors: RunningDoors, client: Client) -> None:
    lamp = doors.site.device("lamp-1")
    with_nonce = client.get(about(lamp, nonce=b"n" * OCSP_NONCE_BYTES_MAX))
    assert with_nonce.headers["cache-control"] == "no-store"
    assert "etag" not in with_nonce.headers
    assert with_nonce.said.certificate_status is GOOD
    never_issued = client.get(a_request(cert_id(7, lamp.chain[1])))
    assert never_issued.headers["cache-control"] == "no-store"
    assert never_issued.said.certificate_status is UNKNOWN
    assert client.get(about(lamp)).headers["cache-control"] != "no-store"


def test_each_nonce_gets_its_own_answer(doors: RunningDoors, client: Client) -> None:
    lamp = doors.site.device("lamp-1")
    first, second = (client.post(about(lamp, nonce=bytes((n,)))) for n in (1, 2))
    assert tlv(OCTET_STRING, b"\x01") in first.body
    assert tlv(OCTET_STRING, b"\x02") in second.body
    assert client.post(about(lamp, nonce=b"")).failure is Failure.MALFORMED_REQUEST
    assert client.post(about(lamp, nonce=bytes(OCSP_NONCE_BYTES_MAX + 1))).failure is Failure.MALFORMED_REQUEST


def test_nobody_answers_for_other_issuers(doors: RunningDoors, client: Client) -> None:
    """The root's key is not at hand; two issuers' certificates cannot be spoken for by one signer."""
    site = doors.site
    lamp = site.device("lamp-1")
    mine = cert_id(lamp.certificate.serial_number, lamp.chain[1])
    server = cert_id(5, site.issuer(Purpose.SERVERS))
    strange = cert_id(5, site.root)
    for asked in ((strange,), (mine, strange), (mine, server)):
        assert client.post(a_request(*asked)).failure is Failure.UNAUTHORIZED
    assert client.post(a_request(mine)).said.certificate_status is GOOD
    assert client.post(a_request(server)).said.certificate_status is UNKNOWN


def test_what_is_no_request_is_told_so(doors: RunningDoors, client: Client) -> None:
    lamp = doors.site.device("lamp-1")
    one = cert_id(lamp.certificate.serial_number, lamp.chain[1])
    for body in (b"", b"0", about(lamp) + b"0", a_request(*(OCSP_CERTIFICATES_MAX + 1) * [one])):
        assert client.post(body).failure is Failure.MALFORMED_REQUEST
    for path in ("/ocsp", "/ocsp/", "/ocsp/%", "/ocsp/MEQ", "/ocsp/" + "A" * 9000):
        assert client.send("GET", path).failure is Failure.MALFORMED_REQUEST
    assert client.post(a_request(*OCSP_CERTIFICATES_MAX * [one])).said.response_status is Failure.SUCCESSFUL


def test_a_body_that_is_too_long_is_not_read_to_its_end(doors: RunningDoors, client: Client) -> None:
    assert client.post(bytes(OCSP_REQUEST_BYTES_MAX + 1)).failure is Failure.MALFORMED_REQUEST


def test_http_is_used_as_it_should_be(doors: RunningDoors, client: Client) -> None:
    request = about(doors.site.device("lamp-1"))
    assert client.send("POST", "/ocsp", request, Content_Type="text/plain").status == 415
    refused = client.send("DELETE", "/ocsp")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, POST")
    assert client.send("GET", "/ocspx").status == 404


def test_a_deactivated_certificate_is_not_revoked(doors: RunningDoors, client: Client) -> None:
    lamp = doors.site.device("lamp-1")
    with change(doors.site.db, doors.site.clock, "operator:test") as changing:
        deactivate(changing, lamp.certificate_id)
    assert client.post(about(lamp)).said.certificate_status is GOOD


def test_a_revocation_says_when_and_why(doors: RunningDoors, client: Client) -> None:
    lamp = doors.site.device("lamp-1")
    doors.site.revoke(lamp, Reason.SUPERSEDED)
    said = client.post(about(lamp)).said
    assert said.certificate_status is REVOKED
    assert said.revocation_reason is x509.ReasonFlags.superseded
    assert said.revocation_time_utc == doors.site.clock.now().replace(microsecond=0)


def test_what_was_unknown_is_good_once_it_is_issued(doors: RunningDoors, client: Client) -> None:
    """Nobody may keep a serial number out by asking for it first."""
    before = client.post(a_request(cert_id(7, doors.site.issuer(Purpose.DEVICES)), nonce=b"1"))
    assert before.said.certificate_status is UNKNOWN
    lamp = doors.site.device("lamp-1")
    assert client.post(about(lamp)).said.certificate_status is GOOD


def test_an_answer_is_made_anew_after_half_its_life(doors: RunningDoors, client: Client, live_clock: FakeClock) -> None:
    request = about(doors.site.device("lamp-1"))
    first = client.get(request)
    live_clock.advance(VALIDITY / 2 - timedelta(seconds=2))
    assert client.get(request).body == first.body
    live_clock.advance(timedelta(seconds=3))
    second = client.get(request)
    assert second.said.this_update_utc == live_clock.now().replace(microsecond=0)
    # A clock that is set back makes no answer from the future.
    live_clock.advance(-VALIDITY)
    assert client.get(request).said.this_update_utc == live_clock.now().replace(microsecond=0)


def test_signers_are_renewed_ahead_and_never_outlived(
    doors: RunningDoors, client: Client, live_clock: FakeClock
) -> None:
    lamp = doors.site.device("lamp-1")
    request = about(lamp)
    (first,) = client.get(request).said.certificates
    assert signers(doors.site) == 1
    life = first.not_valid_after_utc - live_clock.now()
    assert life <= timedelta(hours=24)
    live_clock.advance(life * 3 / 4)
    assert client.get(request).said.certificates == [first]
    live_clock.advance(VALIDITY / 4)
    fresh = about(lamp, nonce=b"1")
    until(lambda: client.post(fresh).said.certificates != [first])
    assert signers(doors.site) == 2
    live_clock.advance(timedelta(days=2))
    reply = client.get(request).said
    assert reply.certificates[0].not_valid_after_utc > live_clock.now()
    assert signers(doors.site) == 3


@pytest.fixture
def forsaken(live_authority: TestAuthority, tmp_path: Path) -> Iterator[Client]:
    """A client of doors whose authority does not run."""
    doors = RunningDoors(live_authority, tmp_path / "bell", with_authority=False)
    client = Client(doors.public)
    yield client
    client.close()
    doors.close()


@pytest.mark.slow
def test_without_an_authority_who_asks_is_to_try_later(live_authority: TestAuthority, forsaken: Client) -> None:
    request = about(live_authority.device("lamp-1"))
    assert forsaken.post(request).failure is Failure.TRY_LATER
    # Whoever comes soon after is told so at once, and the authority is not asked again.
    assert forsaken.post(request).failure is Failure.TRY_LATER
    intended = [entry.data["profile"] for entry in entries(live_authority.db, "certificate.intended")]
    assert intended.count("ocsp-signer") == 1


def test_without_a_database_nothing_old_is_handed_out(doors: RunningDoors, client: Client) -> None:
    request = about(doors.site.device("lamp-1"))
    assert client.get(request).said.certificate_status is GOOD
    path = doors.site.db.path
    assert path is not None
    away = path.with_suffix(".away")
    path.rename(away)
    until(lambda: client.get(request).said.response_status is Failure.TRY_LATER)
    away.rename(path)
    until(lambda: client.get(request).said.response_status is Failure.SUCCESSFUL)
