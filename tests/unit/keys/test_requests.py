import subprocess

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from troth.errors import Fault, Kind
from troth.keys.file import FileKey, generate
from troth.keys.requests import build_request
from troth.x509.algorithms import KeyAlgorithm, PublicKey
from troth.x509.requests import parse_request


class TokenKey:
    """A key that can sign and show its public half, and nothing else: all that a token lets one do."""

    def __init__(self, key: FileKey) -> None:
        self.algorithm: KeyAlgorithm = key.algorithm
        self.public_key: PublicKey = key.public_key
        self.sign = key.sign


@pytest.mark.parametrize(
    "algorithm", [each for each in KeyAlgorithm if each not in {KeyAlgorithm.RSA3072, KeyAlgorithm.RSA4096}]
)
def test_a_request_proves_possession_with_any_key(algorithm: KeyAlgorithm) -> None:
    key = TokenKey(generate(algorithm))
    request = parse_request(build_request(key, "thermostat-1"))
    assert request.algorithm is algorithm
    assert request.public_key == key.public_key
    assert request.common_name == "thermostat-1"
    assert request.dns_names == ()


def test_a_server_asks_for_its_names() -> None:
    der = build_request(generate(KeyAlgorithm.P256), "home.example", ["home.example", "127.0.0.1"])
    assert parse_request(der).dns_names == ("home.example",)
    csr = x509.load_der_x509_csr(der)
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["home.example", "127.0.0.1"]


def test_a_thing_with_a_long_name_asks_for_a_uid() -> None:
    request = parse_request(build_request(generate(KeyAlgorithm.P256), "t" * 128))
    assert [part.oid for part in request.subject] == [NameOID.USER_ID]


@pytest.mark.parametrize(("name", "names"), [("", ()), ("a.b" * 30, ()), ("a", ("not a name",))])
def test_names_that_are_none_are_refused(name: str, names: tuple[str, ...]) -> None:
    with pytest.raises(Fault) as caught:
        build_request(generate(KeyAlgorithm.P256), name, names)
    assert caught.value.kind is Kind.MALFORMED


@pytest.mark.needs("openssl")
def test_openssl_reads_and_verifies_it() -> None:
    der = build_request(generate(KeyAlgorithm.P256), "home.example", ["home.example", "127.0.0.1"])
    command = ["openssl", "req", "-inform", "DER", "-verify", "-noout", "-text"]
    done = subprocess.run(command, input=der, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert b"verify OK" in done.stderr
    assert b"Subject: CN = home.example" in done.stdout
    assert b"DNS:home.example, IP Address:127.0.0.1" in done.stdout
