"""OpenSSL, GnuTLS and NSS agree on OCSP answers: what is good, what is not, and which answer is not to be believed."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import RevokedError, ValidationError
from tests.fixtures.doors import RunningDoors
from tests.fixtures.ocsp_clients import READERS, Asked, Between, Verdict, asked, between, gnutls, openssl

from troth.authority.settle import issue
from troth.journal.change import change
from troth.keys.file import FileKey, generate
from troth.registry.states import hold, release
from troth.testing.authority import Held, TestAuthority, new_request
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.crl import Reason
from troth.x509.ocsp import (
    OCSPRequest,
    SingleResponse,
    assemble_response,
    build_response_data,
    good,
    parse_request,
    responder_id,
)
from troth.x509.profiles import Purpose

pytestmark = pytest.mark.needs("openssl", "ocsptool", "ocspclnt", "certutil", "faketime")

Reader = Callable[[Asked], Verdict]


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest) -> Reader:
    return READERS[request.param]


@pytest.fixture
def site(live_authority: TestAuthority, tmp_path: Path) -> Iterator[TestAuthority]:
    """A site whose certificates name its public door as it is."""
    doors = RunningDoors(live_authority, tmp_path / "bell", is_public=True)
    yield live_authority
    doors.close()


def question(site: TestAuthority, certificate: x509.Certificate, later: str | None = None) -> Asked:
    chain = (certificate, site.issuer(Purpose.DEVICES), site.root)
    return asked(f"{site.public_url}/ocsp", site.folder, chain, later)


def within_a_second(reader: Reader, asking: Asked, verdict: Verdict) -> None:
    """Ask until the answer is that. One that is kept is forgotten as the journal is read, not as it is written."""
    end = time.monotonic() + 1.0
    while reader(asking) is not verdict:
        assert time.monotonic() < end


def test_a_certificate_from_good_to_held_to_good_to_revoked(site: TestAuthority, reader: Reader) -> None:
    lamp = site.device("lamp-1")
    asking = question(site, lamp.certificate)
    assert reader(asking) is Verdict.GOOD
    with change(site.db, site.clock, "operator:test") as changing:
        hold(changing, lamp.certificate_id)
    within_a_second(reader, asking, Verdict.REVOKED)
    with change(site.db, site.clock, "operator:test") as changing:
        release(changing, lamp.certificate_id)
    within_a_second(reader, asking, Verdict.GOOD)
    site.revoke(lamp, Reason.KEY_COMPROMISE)
    within_a_second(reader, asking, Verdict.REVOKED)
    assert reader(question(site, site.device("lamp-2").certificate)) is Verdict.GOOD


def test_a_certificate_that_was_never_issued_is_unknown(site: TestAuthority, reader: Reader) -> None:
    assert reader(question(site, forged(site))) is Verdict.UNKNOWN


def test_an_answer_past_its_end_is_not_believed(site: TestAuthority, reader: Reader) -> None:
    lamp = site.device("lamp-1")
    assert reader(question(site, lamp.certificate, later="+40m")) is Verdict.GOOD
    assert reader(question(site, lamp.certificate, later="+26h")) is Verdict.REFUSED


def test_openssl_and_gnutls_get_their_nonces_back(site: TestAuthority) -> None:
    asking = question(site, site.device("lamp-1").certificate)
    assert openssl(asking, "-nonce", "-sha256") is Verdict.GOOD
    assert gnutls(asking, "--nonce") is Verdict.GOOD


def test_openssl_asks_about_several_at_once_by_either_hash(site: TestAuthority) -> None:
    lamp, lost = site.device("lamp-1"), site.device("lamp-2")
    site.revoke(lost)
    asking = question(site, lamp.certificate)
    other = question(site, lost.certificate).leaf
    said = asking.run(
        *("openssl", "ocsp", "-issuer", str(asking.issuer), "-cert", str(asking.leaf), "-sha256"),
        *("-cert", str(other), "-serial", "0x01", "-url", asking.url),
        *("-CAfile", str(asking.root), "-verify_other", str(asking.issuer)),
    )
    assert "Response verify OK" in said
    assert f"{asking.leaf}: good" in said
    assert f"{other}: revoked" in said
    assert "0x01: unknown" in said


def test_a_signed_request_is_answered_like_any_other(site: TestAuthority) -> None:
    lamp = site.device("lamp-1")
    asking = question(site, lamp.certificate)
    assert openssl(asking, "-signer", str(lamp.chain_file), "-signkey", str(lamp.key_file)) is Verdict.GOOD


@pytest.fixture
def middle(live_authority: TestAuthority, tmp_path: Path) -> Iterator[tuple[TestAuthority, Between]]:
    """A site whose certificates name somebody between it and the clients."""
    with between() as state:
        live_authority.public_url = state.url
        doors = RunningDoors(live_authority, tmp_path / "bell")
        state.responder = f"http://127.0.0.1:{doors.public}"
        yield live_authority, state
        doors.close()


def test_an_answer_that_was_tampered_with_is_not_believed(
    middle: tuple[TestAuthority, Between], reader: Reader
) -> None:
    site, state = middle
    lamp = site.device("lamp-1")
    site.revoke(lamp)
    asking = question(site, lamp.certificate)
    assert reader(asking) is Verdict.REVOKED
    at = b"\x0a\x01\x01"  # keyCompromise, which becomes certificateHold
    state.change = lambda _, answer: answer.replace(at, b"\x0a\x01\x06", 1)
    assert reader(asking) is Verdict.REFUSED
    state.change = lambda _, answer: answer[:-20] + bytes((answer[-20] ^ 1,)) + answer[-19:]
    assert reader(asking) is Verdict.REFUSED


def test_an_answer_of_a_wrong_signer_is_not_believed(middle: tuple[TestAuthority, Between], reader: Reader) -> None:
    site, state = middle
    lamp = site.device("lamp-1")
    asking = question(site, lamp.certificate)
    state.change = lambda asked_for, _: signed_by(asked_for, *signer(site, Purpose.DEVICES))
    assert reader(asking) is Verdict.GOOD
    state.change = lambda asked_for, _: signed_by(asked_for, lamp.certificate, lamp.key)
    assert reader(asking) is Verdict.REFUSED
    state.change = lambda asked_for, _: signed_by(asked_for, *signer(site, Purpose.SERVERS))
    assert reader(asking) is Verdict.REFUSED


def signer(site: TestAuthority, purpose: Purpose) -> tuple[x509.Certificate, FileKey]:
    """Return a signer that the issuer for `purpose` has certified."""
    key = generate(KeyAlgorithm.P256)
    certificate = issue(
        site.db,
        site.clock,
        site.door(),
        "operator:test",
        profile="ocsp-signer",
        request=new_request(key, "signer"),
        name="signer",
        method="test",
        proof={},
        public_url=site.public_url,
        issuer=site.hierarchy.issuing[purpose],
    )
    return certificate, key


def signed_by(request: OCSPRequest, certificate: x509.Certificate, key: FileKey) -> bytes:
    """Return the answer *good*, whoever signs it."""
    now = datetime.now(UTC)
    singles = [SingleResponse(each, good(), now, now + timedelta(hours=1)) for each in request.cert_ids]
    data = build_response_data(responder_id(certificate), now, singles, request.nonce)
    return assemble_response(data, key.algorithm, key.sign(data), certificate)


def forged(site: TestAuthority) -> x509.Certificate:
    """Return a certificate under the issuer's key that went through no door: like a device's, and not registered."""
    pattern = site.device("lamp-1").certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(pattern.subject)
        .issuer_name(pattern.issuer)
        .public_key(pattern.public_key())
        .serial_number(pattern.serial_number ^ 1)
        .not_valid_before(pattern.not_valid_before_utc)
        .not_valid_after(pattern.not_valid_after_utc)
    )
    for extension in pattern.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(site.cabinet.keys["keys/devices-1.key"].private_key, SHA256())


def test_pyhanko_certvalidator_judges_a_chain_by_our_answers(site: TestAuthority) -> None:
    lamp, lost, other = (site.device(f"lamp-{number}") for number in range(3))
    site.revoke(lost)
    assert by_hanko(site, lamp.certificate, answered(site, lamp)) is Verdict.GOOD
    assert by_hanko(site, lost.certificate, answered(site, lost)) is Verdict.REVOKED
    # Without an answer about it, or with one of a signer that may not, nothing is believed.
    assert by_hanko(site, lamp.certificate, answered(site, other)) is Verdict.REFUSED
    request = parse_request(request_about(site, lamp))
    assert by_hanko(site, lamp.certificate, signed_by(request, *signer(site, Purpose.DEVICES))) is Verdict.GOOD
    assert by_hanko(site, lamp.certificate, signed_by(request, lamp.certificate, lamp.key)) is Verdict.REFUSED


def by_hanko(site: TestAuthority, certificate: x509.Certificate, answer: bytes) -> Verdict:
    """Return what it makes of a device's certificate; the status of the issuer is for the root's CRL to tell."""
    leaf, issuer = (
        asn1_x509.Certificate.load(each.public_bytes(Encoding.DER))
        for each in (certificate, site.issuer(Purpose.DEVICES))
    )
    context = ValidationContext(
        trust_roots=[issuer],
        ocsps=[asn1_ocsp.OCSPResponse.load(answer)],
        allow_fetching=False,
        revocation_mode="hard-fail",
    )
    validator = CertificateValidator(leaf, validation_context=context)
    try:
        asyncio.run(validator.async_validate_usage({"digital_signature"}))
    except RevokedError:
        return Verdict.REVOKED
    except ValidationError:
        return Verdict.REFUSED
    return Verdict.GOOD


def request_about(site: TestAuthority, held: Held) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate(held.certificate, site.issuer(Purpose.DEVICES), SHA1())
    return builder.build().public_bytes(Encoding.DER)


def answered(site: TestAuthority, held: Held) -> bytes:
    """Return what the site's door says of a certificate."""
    kind = {"Content-Type": "application/ocsp-request"}
    with urlopen(Request(f"{site.public_url}/ocsp", request_about(site, held), kind), timeout=20) as reply:
        body: bytes = reply.read()
    return body
