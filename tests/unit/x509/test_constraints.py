import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.fixtures.hierarchy import NOW

from troth.errors import Kind, PeerFault
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


def test_constraints_of_another_kind_are_not_understood() -> None:
    issuer = _certificate(x509.NameConstraints([x509.RFC822Name("example")], None))
    with pytest.raises(PeerFault) as caught:
        names_outside(_certificate(x509.SubjectAlternativeName(_dns("a"))), issuer)
    assert caught.value.kind is Kind.UNSUPPORTED
