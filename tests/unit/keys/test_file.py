import contextlib
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Fault, Kind
from troth.keys.file import FileKey, generate, parse_key, read_key, render_key, write_key
from troth.keys.signing import SigningKey
from troth.limits import KEY_FILE_BYTES_MAX
from troth.x509.algorithms import KeyAlgorithm, signature_hash
from troth.x509.pem import render_pem

pytestmark = pytest.mark.slow

PASSPHRASE = "correct horse, bättery".encode()


@pytest.fixture(scope="session", params=[a for a in KeyAlgorithm if a is not KeyAlgorithm.RSA4096])
def key(request: pytest.FixtureRequest) -> FileKey:
    return generate(request.param)


@pytest.fixture(scope="session")
def p256() -> FileKey:
    return generate(KeyAlgorithm.P256)


@pytest.fixture(scope="session")
def encrypted(p256: FileKey) -> bytes:
    return render_key(p256, PASSPHRASE)


def _public(key: FileKey) -> bytes:
    return key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_key_signs_by_the_scheme_of_its_algorithm(key: FileKey) -> None:
    signer: SigningKey = key
    signature = signer.sign(b"data")
    digest = signature_hash(signer.algorithm)
    match signer.public_key:
        case ed25519.Ed25519PublicKey() as public:
            public.verify(signature, b"data")
        case ec.EllipticCurvePublicKey() as public:
            assert digest is not None
            public.verify(signature, b"data", ec.ECDSA(digest))
        case rsa.RSAPublicKey() as public:
            assert digest is not None
            public.verify(signature, b"data", padding.PKCS1v15(), digest)
        case mldsa.MLDSA44PublicKey() | mldsa.MLDSA65PublicKey() | mldsa.MLDSA87PublicKey() as public:
            public.verify(signature, b"data")
        case other:
            pytest.fail(f"{other} was not checked")


def test_a_key_that_our_servers_cannot_show_is_told() -> None:
    key = generate(KeyAlgorithm.ED25519)
    assert key.servable_key is key.private_key
    with pytest.raises(Fault) as caught:
        _ = generate(KeyAlgorithm.MLDSA44).servable_key
    assert caught.value.kind is Kind.UNSUPPORTED


def test_what_is_written_is_read(key: FileKey, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    write_key(path, key, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert _public(read_key(path, None)) == _public(key)
    # a passphrase at hand does no harm
    assert _public(read_key(path, PASSPHRASE)) == _public(key)


def test_an_encrypted_key_needs_its_passphrase(p256: FileKey, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    write_key(path, p256, PASSPHRASE)
    assert _public(read_key(path, PASSPHRASE)) == _public(p256)
    for wrong in (None, b"", b"wrong"):
        with pytest.raises(Fault) as caught:
            read_key(path, wrong)
        assert caught.value.kind is Kind.BAD_KEY
        assert str(path) in caught.value.message


def test_nothing_of_an_encrypted_key_shows(p256: FileKey, encrypted: bytes) -> None:
    assert encrypted.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert render_key(p256, PASSPHRASE) != encrypted, "salt and vector are new each time"


def test_a_key_is_not_overwritten_unless_told(p256: FileKey, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    write_key(path, p256, None)
    with pytest.raises(Fault) as caught:
        write_key(path, generate(KeyAlgorithm.P256), None)
    assert caught.value.kind is Kind.CONFLICT
    assert _public(read_key(path, None)) == _public(p256)
    write_key(path, generate(KeyAlgorithm.P256), None, overwrite=True)
    assert _public(read_key(path, None)) != _public(p256)


def test_an_empty_passphrase_is_refused(p256: FileKey) -> None:
    with pytest.raises(Fault) as caught:
        render_key(p256, b"")
    assert caught.value.kind is Kind.BAD_KEY


def test_a_key_does_not_print_itself(p256: FileKey) -> None:
    assert isinstance(p256.private_key, ec.EllipticCurvePrivateKey)
    secret = p256.private_key.private_numbers().private_value
    assert str(secret) not in repr(p256)
    assert f"{secret:x}" not in repr(p256)


def test_a_missing_or_huge_file_is_said_so(tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    huge.write_bytes(bytes(KEY_FILE_BYTES_MAX + 1))
    for path, kind in ((tmp_path / "missing", Kind.NOT_FOUND), (huge, Kind.TOO_LARGE)):
        with pytest.raises(Fault) as caught:
            read_key(path, None)
        assert caught.value.kind is kind


def test_a_key_that_cryptography_has_encrypted_is_read(p256: FileKey) -> None:
    pem = p256.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE))
    assert _public(parse_key(pem, PASSPHRASE)) == _public(p256)


def test_older_forms_are_refused_with_the_way_out(p256: FileKey) -> None:
    pem = p256.private_key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    for data in (pem, b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"):
        with pytest.raises(Fault) as caught:
            parse_key(data, PASSPHRASE)
        assert caught.value.kind is Kind.UNSUPPORTED
        assert "openssl pkcs8 -topk8" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", Kind.MALFORMED),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", Kind.MALFORMED),
        (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", Kind.MALFORMED),
    ],
)
def test_what_is_no_key_is_refused(data: bytes, kind: Kind) -> None:
    with pytest.raises(Fault) as caught:
        parse_key(data, PASSPHRASE)
    assert caught.value.kind is kind


def test_two_keys_in_one_file_are_refused(p256: FileKey, encrypted: bytes) -> None:
    plain = render_key(p256, None)
    for data in (plain + plain, plain + encrypted):
        with pytest.raises(Fault):
            parse_key(data, PASSPHRASE)


@pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.SECP521R1()])
def test_a_key_of_another_kind_is_refused(curve: ec.EllipticCurve) -> None:
    pem = ec.generate_private_key(curve).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Fault) as caught:
        parse_key(pem, None)
    assert caught.value.kind is Kind.BAD_KEY


