"""Envelopes that OpenSSL opens with the recipient's key, and with no other."""

import subprocess
from pathlib import Path

import pytest

from troth.errors import Fault, Kind
from troth.keys.enveloping import envelop
from troth.keys.file import generate, render_key
from troth.x509.algorithms import KeyAlgorithm

CONTENT = b"\x00a secret of some length\xff" * 9


def opened(envelope: bytes, key_file: Path) -> subprocess.CompletedProcess[bytes]:
    words = ["openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", str(key_file)]
    return subprocess.run(words, input=envelope, capture_output=True, check=False)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.RSA2048])
def test_openssl_opens_it_with_the_right_key_alone(tmp_path: Path, algorithm: KeyAlgorithm) -> None:
    key, other = generate(algorithm), generate(algorithm)
    right, wrong = tmp_path / "right.key", tmp_path / "wrong.key"
    right.write_bytes(render_key(key, None))
    wrong.write_bytes(render_key(other, None))
    envelope = envelop(CONTENT, key.public_key)
    done = opened(envelope, right)
    assert (done.returncode, done.stdout) == (0, CONTENT), done.stderr
    assert opened(envelope, wrong).stdout != CONTENT
    assert CONTENT not in envelope
    assert envelop(CONTENT, key.public_key) != envelope


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.ED25519, KeyAlgorithm.MLDSA44])
def test_a_key_that_can_only_sign_receives_nothing(algorithm: KeyAlgorithm) -> None:
    with pytest.raises(Fault) as caught:
        envelop(CONTENT, generate(algorithm).public_key)
    assert caught.value.kind is Kind.BAD_KEY
