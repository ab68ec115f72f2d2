"""Of all that OpenSSL may have against a certificate two verdicts can be overruled, each by whom the door asks."""

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest
from cryptography import x509
from OpenSSL import SSL
from tests.unit.tls.certificates import DAY, NOW, SERVER, Held, authority, leaf, stolen
from tests.unit.tls.harness import LoopFactory, World, run, say, serving

from troth.tls.overruling import Overruled, may_overrule
from troth.tls.reasons import HandshakeFailure, Verdict
from troth.tls.server import ClientAuth, ServerIdentity, ServerTLS

CODES = SSL.X509VerificationCodes
UNKNOWN = {
    CODES.ERR_UNABLE_TO_GET_ISSUER_CERT,
    CODES.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
    CODES.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
}
ALL = sorted({number for name, number in vars(CODES).items() if name.startswith("ERR_")} | set(range(1, 110)))
CHAIN = (leaf("thermostat", authority("Elsewhere")).certificate,)


def yes(_: object) -> bool:
    return True


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_every_other_error_stands_whatever_the_door_would_say(depth: int) -> None:
    overruled = {error for error in ALL if may_overrule(Verdict(error, depth), CHAIN, None, yes, yes)}
    assert overruled == UNKNOWN | {CODES.ERR_SELF_SIGNED_CERT_IN_CHAIN if depth else CODES.ERR_CERT_HAS_EXPIRED}


def test_a_door_that_asks_nobody_overrules_nothing() -> None:
    assert not [error for error in ALL if may_overrule(Verdict(error, 0), CHAIN, None, None, None)]


def test_nobody_is_both_unknown_and_expired() -> None:
    unknown, expired = Verdict(CODES.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 0), Verdict(CODES.ERR_CERT_HAS_EXPIRED, 0)
    assert not may_overrule(expired, CHAIN, Overruled(unknown), yes, yes)
    assert not may_overrule(unknown, CHAIN, Overruled(expired), yes, yes)
    # OpenSSL says of one certificate both that there is no issuer and that its signature cannot be checked.
    assert may_overrule(Verdict(CODES.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, 0), CHAIN, Overruled(unknown), yes, yes)


def test_without_a_certificate_there_is_nothing_to_overrule() -> None:
    assert not may_overrule(Verdict(CODES.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 0), (), None, yes, yes)


MAKER = authority("Maker of things")
LINE = authority("Line 4", MAKER)


def strangers() -> dict[str, tuple[Held, HandshakeFailure]]:
    return {
        "expired": (leaf("t", MAKER, not_after=NOW - DAY / 2), HandshakeFailure.CERTIFICATE_EXPIRED),
        "not yet valid": (leaf("t", MAKER, not_before=NOW + DAY / 2), HandshakeFailure.CERTIFICATE_NOT_YET_VALID),
        "a server's": (leaf("t", MAKER, SERVER), HandshakeFailure.WRONG_PURPOSE),
        "signed by itself": (leaf("t", None), HandshakeFailure.SELF_SIGNED),
        "stolen": (stolen(leaf("t", MAKER)), HandshakeFailure.BAD_SIGNATURE),
    }


async def talk(world: World, port: int, held: Held) -> None:
    assert await asyncio.to_thread(say, port, world.client(held), b"hello") == b"hello"


async def refused(world: World, port: int, held: Held) -> None:
    with pytest.raises(OSError):
        await asyncio.to_thread(say, port, world.client(held), b"hello")


def door(world: World, knows: object) -> ServerTLS:
    identity = ServerIdentity(world.server.chain, world.server.key)
    assert callable(knows)
    return ServerTLS(identity, (world.devices.certificate,), ClientAuth.REQUIRED, knows_stranger=knows)


