"""EST bodies and credentials: what is written is read, what openssl writes is read, all else is the peer's fault."""

import base64
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.errors import Kind, OurFault, PeerFault
from troth.limits import EST_BODY_BYTES_MAX, EST_CERTIFICATES_MAX
from troth.protocols import est

VECTOR = Path(__file__).parent / "vectors" / "certs-only.b64"


def certificate(name: str) -> x509.Certificate:
    key = ed25519.Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .sign(key, None)
    )


def basic(text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return "Basic " + base64.b64encode(raw).decode()


@given(st.binary(min_size=1, max_size=200))
def test_a_body_is_read_back_with_white_space_anywhere(der: bytes) -> None:
    body = est.render_body(der)
    assert b"\n" not in body
    assert est.parse_body(body) == der
    assert est.parse_body(base64.encodebytes(der).replace(b"\n", b"\r\n")) == der
    assert est.parse_body(b"\t" + b" ".join(body[at : at + 1] for at in range(len(body))) + b"\n\n") == der


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \r\n",
        b"A",
        b"AA",  # no padding
        b"AA=",
        b"AA===",
        b"AB==",  # spare bits that are not zero
        b"AA==AA==",
        b"=AA=",
        b"AA-_",  # the other alphabet
        b"AAAA\0",
        b"AAAA\x0b",  # white space that base64 in EST does not have
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        b"\x30\x82\x01\x0a",
    ],
)
def test_what_is_not_base64_is_malformed(body: bytes) -> None:
    with pytest.raises(PeerFault) as caught:
        est.parse_body(body)
    assert caught.value.kind is Kind.MALFORMED
    assert caught.value.hint


def test_a_body_over_the_bound_is_refused_before_it_is_decoded() -> None:
    assert est.parse_body(b"A" * EST_BODY_BYTES_MAX)
    with pytest.raises(PeerFault) as caught:
        est.parse_body(b"\xff" * (EST_BODY_BYTES_MAX + 1))
    assert caught.value.kind is Kind.TOO_LARGE


@given(st.binary(max_size=100))
def test_any_body_is_bytes_or_a_fault(body: bytes) -> None:
    with suppress(PeerFault):
        assert est.render_body(est.parse_body(body)) == body.translate(None, b" \t\r\n")


def test_certificates_are_read_back_in_any_order() -> None:
    certificates = {certificate("thermostat-1"), certificate("Devices"), certificate("Root")}
    body = est.render_certificates(tuple(certificates))
    assert len(body.splitlines()) == 1
    assert set(est.parse_certificates(body)) == certificates


def test_certificates_that_openssl_wrote_are_read() -> None:
    names = {found.subject.rfc4514_string() for found in est.parse_certificates(VECTOR.read_bytes())}
    assert names == {"CN=Vector Root", "CN=thermostat-1"}


def test_more_certificates_than_a_chain_has_are_refused() -> None:
    one = certificate("x")
    many = [one] * (EST_CERTIFICATES_MAX + 1)
    assert len(est.parse_certificates(est.render_certificates(many[1:]))) == EST_CERTIFICATES_MAX
    with pytest.raises(PeerFault) as caught:
        est.parse_certificates(est.render_certificates(many))
    assert caught.value.kind is Kind.TOO_LARGE


def test_certificates_in_anything_but_der_are_refused_also_where_warnings_are_not_errors() -> None:
    der = pkcs7.serialize_certificates([certificate("x")], Encoding.DER)
    with warnings.catch_warnings(action="ignore"), pytest.raises(PeerFault):
        est.parse_certificates(est.render_body(der + b"\0"))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_certificates_are_certificates_or_a_fault(data: st.DataObject) -> None:
    der = bytearray(base64.b64decode(VECTOR.read_bytes()))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(0, 80), st.integers(0, len(der) - 1)))
        der[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    with suppress(PeerFault):
        est.parse_certificates(est.render_body(bytes(der)))


@pytest.mark.parametrize(
    ("header", "user", "password"),
    [
        (basic("thermostat-1:s3cret"), "thermostat-1", "s3cret"),
        (basic("line:7:pump:s3cret"), "line:7:pump", "s3cret"),  # a thing's name may have colons, a token has none
        (basic("é:日"), "é", "日"),
        ("bASIC  " + basic("a:b")[6:] + " ", "a", "b"),
    ],
)
def test_credentials_are_read(header: str, user: str, password: str) -> None:
    credentials = est.parse_credentials(header)
    assert credentials == est.Credentials(user, password)
    assert est.parse_credentials(est.render_credentials(credentials)) == credentials
    assert password not in repr(credentials)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("", Kind.UNAUTHENTICATED),
        ("Bearer abc", Kind.UNAUTHENTICATED),
        ("Basic", Kind.MALFORMED),
        ("Basic ", Kind.MALFORMED),
        ("Basic !", Kind.MALFORMED),
        ("Basic YTpi YTpi", Kind.MALFORMED),
        ("Basic é", Kind.MALFORMED),
        ("Basic \ud800", Kind.MALFORMED),
        (basic("nocolon"), Kind.MALFORMED),
        (basic(":b"), Kind.MALFORMED),
        (basic("a:"), Kind.MALFORMED),
        (basic(b"\xff:b"), Kind.MALFORMED),
        (basic("a\n:b"), Kind.MALFORMED),
        (basic("a\0:b"), Kind.MALFORMED),
        (basic("a" * 129 + ":" + "b" * 400), Kind.TOO_LARGE),
    ],
)
def test_what_are_no_credentials_is_refused(header: str, kind: Kind) -> None:
    with pytest.raises(PeerFault) as caught:
        est.parse_credentials(header)
    assert caught.value.kind is kind


@given(st.text(max_size=40) | st.text(max_size=40).map(lambda text: "Basic " + text) | st.binary().map(basic))
def test_any_header_is_credentials_or_a_fault(header: str) -> None:
    with suppress(PeerFault):
        est.parse_credentials(header)


@pytest.mark.parametrize(("user", "password"), [("", "b"), ("a", ""), ("a", "b:c"), ("a\n", "b"), ("a", "\ud800")])
def test_credentials_that_could_not_be_read_back_are_not_written(user: str, password: str) -> None:
    with pytest.raises(OurFault):
        est.render_credentials(est.Credentials(user, password))
