import contextlib
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.errors import Kind, PeerFault
from troth.keys.file import generate
from troth.keys.requests import build_request
from troth.limits import ALTERNATIVE_NAMES_MAX, CSR_BYTES_MAX
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.pem import render_pem
from troth.x509.requests import parse_request, proven_key
from troth.x509.subjects import thing_subject

KEY = generate(KeyAlgorithm.P256)
REQUEST = build_request(KEY, "thermostat-1", ["a.example", "192.0.2.1", "b.example"])


def _point() -> bytes:
    return KEY.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def _builder(common_name: str = "thermostat-1") -> x509.CertificateSigningRequestBuilder:
    return x509.CertificateSigningRequestBuilder(thing_subject(common_name))


@pytest.mark.parametrize(
    "data",
    [
        REQUEST,
        render_pem("CERTIFICATE REQUEST", REQUEST),
        render_pem("NEW CERTIFICATE REQUEST", REQUEST),
        b"Certificate Request:\n    Data:\n" + render_pem("CERTIFICATE REQUEST", REQUEST),
    ],
)
def test_a_request_is_read(data: bytes) -> None:
    request = parse_request(data)
    assert request.der == REQUEST
    assert request.digest == hashlib.sha256(REQUEST).hexdigest()
    assert request.public_key == KEY.public_key
    assert request.algorithm is KeyAlgorithm.P256
    assert request.subject == thing_subject("thermostat-1")
    assert request.common_name == "thermostat-1"
    assert request.dns_names == ("a.example", "b.example")


def test_a_request_may_name_nothing() -> None:
    csr = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(KEY.private_key, hashes.SHA256())
    request = parse_request(csr.public_bytes(Encoding.DER))
    assert request.common_name is None
    assert request.dns_names == ()


def test_two_common_names_are_none() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text) for text in ("a", "b")])
    csr = x509.CertificateSigningRequestBuilder(name).sign(KEY.private_key, hashes.SHA256())
    assert parse_request(csr.public_bytes(Encoding.DER)).common_name is None


def test_possession_of_the_key_must_be_proven() -> None:
    other = build_request(generate(KeyAlgorithm.P256), "thermostat-1", ["a.example", "192.0.2.1", "b.example"])
    # the key of one, everything else of the other
    point = _point()
    at = REQUEST.index(point)
    forged = other[:at] + point + other[at + 64 :]
    assert len(forged) == len(other)
    with pytest.raises(PeerFault) as caught:
        parse_request(forged)
    assert caught.value.kind is Kind.MALFORMED
    assert "proof of possession" in caught.value.message


def test_a_changed_name_undoes_the_proof() -> None:
    with pytest.raises(PeerFault) as caught:
        parse_request(REQUEST.replace(b"thermostat-1", b"thermostat-2"))
    assert "proof of possession" in caught.value.message


def _der(csr: x509.CertificateSigningRequest) -> bytes:
    return csr.public_bytes(Encoding.DER)


def test_a_signature_over_sha_1_is_refused() -> None:
    # OpenSSL makes none any more, so the hash is renamed in a good one: 1.2.840.10045.4.3.2 to 1.2.840.10045.4.1
    renamed = REQUEST.replace(bytes.fromhex("300a06082a8648ce3d040302"), bytes.fromhex("300906072a8648ce3d0401"))
    body = renamed[4:]
    with pytest.raises(PeerFault) as caught:
        parse_request(b"\x30\x82" + len(body).to_bytes(2, "big") + body)
    assert caught.value.kind is Kind.MALFORMED
    assert caught.value.hint == "use SHA-256"


@pytest.mark.parametrize(
    "der",
    [
        pytest.param(
            lambda: _der(_builder().sign(ec.generate_private_key(ec.SECP521R1()), hashes.SHA256())), id="P-521"
        ),
        pytest.param(
            lambda: _der(_builder().sign(ec.generate_private_key(ec.SECP256K1()), hashes.SHA256())), id="secp256k1"
        ),
        pytest.param(
            lambda: _der(_builder().sign(rsa.generate_private_key(65537, 1024), hashes.SHA256())), id="RSA-1024"
        ),
    ],
)
def test_a_weak_or_odd_key_is_refused(der: object) -> None:
    with pytest.raises(PeerFault) as caught:
        parse_request(der())  # type: ignore[operator]
    assert caught.value.kind is Kind.BAD_KEY
    assert caught.value.hint


