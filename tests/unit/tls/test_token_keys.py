"""A key that never leaves its token, used for TLS by Python's own ssl; SoftHSM stands for the token."""

import asyncio
import os
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.softhsm import PIN, SoftHSM, softhsm
from tests.unit.tls.certificates import CLIENT, leaf
from tests.unit.tls.harness import World, run, serving

from troth.errors import Fault, Kind
from troth.keys.pkcs11.uri import parse_token_uri
from troth.tls import token_keys
from troth.tls.token_keys import TokenKeyAccess, use_token_key
from troth.x509.algorithms import KeyAlgorithm, PublicKey

__all__ = ["softhsm"]

pytestmark = [pytest.mark.slow, pytest.mark.needs("softhsm2-util", "pkcs11-engine")]

CLIENT_SCRIPT = Path(__file__).with_name("token_client.py")
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Elsewhere:
    """A key of which only the public half is here."""

    public: PublicKey

    def public_key(self) -> PublicKey:
        return self.public


def in_token(softhsm: SoftHSM, world: World, label: str, algorithm: KeyAlgorithm = KeyAlgorithm.P256) -> Path:
    """Make a key in the token and return a file with a certificate for it, and its issuer's."""
    key = softhsm.access().make(parse_token_uri(softhsm.uri(label)), algorithm)
    made = leaf("lamp-1", world.devices, CLIENT, key=Elsewhere(key.public_key))  # type: ignore[arg-type]
    file = softhsm.folder / f"{label}.pem"
    chain = (made.certificate, world.devices.certificate)
    file.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))
    return file


def talk(
    softhsm: SoftHSM, world: World, chain: Path, label: str, port: int, version: str = "TLSv1_3", *, signs: bool = False
) -> list[str]:
    """Let a device in a process of its own connect by the key with this label; return what it says of that."""
    words = [softhsm.module, softhsm.uri(label), softhsm.pin_file, chain, world.folder / "root.pem", port, version]
    more = {"SIGNS_FIRST": "1"} if signs else {}
    done = subprocess.run(
        [sys.executable, str(CLIENT_SCRIPT), *map(str, words)],
        env={**os.environ, **softhsm.environment, **more, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert PIN not in done.stdout + done.stderr
    return done.stdout.split()


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
    chain = in_token(softhsm, world, "lamp", algorithm)

    async def main() -> None:
        async with serving(world.tls()) as server:
            said = await asyncio.to_thread(talk, softhsm, world, chain, "lamp", server.port, version, signs=signs)
            assert said == ["hello", "hello"]
            peer = await server.recorder.peer()
            assert peer.chain[0].public_bytes(Encoding.PEM) in chain.read_bytes()

    run(asyncio.new_event_loop, main())


def test_the_wrong_key_and_one_that_is_not_there_are_refused_before_anybody_connects(
    world: World, softhsm: SoftHSM
) -> None:
    chain = in_token(softhsm, world, "lamp")
    in_token(softhsm, world, "other")
    nobody = 1
    assert talk(softhsm, world, chain, "other", nobody) == [Kind.BAD_KEY]
    assert talk(softhsm, world, chain, "missing", nobody) == [Kind.UNAVAILABLE]


def test_another_openssl_than_the_interpreters_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "OPENSSL_VERSION", "OpenSSL 3.0.0 1 Jan 2020")
    access = TokenKeyAccess(Path("/nowhere.so"), "pkcs11:token=x;object=y", PIN)
    assert PIN not in repr(access)
    token_keys._libraries.cache_clear()
    try:
        with pytest.raises(Fault) as caught:
            use_token_key(world.client(None), b"", access)
        assert caught.value.kind is Kind.UNSUPPORTED
        assert "stunnel" in (caught.value.hint or "")
    finally:
        monkeypatch.undo()
        token_keys._libraries.cache_clear()
