"""A key file that would cost more to open than the bounds allow is refused before anything is paid."""

import re
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat import asn1

from troth.errors import Fault, Kind
from troth.keys import encryption
from troth.keys.encryption import check_cost, encrypt
from troth.keys.file import parse_key
from troth.x509.pem import render_pem

DER = encrypt(b"a key, or what is taken for one", b"passphrase")


def _with_derivation(kind: object, parameters: object) -> bytes:
    """Return `DER` with another key derivation."""
    outer = asn1.decode_der(encryption._EncryptedKey, DER)
    inner = encryption._parse(encryption._PBES2Parameters, outer.algorithm.parameters)
    inner.derivation = encryption._Algorithm(type=kind, parameters=encryption._tlv(parameters))  # type: ignore[arg-type]
    outer.algorithm.parameters = encryption._tlv(inner)
    return asn1.encode_der(outer)


def _scrypt(cost: int, block_size: int, parallelization: int) -> bytes:
    parameters = encryption._ScryptParameters(
        salt=b"salt", cost=cost, block_size=block_size, parallelization=parallelization, key_length=None
    )
    return _with_derivation(encryption._SCRYPT, parameters)


def _pbkdf2(rounds: int) -> bytes:
    parameters = encryption._PBKDF2Parameters(salt=b"salt", rounds=rounds, key_length=None, function=None)
    return _with_derivation(encryption._PBKDF2, parameters)


@pytest.mark.parametrize("der", [DER, _scrypt(1 << 17, 8, 1), _scrypt(1 << 14, 8, 10), _pbkdf2(1), _pbkdf2(10_000_000)])
def test_a_bearable_cost_is_borne(der: bytes) -> None:
    check_cost(der, "it")


@pytest.mark.parametrize(
    "der",
    [
        pytest.param(_scrypt(1 << 30, 8, 1), id="a terabyte"),
        pytest.param(_scrypt(1 << 14, 1 << 20, 1), id="huge blocks"),
        pytest.param(_scrypt(1 << 14, 8, 1 << 20), id="many times"),
        pytest.param(_scrypt(1 << 62, 1 << 62, 1 << 62), id="beyond any number"),
        pytest.param(_scrypt(0, 8, 1), id="nothing"),
        pytest.param(_scrypt(-(1 << 14), 8, -1), id="negative"),
        pytest.param(_pbkdf2(10_000_001), id="PBKDF2 for hours"),
        pytest.param(_pbkdf2(0), id="PBKDF2 for nothing"),
        pytest.param(_with_derivation(encryption._PBES2, 1), id="no derivation"),
    ],
)
def test_a_cost_out_of_bounds_is_refused_unpaid(der: bytes) -> None:
    with pytest.raises(Fault) as caught:
        parse_key(render_pem("ENCRYPTED PRIVATE KEY", der), b"passphrase")
    assert caught.value.kind is Kind.UNSUPPORTED


@pytest.mark.parametrize("der", [b"", b"\x30\x00", DER[:-1], DER + b"\0"])
def test_what_cannot_be_read_is_malformed(der: bytes) -> None:
    with pytest.raises(Fault) as caught:
        check_cost(der, "it")
    assert caught.value.kind is Kind.MALFORMED


@pytest.mark.needs("openssl")
def test_the_page_says_what_a_guess_costs() -> None:
    shown = subprocess.run(["openssl", "asn1parse", "-inform", "DER"], input=DER, capture_output=True, check=True)
    cost, block_size, parallelization = (
        int(each, 16) for each in re.findall(r"INTEGER +:(\w+)", shown.stdout.decode())[:3]
    )
    page = (Path(__file__).parents[3] / "docs" / "signers.md").read_text()
    assert f"N = {cost}, r = {block_size}, p = {parallelization}" in page
    assert f"costs {128 * block_size * cost >> 20} MiB of memory" in page
