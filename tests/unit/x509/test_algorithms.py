import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa

from troth.errors import Fault, Kind
from troth.keys.file import generate
from troth.x509.algorithms import KeyAlgorithm, algorithm_of


@pytest.mark.parametrize("algorithm", [each for each in KeyAlgorithm if not each.startswith("RSA")])
def test_a_key_is_known_by_its_algorithm(algorithm: KeyAlgorithm) -> None:
    assert algorithm_of(generate(algorithm).public_key) is algorithm


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(lambda: ec.generate_private_key(ec.SECP521R1()), id="P-521"),
        pytest.param(lambda: ec.generate_private_key(ec.SECP256K1()), id="secp256k1"),
        pytest.param(ed448.Ed448PrivateKey.generate, id="Ed448"),
        pytest.param(lambda: dsa.generate_private_key(1024), id="DSA"),
        pytest.param(lambda: rsa.generate_private_key(65537, 1024), id="RSA-1024"),
        pytest.param(lambda: rsa.generate_private_key(65537, 1536), id="RSA-1536"),
        pytest.param(lambda: rsa.generate_private_key(3, 2048), id="RSA with exponent 3"),
    ],
)
def test_any_other_key_is_refused(key: object) -> None:
    with pytest.raises(Fault) as caught:
        algorithm_of(key().public_key())  # type: ignore[operator]
    assert caught.value.kind is Kind.BAD_KEY


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(Fault) as caught:
        algorithm_of("a key")
    assert caught.value.kind is Kind.BAD_KEY
