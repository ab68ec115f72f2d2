"""A CRL made with a key, its certificate and a request: it only ever grows, and nothing but a request makes one."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.fixtures.crl_lint import crl_findings

from troth.authority.status.elsewhere import (
    CRLRequest,
    Listed,
    MadeCRL,
    make_crl,
    parse_crl_request,
    render_crl_request,
)
from troth.errors import Fault, Kind, PeerFault
from troth.keys.file import FileKey, generate
from troth.limits import CRL_REQUEST_BYTES_MAX
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import certificate_id
from troth.x509.crl import Reason, parse_crl

YEAR = timedelta(days=365)


@pytest.fixture
def key(authority: TestAuthority) -> FileKey:
    return authority.cabinet.open(authority.hierarchy.root.key_name)


@pytest.fixture
def request_(authority: TestAuthority, clock: FakeClock) -> CRLRequest:
    at = clock.now().replace(microsecond=0)
    listed = (
        Listed(0xAB, at - timedelta(days=1), Reason.KEY_COMPROMISE, "devices-1"),
        Listed(7, at, Reason.UNSPECIFIED, "servers-1"),
    )
    return CRLRequest("root-1", certificate_id(authority.root), 4, listed)


def made(
    authority: TestAuthority, key: FileKey, request: CRLRequest, last: MadeCRL | None = None, valid: timedelta = YEAR
) -> MadeCRL:
    before = parse_crl(last.der) if last else None
    return make_crl(authority.root, key, request, before, now=authority.clock.now(), valid=valid)


def test_it_says_what_was_asked_for(authority: TestAuthority, key: FileKey, request_: CRLRequest) -> None:
    crl = made(authority, key, parse_crl_request(render_crl_request(request_)))
    parsed = parse_crl(crl.der)
    assert parsed.is_signature_valid(authority.root.public_key())  # type: ignore[arg-type]
    assert {entry.serial_number: entry.revocation_date_utc for entry in parsed} == {
        each.serial: each.revoked_at for each in request_.listed
    }
    assert crl.listed == tuple(sorted(request_.listed, key=lambda each: each.serial))
    assert (crl.number, parsed.next_update_utc) == (5, authority.clock.now().replace(microsecond=0) + YEAR)
    assert crl_findings(crl.der) == []
    ended = made(authority, key, request_, valid=100 * YEAR)
    assert ended.next_update == authority.root.not_valid_after_utc


def test_numbers_grow_by_whichever_is_higher(authority: TestAuthority, key: FileKey, request_: CRLRequest) -> None:
    # An empty one counts too.
    empty = made(authority, key, replace(request_, listed=(), number=0))
    assert empty.number == 1
    second = made(authority, key, replace(request_, listed=(), number=0), empty)
    assert (second.number, parse_crl(second.der).extensions.get_extension_for_class(x509.CRLNumber).value) == (
        2,
        x509.CRLNumber(2),
    )
    assert made(authority, key, request_, second).number == 5


def test_what_was_revoked_stays_so_with_its_date(
    authority: TestAuthority, key: FileKey, request_: CRLRequest, clock: FakeClock
) -> None:
    first = made(authority, key, request_)
    clock.advance(timedelta(days=30))
    other = Listed(0xAB, authority.clock.now().replace(microsecond=0), Reason.SUPERSEDED, "devices-1")
    for listed in ((), (other,)):
        again = made(authority, key, replace(request_, listed=listed), first)
        assert [replace(each, name="") for each in again.listed] == [replace(each, name="") for each in first.listed]


def test_what_does_not_fit_together_is_not_signed(
    authority: TestAuthority, key: FileKey, request_: CRLRequest, clock: FakeClock
) -> None:
    stranger = generate(KeyAlgorithm.P256)
    with pytest.raises(Fault) as caught:
        made(authority, stranger, request_)
    assert caught.value.kind is Kind.BAD_KEY
    with pytest.raises(Fault) as caught:
        made(authority, key, replace(request_, issuer_id="0" * 64))
    assert caught.value.kind is Kind.NOT_FOUND
    last = made(authority, key, request_)
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.root.subject)
    builder = builder.last_update(last.this_update).next_update(last.next_update)
    planted = builder.sign(stranger.private_key, hashes.SHA256())
    with pytest.raises(Fault) as caught:
        make_crl(authority.root, key, request_, planted, now=clock.now(), valid=YEAR)
    assert caught.value.kind is Kind.REJECTED
    clock.advance(timedelta(hours=-1))
    for listed in ((), request_.listed):
        with pytest.raises(Fault) as caught:
            made(authority, key, replace(request_, listed=listed), last if not listed else None)
        assert (caught.value.kind, "clock is behind" in caught.value.message) == (Kind.CONFLICT, True)
    clock.advance(timedelta(days=365 * 40))
    with pytest.raises(Fault) as caught:
        made(authority, key, request_)
    assert caught.value.kind is Kind.EXPIRED


def test_any_bytes_are_a_request_or_refused(request_: CRLRequest) -> None:
    data = render_crl_request(request_)
    for at in range(len(data)):
        for wrong in (data[:at], data[:at] + bytes((data[at] ^ 0x15,)) + data[at + 1 :]):
            try:
                parse_crl_request(wrong)
            except PeerFault as fault:
                assert fault.kind is Kind.MALFORMED  # noqa: PT017
    assert parse_crl_request(data) == request_


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"devices-1"', '"\\u001b[2Jdevices-1"'),
        ('"keyCompromise"', '"certificateHold"'),
        ('"ab"', '"7"'),
        ('"ab"', '"0"'),
        ('"number": 4', f'"number": {2**63}'),
        ('"number": 4', '"number": true'),
        ('Z"', '"'),
    ],
)
def test_what_no_request_says_is_refused(request_: CRLRequest, old: str, new: str) -> None:
    text = render_crl_request(request_).decode()
    assert old in text
    with pytest.raises(PeerFault) as caught:
        parse_crl_request(text.replace(old, new).encode())
    assert caught.value.kind is Kind.MALFORMED


def test_a_long_or_deep_request_is_not_read() -> None:
    for data, kind in [(b" " * (CRL_REQUEST_BYTES_MAX + 1), Kind.TOO_LARGE), (b"[" * 100_000, Kind.MALFORMED)]:
        with pytest.raises(PeerFault) as caught:
            parse_crl_request(data)
        assert caught.value.kind is kind
