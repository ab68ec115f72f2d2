import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from tests.fixtures.hierarchy import NOW

from troth.keys.file import generate
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.constraints import names_outside
from troth.x509.subjects import named_subject, parse_alternative_names

KEY = generate(KeyAlgorithm.P256)


def _certificate(extension: x509.ExtensionType | None, *, critical: bool = False) -> x509.Certificate:
    builder = x509.CertificateBuilder(named_subject("a"), named_subject("a"), KEY.public_key, 1, NOW, NOW)
    if extension:
        builder = builder.add_extension(extension, critical)
    return builder.sign(KEY.private_key, hashes.SHA256())


def _dns(*names: str) -> list[x509.GeneralName]:
    return [x509.DNSName(name) for name in names]


def _ip(*networks: str) -> list[x509.GeneralName]:
    return [x509.IPAddress(ipaddress.ip_network(network)) for network in networks]


@pytest.mark.parametrize(
    ("permitted", "excluded", "name", "free"),
    [
        (_dns("home.example"), [], "home.example", True),
        (_dns("home.example"), [], "HOME.example", True),
        (_dns("home.example"), [], "a.b.home.example", True),
        (_dns("home.example"), [], "*.home.example", True),
        (_dns("home.example"), [], "away-home.example", False),
        (_dns("home.example"), [], "example", False),
        (_dns(".home.example"), [], "a.home.example", True),
        (_dns("home.example"), [], "192.0.2.1", True),
        (_dns(""), [], "anything", True),
        (_ip("192.0.2.0/24"), [], "192.0.2.7", True),
        (_ip("192.0.2.0/24"), [], "192.0.3.7", False),
        (_ip("192.0.2.0/24"), [], "2001:db8::1", False),
        (_ip("192.0.2.0/24", "2001:db8::/32"), [], "2001:db8::1", True),
        (_ip("192.0.2.0/24"), [], "any.example", True),
        ([], _dns("home.example"), "a.home.example", False),
        ([], _dns("home.example"), "a.example", True),
        (_dns("example"), _dns("home.example"), "home.example", False),
        ([], _ip("0.0.0.0/0"), "192.0.2.1", False),
    ],
)
def test_a_name_is_free_or_outside(
    permitted: list[x509.GeneralName], excluded: list[x509.GeneralName], name: str, free: bool
) -> None:
    names = parse_alternative_names([name]) if name.islower() or ":" in name or name[0].isdigit() else _dns(name)
    issuer = _certificate(x509.NameConstraints(permitted or None, excluded or None), critical=True)
    leaf = _certificate(x509.SubjectAlternativeName(names))
    assert names_outside(leaf, issuer) == (() if free else tuple(names))


def test_without_constraints_or_names_nothing_is_outside() -> None:
    assert names_outside(_certificate(x509.SubjectAlternativeName(_dns("a"))), _certificate(None)) == ()
    assert names_outside(_certificate(None), _certificate(x509.NameConstraints(_dns("a"), None))) == ()


def _mail(*names: str) -> list[x509.GeneralName]:
    return [x509.RFC822Name(name) for name in names]


def _uri(*names: str) -> list[x509.GeneralName]:
    return [x509.UniformResourceIdentifier(name) for name in names]


def _directory(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(oid, value) for oid, value in parts]))


ACME = (NameOID.ORGANIZATION_NAME, "Acme  Lamps")
OTHER = x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))


@pytest.mark.parametrize(
    ("permitted", "excluded", "name", "free"),
    [
        (_mail("home.example"), [], _mail("a@home.example")[0], True),
        (_mail("home.example"), [], _mail("a@HOME.example")[0], True),
        (_mail("home.example"), [], _mail("a@b.home.example")[0], False),
        (_mail(".home.example"), [], _mail("a@b.home.example")[0], True),
        (_mail(".home.example"), [], _mail("a@home.example")[0], False),
        (_mail("a@home.example"), [], _mail("a@home.example")[0], True),
        (_mail("a@home.example"), [], _mail("A@home.example")[0], False),
        (_mail("home.example"), [], _dns("a.example")[0], True),
        ([], _mail("home.example"), _mail("a@home.example")[0], False),
        (_uri("home.example"), [], _uri("https://home.example:1/x")[0], True),
        (_uri("home.example"), [], _uri("https://a.home.example/x")[0], False),
        (_uri(".home.example"), [], _uri("https://a.home.example/x")[0], True),
        (_uri("home.example"), [], _uri("urn:home.example")[0], False),
        ([], _uri("other.example"), _uri("urn:home.example")[0], False),
        ([], _uri("other.example"), _uri("https://192.0.2.1/")[0], False),
        ([], _uri("other.example"), _uri("https://home.example/")[0], True),
        ([_directory(ACME)], [], _directory((ACME[0], "acme lamps"), (NameOID.COMMON_NAME, "a")), True),
        ([_directory(ACME)], [], _directory((NameOID.COMMON_NAME, "a"), ACME), False),
        ([], [_directory(ACME)], _directory(ACME), False),
        ([OTHER], [], OTHER, False),
        ([], [OTHER], OTHER, False),
        ([OTHER], [], _dns("a")[0], True),
    ],
)
def test_other_kinds_of_name(
    permitted: list[x509.GeneralName], excluded: list[x509.GeneralName], name: x509.GeneralName, free: bool
) -> None:
    issuer = _certificate(x509.NameConstraints(permitted or None, excluded or None), critical=True)
    leaf = _certificate(x509.SubjectAlternativeName([name]))
    outside = [each for each in names_outside(leaf, issuer) if each == name]
    assert outside == ([] if free else [name])


def test_the_subject_and_the_mail_address_in_it_are_names_too() -> None:
    issuer = _certificate(x509.NameConstraints(_mail("home.example"), [_directory((NameOID.COMMON_NAME, "a"))]))
    mail = (NameOID.EMAIL_ADDRESS, "a@other.example")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "b"), x509.NameAttribute(*mail)])
    leaf = x509.CertificateBuilder(subject, subject, KEY.public_key, 1, NOW, NOW).sign(KEY.private_key, hashes.SHA256())
    assert names_outside(leaf, issuer) == (x509.RFC822Name(mail[1]),)
    assert names_outside(_certificate(None), issuer) == (x509.DirectoryName(named_subject("a")),)