@given(st.binary(max_size=200), st.sampled_from(["PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]))
def test_any_bytes_are_a_key_or_a_fault(content: bytes, label: str) -> None:
    with contextlib.suppress(Fault):
        parse_key(render_pem(label, content), PASSPHRASE)
    with contextlib.suppress(Fault):
        parse_key(content, PASSPHRASE)


def _openssl(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, timeout=30, check=False)


@pytest.mark.needs("openssl")
def test_openssl_opens_what_we_encrypt(p256: FileKey, encrypted: bytes, tmp_path: Path) -> None:
    (tmp_path / "pass").write_bytes(PASSPHRASE)
    (tmp_path / "key").write_bytes(encrypted)
    done = _openssl("pkey", "-in", str(tmp_path / "key"), "-passin", f"file:{tmp_path / 'pass'}", "-pubout")
    assert done.stdout == _public(p256), done.stderr
    shown = _openssl("asn1parse", "-in", str(tmp_path / "key")).stdout
    assert all(name in shown for name in (b":PBES2", b":scrypt", b":aes-256-cbc"))


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("way", [("-scrypt",), ("-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"), ("-v2", "aes128")])
def test_we_open_what_openssl_encrypts(p256: FileKey, way: tuple[str, ...]) -> None:
    plain = render_key(p256, None)
    data = _openssl("pkcs8", "-topk8", *way, "-passout", "pass:secret", stdin=plain).stdout
    assert _public(parse_key(data, b"secret")) == _public(p256)
    with pytest.raises(Fault) as caught:
        parse_key(data, b"wrong")
    assert caught.value.kind is Kind.BAD_KEY


@pytest.mark.needs("openssl")
def test_a_weak_encryption_is_refused(p256: FileKey) -> None:
    plain = render_key(p256, None)
    data = _openssl("pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES", "-passout", "pass:secret", stdin=plain).stdout
    assert data.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    with pytest.raises(Fault) as caught:
        parse_key(data, b"secret")
    assert caught.value.kind is Kind.UNSUPPORTED
    assert caught.value.hint


def test_p384_signs_over_sha_384() -> None:
    assert isinstance(signature_hash(KeyAlgorithm.P384), hashes.SHA384)
