"""Impostors, each beside an honest twin that differs in that one thing: what they are told, and what we noted."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.unit.tls.certificates import CLIENT, DAY, NOW, SERVER, Held, authority, garbled, leaf, stolen
from tests.unit.tls.harness import Failure, LoopFactory, World, run, say, serving

from troth.tls.client import refusal
from troth.tls.server import HandshakeFailure as Why

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@dataclass(frozen=True)
class Attack:
    """One impostor and the refusal that it must meet, on both sides."""

    impostor: Callable[[World], Held | None]
    twin: Callable[[World], Held]
    reason: Why
    detail: str
    alert: str
    alert_tls12: str | None = None

    def alert_under(self, version: ssl.TLSVersion) -> str:
        return self.alert_tls12 or self.alert if version == TLS12 else self.alert


def honest(world: World) -> Held:
    return world.device


def of_other_ca(common_name: str, *, names_issuer_key: bool = True) -> Callable[[World], Held]:
    """The device's namesake from a CA of another key, that may even have the name of ours."""
    return lambda _world: leaf("thermostat", authority(common_name), names_issuer_key=names_issuer_key)


def with_false_ca(world: World) -> Held:
    """A leaf of a false CA that is sent along, and that has all of ours but its key."""
    false = authority("Home devices", world.root)
    return leaf("thermostat", false, named_issuer=world.devices, above=(false.certificate,))


ATTACKS = {
    "no-certificate": Attack(
        impostor=lambda world: None,
        twin=honest,
        reason=Why.NO_CERTIFICATE,
        detail="peer did not return a certificate",
        alert="certificate_required",
        alert_tls12="handshake_failure",
    ),
    "self-signed-namesake": Attack(
        impostor=lambda world: leaf("thermostat", None),
        twin=honest,
        reason=Why.SELF_SIGNED,
        detail="depth zero self signed cert at depth 0",
        alert="unknown_ca",
    ),
    "self-signed-root-in-chain": Attack(
        impostor=lambda world: with_its_root(authority("Home root")),
        twin=lambda world: leaf("thermostat", world.devices, above=(world.devices.certificate, world.root.certificate)),
        reason=Why.SELF_SIGNED,
        detail="self signed cert in chain at depth 1",
        alert="unknown_ca",
    ),
    "other-ca-namesake": Attack(
        impostor=of_other_ca("Another home"),
        twin=honest,
        reason=Why.UNKNOWN_ISSUER,
        detail="unable to get issuer cert locally at depth 0",
        alert="unknown_ca",
    ),
    "other-ca-of-our-name": Attack(
        impostor=of_other_ca("Home devices"),
        twin=honest,
        reason=Why.UNKNOWN_ISSUER,
        detail="unable to get issuer cert locally at depth 0",
        alert="unknown_ca",
    ),
    "other-ca-of-our-name-that-hides-its-key": Attack(
        impostor=of_other_ca("Home devices", names_issuer_key=False),
        twin=lambda world: leaf("thermostat", world.devices, names_issuer_key=False),
        reason=Why.BAD_SIGNATURE,
        detail="cert signature failure at depth 0",
        alert="decrypt_error",
    ),
    "other-ca-of-our-name-and-key-id": Attack(
        impostor=lambda world: leaf("thermostat", authority("Home devices"), named_issuer=world.devices),
        twin=lambda world: leaf("thermostat", world.devices, named_issuer=world.devices),
        reason=Why.BAD_SIGNATURE,
        detail="cert signature failure at depth 0",
        alert="decrypt_error",
    ),
    "other-ca-of-our-name-and-key-id-in-chain": Attack(
        impostor=with_false_ca,
        twin=lambda world: leaf("thermostat", world.devices, above=(world.devices.certificate,)),
        reason=Why.BAD_SIGNATURE,
        detail="cert signature failure at depth 0",
        alert="decrypt_error",
    ),
    "another-name-in-an-honest-certificate": Attack(
        impostor=lambda world: garbled(leaf("thermostat", world.devices), b"thermostat", b"thermostot"),
        twin=lambda world: leaf("thermostot", world.devices),
        reason=Why.BAD_SIGNATURE,
        detail="cert signature failure at depth 0",
        alert="decrypt_error",
    ),
    "expired": Attack(
        impostor=lambda world: leaf("thermostat", world.devices, not_after=NOW - DAY / 2),
        twin=honest,
        reason=Why.CERTIFICATE_EXPIRED,
        detail="cert has expired at depth 0",
        alert="certificate_expired",
    ),
    "not-yet-valid": Attack(
        impostor=lambda world: leaf("thermostat", world.devices, not_before=NOW + DAY / 2),
        twin=honest,
        reason=Why.CERTIFICATE_NOT_YET_VALID,
        detail="cert not yet valid at depth 0",
        alert="bad_certificate",
    ),
    "server-certificate-as-client": Attack(
        impostor=lambda world: leaf("thermostat", world.devices, SERVER),
        twin=lambda world: leaf("thermostat", world.devices, CLIENT),
        reason=Why.WRONG_PURPOSE,
        detail="invalid purpose at depth 0",
        alert="unsupported_certificate",
    ),
    "stolen-certificate": Attack(
        impostor=lambda world: stolen(world.device),
        twin=honest,
        reason=Why.BAD_SIGNATURE,
        detail="bad signature",
        alert="decrypt_error",
    ),
}


def with_its_root(root: Held) -> Held:
    return leaf("thermostat", root, above=(root.certificate,))


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("name", ATTACKS)
def test_impostor_is_told_its_alert_and_its_twin_comes_in(
    world: World, loop_factory: LoopFactory, name: str, version: ssl.TLSVersion
) -> None:
    attack = ATTACKS[name]

    async def main() -> None:
        async with serving(world.tls()) as server:
            with pytest.raises(ssl.SSLError) as refused:
                await asyncio.to_thread(say, server.port, world.client(attack.impostor(world), version), b"let me in")
            assert refusal(refused.value).word == f"alert:{attack.alert_under(version)}"
            assert await server.recorder.failure() == Failure(attack.reason, attack.detail)
            twin = attack.twin(world)
            answer = await asyncio.to_thread(say, server.port, world.client(twin, version), b"let me in")
            assert answer == b"let me in"
            peer = await server.recorder.peer()
            assert peer.certificate == twin.certificate
            assert server.recorder.news.empty()
            assert server.made.qsize() == 1

    run(loop_factory, main())
