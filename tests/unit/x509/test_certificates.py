import contextlib
import hashlib
import ipaddress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixtures.hierarchy import Maker, remade

from troth.errors import Kind, PeerFault
from troth.limits import CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX
from troth.x509.certificates import (
    attributes,
    certificate_id,
    parse_certificate,
    parse_chain,
    render_chain,
    serial_text,
    subject_text,
)


def test_one_certificate_is_read_in_both_forms(maker: Maker) -> None:
    leaf = maker.device().certificate
    der = leaf.public_bytes(Encoding.DER)
    assert parse_certificate(der) == leaf
    assert parse_certificate(leaf.public_bytes(Encoding.PEM)) == leaf
    assert certificate_id(leaf) == hashlib.sha256(der).hexdigest()
    assert int(serial_text(leaf), 16) == leaf.serial_number
    assert subject_text(leaf.subject) == "CN=thermostat-1"


def test_a_chain_keeps_its_order(maker: Maker) -> None:
    chain = (maker.device().certificate, maker.devices.certificate, maker.root.certificate)
    assert parse_chain(render_chain(chain)) == chain


def test_bounds_hold(maker: Maker) -> None:
    pem = maker.root.certificate.public_bytes(Encoding.PEM)
    assert len(parse_chain(pem * CHAIN_CERTIFICATES_MAX)) == CHAIN_CERTIFICATES_MAX
    for parse, data in (
        (parse_chain, pem * (CHAIN_CERTIFICATES_MAX + 1)),
        (parse_certificate, pem * 2),
        (parse_certificate, b"\x30\x82" + bytes(CERTIFICATE_BYTES_MAX)),
        (parse_certificate, b"-" * (3 * CERTIFICATE_BYTES_MAX)),
    ):
        with pytest.raises(PeerFault) as caught:
            parse(data)
        assert caught.value.kind is Kind.TOO_LARGE


def test_bytes_behind_the_end_are_refused(maker: Maker) -> None:
    with pytest.raises(PeerFault) as caught:
        parse_certificate(maker.root.certificate.public_bytes(Encoding.DER) + b"\0")
    assert caught.value.kind is Kind.MALFORMED


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize("changes", [{"serial": 0}, {"serial": -5}, {"version": 0}, {"version": 1}])
def test_a_serial_number_or_version_that_cannot_be_is_refused(maker: Maker, changes: dict[str, Any]) -> None:
    with pytest.raises(PeerFault) as caught:
        parse_certificate(remade(maker.root.certificate, **changes))
    assert caught.value.kind is Kind.MALFORMED


def test_no_certificate_has_two_ids(maker: Maker) -> None:
    """How many bits are unused is not signed. OpenSSL refuses what cryptography reads and verifies."""
    made = (maker.device().certificate for _ in range(100))
    # Bits that are said to be unused must be zero.
    leaf = next(each for each in made if each.signature[-1] % 2 == 0)
    der = bytearray(leaf.public_bytes(Encoding.DER))
    der[len(der) - len(leaf.signature) - 1] = 1
    assert x509.load_der_x509_certificate(bytes(der)).signature == leaf.signature
    with pytest.raises(PeerFault) as caught:
        parse_certificate(bytes(der))
    assert caught.value.kind is Kind.MALFORMED


def test_an_extension_that_stands_twice_is_refused(maker: Maker) -> None:
    der = maker.root.certificate.public_bytes(Encoding.DER)
    basic, usage = bytes.fromhex("0603551d13"), bytes.fromhex("0603551d0f")
    assert basic in der
    with pytest.raises(PeerFault):
        parse_certificate(der.replace(basic, usage))


@settings(max_examples=200)
@given(data=st.data())
def test_any_change_to_the_bytes_is_read_or_refused(maker: Maker, data: st.DataObject) -> None:
    der = bytearray(maker.root.certificate.public_bytes(Encoding.DER))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PeerFault):
        attributes(parse_certificate(bytes(der)))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PeerFault):
        parse_certificate(data)


def _name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def test_attributes_are_raw_whole_and_in_order(maker: Maker) -> None:
    subject = _name(
        (NameOID.COUNTRY_NAME, "US"),
        (NameOID.ORGANIZATION_NAME, "Acme, Inc."),
        (NameOID.LOCALITY_NAME, "not a variable"),
        (NameOID.COMMON_NAME, "first"),
        (NameOID.COMMON_NAME, "second"),
        (NameOID.DN_QUALIFIER, "B001"),
        (NameOID.STATE_OR_PROVINCE_NAME, "NY"),
        (NameOID.SERIAL_NUMBER, "123"),
        (NameOID.SURNAME, "Multi"),
        (NameOID.GIVEN_NAME, "Bulb"),
        (NameOID.INITIALS, "ZZ"),
        (NameOID.GENERATION_QUALIFIER, "4"),
        (NameOID.PSEUDONYM, "Glow"),
        (NameOID.TITLE, "RGB"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Bulbs"),
        *[(NameOID.ORGANIZATIONAL_UNIT_NAME, f"u{number}") for number in range(6)],
    )
    inner = _name(
        (NameOID.COUNTRY_NAME, "US"),
        (NameOID.ORGANIZATION_NAME, 'La"mps=+;<>\\, x'),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Home"),
        (NameOID.COMMON_NAME, "LampCert"),
    )
    names = [
        x509.DNSName("a.example"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.4")),
        x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
        x509.UniformResourceIdentifier("urn:dev:1"),
        x509.RFC822Name("dev@example.com"),
        x509.DirectoryName(inner),
        x509.DNSName("b.example"),
        x509.RegisteredID(NameOID.COMMON_NAME),
    ]
    key = maker.root.key
    certificate = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=inner)
        .public_key(key.public_key)
        .serial_number(0x921285CBB7A5E086)
        .not_valid_before(maker.now)
        .not_valid_after(maker.now)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.IssuerAlternativeName(names[:1]), critical=False)
        .sign(key.private_key, hashes.SHA256())
    )
    found = attributes(certificate)
    assert found.certificate_id == certificate_id(certificate)
    assert found.serial_number == "10525622389124227206"
    assert dict(found.subject) == {
        "Country": ("US",),
        "Organization": ("Acme, Inc.",),
        "CommonName": ("first", "second"),
        "DistinguishedNameQualifier": ("B001",),
        "State": ("NY",),
        "SerialNumber": ("123",),
        "Surname": ("Multi",),
        "GivenName": ("Bulb",),
        "Initials": ("ZZ",),
        "GenerationQualifier": ("4",),
        "Pseudonym": ("Glow",),
        "Title": ("RGB",),
        "OrganizationalUnit": ("Bulbs", "u0", "u1", "u2", "u3", "u4", "u5"),
    }
    assert found.issuer["Organization"] == ('La"mps=+;<>\\, x',)
    assert dict(found.san) == {
        "DNSName": ("a.example", "b.example"),
        "IPAddress": ("192.0.2.4", "2001:db8::1"),
        "UniformResourceIdentifier": ("urn:dev:1",),
        "RFC822Name": ("dev@example.com",),
        "DirectoryName": ('cn=LampCert,ou=Home,o=La\\"mps\\=\\+\\;\\<\\>\\\\\\, x,c=US',),
    }
    assert dict(found.issuer_alternative_name) == {"DNSName": ("a.example",)}


def test_a_certificate_without_alternative_names_has_none(maker: Maker) -> None:
    found = attributes(maker.device().certificate)
    assert dict(found.san) == {}
    assert dict(found.subject) == {"CommonName": ("thermostat-1",)}
    assert dict(found.issuer) == {"CommonName": ("home.example devices CA 1",)}