def test_a_point_off_the_curve_is_refused() -> None:
    y = _point()[32:]
    with pytest.raises(PeerFault) as caught:
        parse_request(REQUEST.replace(y, y[:-1] + bytes([y[-1] ^ 1])))
    assert caught.value.kind in {Kind.BAD_KEY, Kind.MALFORMED}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", Kind.MALFORMED),
        (REQUEST + b"\0", Kind.MALFORMED),
        (REQUEST[:-1], Kind.MALFORMED),
        (REQUEST * 2, Kind.MALFORMED),
        (render_pem("CERTIFICATE REQUEST", REQUEST) * 2, Kind.TOO_LARGE),
        (render_pem("CERTIFICATE", REQUEST), Kind.MALFORMED),
        (render_pem("CERTIFICATE REQUEST", REQUEST + b"\0"), Kind.MALFORMED),
        (REQUEST + bytes(CSR_BYTES_MAX), Kind.TOO_LARGE),
        (b"-" * (2 * CSR_BYTES_MAX + 1), Kind.TOO_LARGE),
        (
            build_request(KEY, "many", [f"n{number}" for number in range(ALTERNATIVE_NAMES_MAX)])[:-2],
            Kind.MALFORMED,
        ),
    ],
)
def test_too_much_and_too_little_are_refused(data: bytes, kind: Kind) -> None:
    with pytest.raises(PeerFault) as caught:
        parse_request(data)
    assert caught.value.kind is kind


def test_names_are_bounded() -> None:
    names = [x509.DNSName(f"n{number}") for number in range(ALTERNATIVE_NAMES_MAX + 1)]
    csr = _builder().add_extension(x509.SubjectAlternativeName(names), critical=False)
    with pytest.raises(PeerFault) as caught:
        parse_request(_der(csr.sign(KEY.private_key, hashes.SHA256())))
    assert caught.value.kind is Kind.TOO_LARGE


@pytest.mark.filterwarnings("ignore:Attribute's length")
@pytest.mark.parametrize("name", ["", "n" * 65])
def test_a_common_name_out_of_bounds_is_refused(name: str) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False)])
    csr = x509.CertificateSigningRequestBuilder(subject).sign(KEY.private_key, hashes.SHA256())
    with pytest.raises(PeerFault) as caught:
        parse_request(_der(csr))
    assert caught.value.kind is Kind.MALFORMED


@settings(max_examples=300)
@given(data=st.data())
def test_any_change_to_the_bytes_is_refused(data: st.DataObject) -> None:
    der = bytearray(REQUEST)
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PeerFault):
        # what is read is what was sent, or differs in the signature's own bytes only
        request = parse_request(bytes(der))
        assert (request.public_key, request.common_name) == (KEY.public_key, "thermostat-1")


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PeerFault):
        parse_request(data)


@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384()])
def test_the_key_alone_is_read_with_the_same_proof(digest: hashes.SHA256 | hashes.SHA384) -> None:
    der = _der(_builder().sign(KEY.private_key, digest))
    key, request = proven_key(der), parse_request(der)
    assert (key.public_key, key.algorithm, key.info) == (
        request.public_key,
        request.algorithm,
        request.public_key_info,
    )


@given(st.integers(0, len(REQUEST) - 1), st.integers(1, 255))
@settings(max_examples=300)
def test_no_key_is_read_of_a_request_that_was_changed(at: int, flipped: int) -> None:
    changed = REQUEST[:at] + bytes((REQUEST[at] ^ flipped,)) + REQUEST[at + 1 :]
    with pytest.raises(PeerFault) as reading:
        parse_request(changed)
    with pytest.raises(PeerFault) as caught:
        proven_key(changed)
    assert (caught.value.kind, caught.value.message) == (reading.value.kind, reading.value.message)


@pytest.mark.parametrize("data", [b"", REQUEST[:-1], REQUEST + b"\x00", b"\x30\x00"])
def test_no_key_is_read_of_what_is_no_request(data: bytes) -> None:
    with pytest.raises(PeerFault):
        proven_key(data)