def test_a_known_stranger_comes_in_and_is_marked(world: World, loop_factory: LoopFactory) -> None:
    asked: list[Sequence[x509.Certificate]] = []

    def knows(chain: Sequence[x509.Certificate]) -> bool:
        asked.append(tuple(chain))
        return True

    alone, led = leaf("alone", MAKER), leaf("led", LINE, above=(LINE.certificate,))
    whole = leaf("whole", LINE, above=(LINE.certificate, MAKER.certificate))

    async def main() -> None:
        async with serving(door(world, knows)) as server:
            for held in (alone, led, whole):
                await talk(world, server.port, held)
                peer = await server.recorder.peer()
                assert (peer.certificate, peer.is_stranger, peer.is_expired) == (held.certificate, True, False)
            await talk(world, server.port, world.device)
            peer = await server.recorder.peer()
            assert (peer.certificate, peer.is_stranger) == (world.device.certificate, False)

    run(loop_factory, main())
    assert set(asked) == {alone.chain, led.chain, whole.chain}


def test_an_unknown_stranger_is_refused(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with serving(door(world, lambda chain: False)) as server:
            await refused(world, server.port, leaf("t", MAKER))
            assert (await server.recorder.failure()).reason is HandshakeFailure.UNKNOWN_ISSUER

    run(loop_factory, main())


@pytest.mark.parametrize("what", strangers())
def test_a_known_stranger_with_another_fault_is_refused(world: World, loop_factory: LoopFactory, what: str) -> None:
    held, reason = strangers()[what]

    async def main() -> None:
        async with serving(door(world, yes)) as server:
            await refused(world, server.port, held)
            assert (await server.recorder.failure()).reason is reason

    run(loop_factory, main())


DEVICES = authority("Home devices of old")
FORGER = authority("Home devices of old")


def expired() -> dict[str, tuple[Held, HandshakeFailure]]:
    over = partial(leaf, "t", not_before=NOW - 2 * DAY, not_after=NOW - DAY)
    return {
        "unknown": (over(authority("Home devices")), HandshakeFailure.UNKNOWN_ISSUER),
        "not yet valid": (
            leaf("t", DEVICES, not_before=NOW + DAY, not_after=NOW + 2 * DAY),
            HandshakeFailure.CERTIFICATE_NOT_YET_VALID,
        ),
        "a server's": (over(DEVICES, SERVER), HandshakeFailure.WRONG_PURPOSE),
        "signed by itself": (over(None), HandshakeFailure.SELF_SIGNED),
        "forged": (over(FORGER, names_issuer_key=False), HandshakeFailure.BAD_SIGNATURE),
        "stolen": (stolen(over(DEVICES)), HandshakeFailure.BAD_SIGNATURE),
    }


@pytest.mark.parametrize("what", expired())
def test_an_expired_one_with_another_fault_is_refused(world: World, loop_factory: LoopFactory, what: str) -> None:
    held, reason = expired()[what]
    identity = ServerIdentity(world.server.chain, world.server.key)
    admitting = ServerTLS(identity, (DEVICES.certificate,), ClientAuth.OPTIONAL, admits_expired=yes)
    twin = leaf("t", DEVICES, not_before=NOW - 2 * DAY, not_after=NOW - DAY)

    async def main() -> None:
        async with serving(admitting) as server:
            await refused(world, server.port, held)
            assert (await server.recorder.failure()).reason is reason
            await talk(world, server.port, twin)
            assert (await server.recorder.peer()).is_expired

    run(loop_factory, main())


def test_an_expired_one_is_refused_where_the_door_says_no(world: World, loop_factory: LoopFactory) -> None:
    identity = ServerIdentity(world.server.chain, world.server.key)
    over = leaf("t", DEVICES, not_before=NOW - 2 * DAY, not_after=NOW - DAY)

    async def main() -> None:
        for says in (None, lambda _: False):
            strict = ServerTLS(identity, (DEVICES.certificate,), ClientAuth.OPTIONAL, admits_expired=says)
            async with serving(strict) as server:
                await refused(world, server.port, over)
                assert (await server.recorder.failure()).reason is HandshakeFailure.CERTIFICATE_EXPIRED

    run(loop_factory, main())
