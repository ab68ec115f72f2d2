"""OCSP requests of every kind and of none; answers read by `cryptography`, and looked through by pkilint."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.hierarchy import Maker, Signed
from tests.fixtures.ocsp_lint import ocsp_findings

from troth.errors import Kind, PeerFault
from troth.keys.file import generate
from troth.limits import OCSP_CERTIFICATES_MAX, OCSP_NONCE_BYTES_MAX, OCSP_REQUEST_BYTES_MAX
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.crl import Reason
from troth.x509.der import BOOLEAN, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, constructed, integer, tlv
from troth.x509.ocsp import (
    CertStatus,
    OCSPRequest,
    ResponseStatus,
    SingleResponse,
    assemble_response,
    build_response_data,
    failed_response,
    good,
    issuer_digests,
    parse_request,
    responder_id,
    revoked,
    unknown,
)
from troth.x509.subjects import named_subject

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NONCE = bytes.fromhex("06092b0601050507300102")[2:]
ARCHIVE = bytes.fromhex("2b0601050507300106")


def a_request(certificate: x509.Certificate, issuer: x509.Certificate, *extensions: x509.ExtensionType) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256())
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.build().public_bytes(Encoding.DER)


def cert_id(serial: int = 5, algorithm: bytes = b"\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00") -> bytes:
    return tlv(SEQUENCE, algorithm, tlv(OCTET_STRING, bytes(20)), tlv(OCTET_STRING, bytes(20)), integer(serial))


def extension(oid: bytes, value: bytes, *critical: bytes) -> bytes:
    return tlv(SEQUENCE, tlv(OBJECT_IDENTIFIER, oid), *critical, tlv(OCTET_STRING, value))


def request(*cert_ids: bytes, before: bytes = b"", after: bytes = b"", signature: bytes = b"") -> bytes:
    asked = (tlv(SEQUENCE, each) for each in cert_ids or (cert_id(),))
    return tlv(SEQUENCE, tlv(SEQUENCE, before, tlv(SEQUENCE, *asked), after), signature)


def extensions(*values: bytes) -> bytes:
    return tlv(constructed(2), tlv(SEQUENCE, *values))


def test_a_request_is_read(maker: Maker) -> None:
    lamp, issuer = maker.device(), maker.devices.certificate
    read = parse_request(a_request(lamp.certificate, issuer, x509.OCSPNonce(bytes(16))))
    (asked,) = read.cert_ids
    assert asked.serial == lamp.certificate.serial_number
    assert asked.issuer == issuer_digests(issuer)[1]
    assert asked.issuer.name_hash == hashlib.sha256(issuer.subject.public_bytes()).digest()
    # What the builder puts into the extension is the nonce as it is: RFC 8954 has it in an OCTET STRING of its own.
    assert read.nonce is None or len(read.nonce) == 16


def test_several_certificates_in_the_order_asked_for() -> None:
    read = parse_request(request(*(cert_id(serial) for serial in range(1, OCSP_CERTIFICATES_MAX + 1))))
    assert [each.serial for each in read.cert_ids] == list(range(1, OCSP_CERTIFICATES_MAX + 1))
    with pytest.raises(PeerFault) as caught:
        parse_request(request(*(cert_id(serial) for serial in range(1, OCSP_CERTIFICATES_MAX + 2))))
    assert caught.value.kind is Kind.TOO_LARGE


@pytest.mark.parametrize("count", [1, 16, 32, OCSP_NONCE_BYTES_MAX])
def test_a_nonce_of_any_length_that_the_rfc_allows(count: int) -> None:
    nonce = bytes(range(count))
    assert parse_request(request(after=extensions(extension(NONCE, tlv(OCTET_STRING, nonce))))).nonce == nonce


def test_what_decides_nothing_is_passed_over() -> None:
    name = tlv(constructed(1), tlv(constructed(4), x509.Name([]).public_bytes()))
    read = parse_request(
        request(
            before=tlv(constructed(0), integer(0)) + name,
            after=extensions(extension(ARCHIVE, b"x"), extension(ARCHIVE, b"x", tlv(BOOLEAN, b"\x00"))),
            signature=tlv(constructed(0), b"whatever"),
        )
    )
    assert read == OCSPRequest(read.cert_ids, None, is_signed=True)
    with_one = cert_id() + tlv(constructed(0), tlv(SEQUENCE, extension(ARCHIVE, b"")))
    assert len(parse_request(request(with_one)).cert_ids) == 1


REFUSED: dict[str, bytes] = {
    "nothing": b"",
    "no certificate": tlv(SEQUENCE, tlv(SEQUENCE, tlv(SEQUENCE))),
    "another version": request(before=tlv(constructed(0), integer(1))),
    "an empty nonce": request(after=extensions(extension(NONCE, tlv(OCTET_STRING)))),
    "a nonce too long": request(after=extensions(extension(NONCE, tlv(OCTET_STRING, bytes(OCSP_NONCE_BYTES_MAX + 1))))),
    "a nonce that is no octet string": request(after=extensions(extension(NONCE, b"12345678"))),
    "a nonce with more behind it": request(after=extensions(extension(NONCE, tlv(OCTET_STRING, b"1") + b"2"))),
    "two nonces": request(after=extensions(*2 * [extension(NONCE, tlv(OCTET_STRING, b"1"))])),
    "a critical extension": request(after=extensions(extension(ARCHIVE, b"", tlv(BOOLEAN, b"\xff")))),
    "a critical extension of one": request(
        cert_id() + tlv(constructed(0), tlv(SEQUENCE, extension(ARCHIVE, b"", tlv(BOOLEAN, b"\xff"))))
    ),
    "bytes behind it": request() + b"\x00",
    "bytes behind the certificates": request(after=b"\x05\x00"),
    "bytes behind the signature": request(signature=tlv(constructed(0)) + b"\x05\x00"),
    "a serial number with a leading zero": request(cert_id()[:-3] + b"\x02\x02\x00\x05"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_no_request_is_refused(why: str) -> None:
    with pytest.raises(PeerFault) as caught:
        parse_request(REFUSED[why])
    assert caught.value.kind is Kind.MALFORMED


def test_a_request_has_a_bound() -> None:
    padding = OCSP_REQUEST_BYTES_MAX - len(request(signature=tlv(constructed(0), bytes(1000)))) + 1000
    assert parse_request(request(signature=tlv(constructed(0), bytes(padding)))).is_signed
    with pytest.raises(PeerFault) as caught:
        parse_request(request(signature=tlv(constructed(0), bytes(padding + 1))))
    assert caught.value.kind is Kind.TOO_LARGE


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_a_fault(data: bytes) -> None:
    with suppress(PeerFault):
        parse_request(data)


@given(st.data())
def test_a_request_with_one_octet_changed_is_a_request_or_a_fault(data: st.DataObject) -> None:
    whole = bytearray(request(cert_id(), cert_id(7), after=extensions(extension(NONCE, tlv(OCTET_STRING, b"1234")))))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    with suppress(PeerFault):
        read = parse_request(bytes(whole))
        assert all(each.der in whole for each in read.cert_ids)


@pytest.fixture(scope="module")
def signer(maker: Maker) -> Signed:
    """A signer of OCSP answers, certified by the issuer of devices."""
    key = generate(KeyAlgorithm.P256)
    template = maker.template(
        maker.profiles["ocsp-signer"], named_subject("OCSP for devices-1"), key, maker.devices.certificate
    )
    return Signed(maker.sign(template, maker.devices.key), key)


def answer(asked: OCSPRequest, signer: Signed, statuses: Sequence[CertStatus], nonce: bytes | None = None) -> bytes:
    singles = [
        SingleResponse(each, status, NOW, NOW + timedelta(hours=1))
        for each, status in zip(asked.cert_ids, statuses, strict=True)
    ]
    data = build_response_data(responder_id(signer.certificate), NOW, singles, nonce)
    return assemble_response(data, signer.key.algorithm, signer.key.sign(data), signer.certificate)


def asked_about(lamp: Signed, issuer: Signed, count: int = 1) -> OCSPRequest:
    (one,) = parse_request(a_request(lamp.certificate, issuer.certificate)).cert_ids
    return OCSPRequest((one,) * count, None, is_signed=False)


STATES: dict[str, tuple[Callable[[], CertStatus], ocsp.OCSPCertStatus, x509.ReasonFlags | None]] = {
    "good": (good, ocsp.OCSPCertStatus.GOOD, None),
    "unknown": (unknown, ocsp.OCSPCertStatus.UNKNOWN, None),
} | {
    reason.value: (
        lambda reason=reason: revoked(NOW - timedelta(days=1, microseconds=5), reason),  # type: ignore[misc]
        ocsp.OCSPCertStatus.REVOKED,
        None if reason is Reason.UNSPECIFIED else x509.ReasonFlags(reason.value),
    )
    for reason in Reason
    if reason is not Reason.REMOVE_FROM_CRL
}


@pytest.mark.parametrize("state", STATES)
def test_cryptography_reads_the_state(state: str, maker: Maker, signer: Signed) -> None:
    status, said, reason = STATES[state]
    lamp = maker.device()
    der = answer(asked_about(lamp, maker.devices), signer, [status()])
    read = ocsp.load_der_ocsp_response(der)
    assert read.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
    assert read.certificate_status is said
    assert read.revocation_reason is reason
    is_revoked = said is ocsp.OCSPCertStatus.REVOKED
    assert read.revocation_time_utc == (NOW - timedelta(days=1, seconds=1) if is_revoked else None)
    assert read.serial_number == lamp.certificate.serial_number
    assert (read.this_update_utc, read.next_update_utc) == (NOW, NOW + timedelta(hours=1))
    assert read.certificates == [signer.certificate]
    assert read.responder_name is None
    public_key = signer.key.public_key
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    public_key.verify(read.signature, read.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
    assert ocsp_findings(der) == []


def test_a_nonce_comes_back(maker: Maker, signer: Signed) -> None:
    nonce = bytes(range(OCSP_NONCE_BYTES_MAX))
    der = answer(asked_about(maker.device(), maker.devices), signer, [good()], nonce)
    read = ocsp.load_der_ocsp_response(der)
    assert read.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == tlv(OCTET_STRING, nonce) or (
        read.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
    )
    assert ocsp_findings(der) == []


def test_several_certificates_in_one_answer(maker: Maker, signer: Signed) -> None:
    der = answer(asked_about(maker.device(), maker.devices, 2), signer, [good(), revoked(NOW, Reason.SUPERSEDED)])
    states = [each.certificate_status for each in ocsp.load_der_ocsp_response(der).responses]
    assert states == [ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED]
    assert ocsp_findings(der) == []


def test_failures_are_five_octets() -> None:
    for status in ResponseStatus:
        if status is not ResponseStatus.SUCCESSFUL:
            der = failed_response(status)
            assert len(der) == 5
            assert ocsp.load_der_ocsp_response(der).response_status.value == status
            assert ocsp_findings(der) == []
