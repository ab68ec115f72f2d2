"""The parts of OCSP's door that need no socket: its table of faults, and how much it keeps."""

import asyncio
import base64
from urllib.parse import quote

import pytest
from cryptography.x509 import ocsp
from starlette.types import Message
from tests.fixtures.issuance import authority, born_site, clock, entries

from troth.authority.issue import CERTIFICATE_REFUSED
from troth.authority.settle import settle_waiting
from troth.enrollment.conclusions import Conclusions
from troth.errors import Fault, Kind
from troth.gateway.http.ocsp import RESPONSE_STATUSES, OCSPDoor
from troth.gateway.http.ocsp_answers import Answer, Answers
from troth.journal.record import Entry
from troth.journal.tail import read_after
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.der import OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, integer, tlv
from troth.x509.ocsp import ResponseStatus, issuer_digests, parse_request
from troth.x509.profiles import Purpose

__all__ = ["authority", "born_site", "clock"]

KEPT = 4


def test_every_kind_of_fault_has_its_answer() -> None:
    assert set(RESPONSE_STATUSES) == set(Kind)
    assert ResponseStatus.SUCCESSFUL not in RESPONSE_STATUSES.values()


def a_request(site: TestAuthority, serial: int, algorithm: int = 1) -> bytes:
    """Return a request by SHA-1 (0) or SHA-256 (1)."""
    digests = issuer_digests(site.issuer(Purpose.DEVICES))[algorithm]
    hashed = tlv(SEQUENCE, tlv(OBJECT_IDENTIFIER, digests.algorithm))
    named = tlv(OCTET_STRING, digests.name_hash), tlv(OCTET_STRING, digests.key_hash)
    asked = tlv(SEQUENCE, tlv(SEQUENCE, hashed, *named, integer(serial)))
    return tlv(SEQUENCE, tlv(SEQUENCE, tlv(SEQUENCE, asked)))


class Responder:
    """Answers in this event loop, fed by hand, with an authority beside them."""

    def __init__(self, site: TestAuthority) -> None:
        self.site = site
        self.conclusions = Conclusions()
        self.position = 0
        self.answers = Answers(site.db, site.clock, site.public_url, self.conclusions, self._settle, kept_max=KEPT)

    def _settle(self) -> None:
        """Do at the ring what the authority's process does."""
        settle_waiting(self.site.db, self.site.clock, self.site.door())

    def feed(self) -> list[Entry]:
        read = read_after(self.site.db, self.position)
        if read:
            self.position = read[-1].number
            self.answers.apply(read)
        return read

    async def ask(self, request: bytes) -> Answer:
        return self.answers.find(request) or await self.answers.make(request, parse_request(request))


def test_no_more_is_kept_than_may_be(authority: TestAuthority) -> None:
    lamps = [authority.device(f"lamp-{number}") for number in range(KEPT + 3)]
    requests = [a_request(authority, lamp.certificate.serial_number) for lamp in lamps]

    async def run() -> None:
        responder = Responder(authority)
        await responder.answers.load()
        first = [await responder.ask(request) for request in requests]
        assert len(responder.answers._kept) == len(responder.answers._statuses) == KEPT
        # The last asked for have stayed; the first is made anew.
        assert await responder.ask(requests[-1]) is first[-1]
        assert await responder.ask(requests[0]) is not first[0]
        for serial in range(2, 50):
            await responder.ask(a_request(authority, serial))
        assert await responder.ask(requests[-1]) is first[-1], "serial numbers made up push nothing out"
        await responder.answers.close()

    asyncio.run(run())


def test_a_change_touches_its_own_certificate_alone(authority: TestAuthority) -> None:
    lamp, other = authority.device("lamp-1"), authority.device("lamp-2")
    requests = [a_request(authority, each.certificate.serial_number) for each in (lamp, other)]

    async def run() -> None:
        responder = Responder(authority)
        await responder.answers.load()
        responder.feed()
        first = [await responder.ask(request) for request in requests]
        responder.feed()
        authority.revoke(lamp)
        assert [await responder.ask(request) for request in requests] == first, "not heard of yet"
        responder.feed()
        assert (await responder.ask(requests[0])).body != first[0].body
        assert await responder.ask(requests[1]) is first[1]
        await responder.answers.close()

    asyncio.run(run())


