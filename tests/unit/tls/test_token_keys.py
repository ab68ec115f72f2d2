"""A key that never leaves its token, used for TLS by Python's own ssl; SoftHSM stands for the token."""

import asyncio
import os
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key
from tests.fixtures.softhsm import PIN, SoftHSM, softhsm
from tests.fixtures.tpm import NEEDS as TPM_NEEDS
from tests.fixtures.tpm import TPM, tpm
from tests.unit.tls.certificates import CLIENT, leaf
from tests.unit.tls.harness import World, run, serving

from troth.errors import Fault, Kind
from troth.tls import token_keys
from troth.tls.token_keys import TokenKeyAccess, use_token_key
from troth.x509.algorithms import KeyAlgorithm, PublicKey

__all__ = ["softhsm", "tpm"]

pytestmark = [pytest.mark.slow, pytest.mark.needs("softhsm2-util", "pkcs11-engine")]

CLIENT_SCRIPT = Path(__file__).with_name("token_client.py")
ROOT = Path(__file__).parents[3]


Token = SoftHSM | TPM


@dataclass(frozen=True)
class Elsewhere:
    """A key of which only the public half is here."""

    public: PublicKey

    def public_key(self) -> PublicKey:
        return self.public


def act(token: Token, *words: object, signs: bool = False) -> str:
    """Let a device in a process of its own do something with a key; return what it says."""
    more = {"SIGNS_FIRST": "1"} if signs else {}
    done = subprocess.run(
        [sys.executable, str(CLIENT_SCRIPT), *map(str, words)],
        env={**os.environ, **token.environment, **more, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert PIN not in done.stdout + done.stderr
    return done.stdout


def in_token(token: Token, world: World, label: str, algorithm: KeyAlgorithm = KeyAlgorithm.P256) -> Path:
    """Make a key in the token and return a file with a certificate for it, and its issuer's."""
    pem = act(token, "make", token.module, token.uri(label), token.pin_file, algorithm)
    key = Elsewhere(load_pem_public_key(pem.encode()))  # type: ignore[arg-type]
    made = leaf("lamp-1", world.devices, CLIENT, key=key)  # type: ignore[arg-type]
    file = world.folder / f"{label}.pem"
    chain = (made.certificate, world.devices.certificate)
    file.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))
    return file


def talk(
    token: Token, world: World, label: str, port: int, version: str = "TLSv1_3", *, signs: bool = False
) -> list[str]:
    """Connect by the key with this label, and the certificate that was made first."""
    words = [token.module, token.uri(label), token.pin_file, world.folder / "lamp.pem", world.folder / "root.pem"]
    return act(token, "talk", *words, port, version, signs=signs).split()


def is_let_in(token: Token, world: World, version: str, algorithm: KeyAlgorithm, *, signs: bool) -> None:
    chain = in_token(token, world, "lamp", algorithm)

    async def main() -> None:
        async with serving(world.tls()) as server:
            said = await asyncio.to_thread(talk, token, world, "lamp", server.port, version, signs=signs)
            assert said == ["hello", "hello"]
            peer = await server.recorder.peer()
            assert peer.chain[0].public_bytes(Encoding.PEM) in chain.read_bytes()

    run(asyncio.new_event_loop, main())


@pytest.mark.parametrize(
    ("version", "algorithm", "signs"),
    [
        ("TLSv1_2", KeyAlgorithm.P256, False),
        ("TLSv1_3", KeyAlgorithm.P256, True),
        ("TLSv1_2", KeyAlgorithm.RSA2048, True),
        ("TLSv1_3", KeyAlgorithm.RSA2048, False),
    ],
)
def test_a_device_proves_itself_by_a_key_in_a_token(
    world: World, softhsm: SoftHSM, version: str, algorithm: KeyAlgorithm, signs: bool
) -> None:
    is_let_in(softhsm, world, version, algorithm, signs=signs)


@pytest.mark.needs(*TPM_NEEDS)
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_device_proves_itself_by_a_key_in_a_tpm(world: World, tpm: TPM, version: str) -> None:
    is_let_in(tpm, world, version, KeyAlgorithm.P256, signs=True)


def test_the_wrong_key_and_one_that_is_not_there_are_refused_before_anybody_connects(
    world: World, softhsm: SoftHSM
) -> None:
    in_token(softhsm, world, "lamp")
    in_token(softhsm, world, "other")
    nobody = 1
    assert talk(softhsm, world, "other", nobody) == [Kind.BAD_KEY]
    assert talk(softhsm, world, "missing", nobody) == [Kind.UNAVAILABLE]


def test_another_openssl_than_the_interpreters_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "OPENSSL_VERSION", "OpenSSL 3.0.0 1 Jan 2020")
    access = TokenKeyAccess(Path("/nowhere.so"), "pkcs11:token=x;object=y", PIN)
    assert PIN not in repr(access)
    token_keys._libraries.cache_clear()
    try:
        with pytest.raises(Fault) as caught:
            use_token_key(world.client(None), b"", access)
        assert caught.value.kind is Kind.UNSUPPORTED
        assert "docs/hardware.md" in (caught.value.hint or "")
    finally:
        monkeypatch.undo()
        token_keys._libraries.cache_clear()