def test_a_look_at_the_database_that_is_behind_the_journal_says_nothing(
    authority: TestAuthority, clock: FakeClock
) -> None:
    """What has been heard of may not be seen yet by a look that began before: an answer made of it would be a lie."""
    request = a_request(authority, authority.device("lamp-1").certificate.serial_number)

    async def run() -> None:
        responder = Responder(authority)
        await responder.answers.load()
        last = len(responder.feed())
        responder.answers.apply([Entry(last + 1000, clock.now(), "test", "thing.created", "x", {})])
        with pytest.raises(Fault) as caught:
            await responder.ask(request)
        assert caught.value.kind is Kind.UNAVAILABLE
        await responder.answers.close()

    asyncio.run(run())


async def post(door: OCSPDoor, request: bytes) -> ocsp.OCSPResponse:
    """Return what the door answers to a POST."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": request}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/ocsp-request")]
    await door({"type": "http", "method": "POST", "path": "/ocsp", "headers": headers}, receive, send)
    return ocsp.load_der_ocsp_response(sent[1]["body"])


def test_what_is_kept_is_not_handed_out_where_changes_may_have_been_missed(authority: TestAuthority) -> None:
    request = a_request(authority, authority.device("lamp-1").certificate.serial_number)
    plain = f"GET /ocsp/{quote(base64.b64encode(request), safe='')} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    posted = (
        b"POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Type: application/ocsp-request\r\nContent-Length: %d\r\n\r\n%s"
        % (len(request), request)
    )

    async def run() -> None:
        responder = Responder(authority)
        await responder.answers.load()
        is_current = True
        door = OCSPDoor(responder.answers, lambda: is_current, nothing_more)
        assert (await post(door, request)).certificate_status is ocsp.OCSPCertStatus.GOOD
        assert door.at_a_glance(plain, b"") == door.at_a_glance(posted, b"") is not None
        is_current = False
        assert (await post(door, request)).response_status is ocsp.OCSPResponseStatus.TRY_LATER
        assert door.at_a_glance(plain, b"") is door.at_a_glance(posted, b"") is None
        await responder.answers.close()

    asyncio.run(run())


async def nothing_more() -> None:
    """There is nothing that has not been heard of."""


def test_nothing_is_signed_before_the_journal_has_nothing_more_to_tell(authority: TestAuthority) -> None:
    """The state may be kept although the answer is not, as with nonces: whoever asks right after a revocation."""
    lamp = authority.device("lamp-1")
    first, second = (a_request(authority, lamp.certificate.serial_number, algorithm) for algorithm in (0, 1))

    async def run() -> None:
        responder = Responder(authority)
        await responder.answers.load()

        async def catch_up() -> None:
            responder.feed()

        door = OCSPDoor(responder.answers, lambda: True, catch_up)
        assert (await post(door, first)).certificate_status is ocsp.OCSPCertStatus.GOOD
        authority.revoke(lamp)
        assert (await post(door, second)).certificate_status is ocsp.OCSPCertStatus.REVOKED
        await responder.answers.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("kind", "is_kept"),
    [
        ("certificate.forgotten", False),
        ("issuer.retired", False),
        (CERTIFICATE_REFUSED, True),
        ("thing.created", True),
        ("policy.updated", True),
    ],
)
def test_an_entry_that_names_no_certificate_touches_all_or_none(
    authority: TestAuthority, clock: FakeClock, kind: str, is_kept: bool
) -> None:
    """What is not known may have changed anything; what strangers can cause at will must not."""
    request = a_request(authority, authority.device("lamp-1").certificate.serial_number)

    async def run() -> None:
        responder = Responder(authority)
        await responder.answers.load()
        first = await responder.ask(request)
        last = entries(authority.db, "certificate.issued")[-1].number
        responder.answers.apply([Entry(last + 1, clock.now(), "test", kind, "x", {"issuer_id": "y"})])
        assert (responder.answers.find(request) is first) is is_kept
        await responder.answers.close()

    asyncio.run(run())
