"""The time for a device without a clock: asked of real sockets, believed from no one but the servers it was given."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from troth.device.trusted_time import TrustedTime
from troth.errors import Fault, Kind
from troth.gateway.time import RADIUS_S, Teller, TimeDoor, serve_time
from troth.keys.file import FileKey, generate
from troth.protocols.roughtime.request import build_request, parse_request
from troth.protocols.roughtime.response import delegate, respond
from troth.protocols.roughtime.servers import TimeServer
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm

pytestmark = pytest.mark.slow

NOW = datetime(2034, 3, 2, 1, tzinfo=UTC)


def quick(server: TimeServer) -> TrustedTime:
    return TrustedTime([server], attempts=1, wait_s=0.2)


def raw(key: FileKey) -> bytes:
    return key.public_key.public_bytes_raw()  # type: ignore[union-attr]


def teller(long_term: FileKey, at: datetime = NOW, hours: float = 24) -> Teller:
    online = generate(KeyAlgorithm.ED25519)
    until = at + timedelta(hours=hours)
    return Teller(online, delegate(long_term.sign, raw(online), at - timedelta(hours=1), until), raw(long_term), until)


@contextmanager
def server(
    at: datetime = NOW, *, known_as: FileKey | None = None, makes: Callable[[FileKey], Teller | None] = teller
) -> Iterator[TimeServer]:
    """A real door in a loop of its own; `known_as` is the key that the device was given for it."""
    long_term = generate(KeyAlgorithm.ED25519)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    port = sock.getsockname()[1]
    loop = asyncio.new_event_loop()

    async def start() -> TimeDoor:
        door = await serve_time(FakeClock(at), sock)
        made = makes(long_term)
        if made is not None:
            door.tell_by(made)
        return door

    door = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield TimeServer("home", raw(known_as or long_term), f"127.0.0.1:{port}")
    finally:
        assert door is not None
        loop.call_soon_threadsafe(door._transport.close)  # type: ignore[union-attr] # its end is the loop's
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def test_the_time_is_the_servers() -> None:
    with server() as home:
        assert TrustedTime([home]).now() == NOW
        assert TrustedTime([home]).now() == NOW


@pytest.mark.parametrize("at", [datetime(1971, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)])
def test_any_time_can_be_told(at: datetime) -> None:
    with server(at, makes=lambda key: teller(key, at)) as home:
        assert TrustedTime([home]).now() == at


def test_a_server_with_another_key_is_not_believed() -> None:
    with server(known_as=generate(KeyAlgorithm.ED25519)) as impostor, pytest.raises(Fault) as caught:
        quick(impostor).now()
    # A door that has another key than is asked for says nothing at all.
    assert caught.value.kind is Kind.UNAVAILABLE


@contextmanager
def answering(answer: Callable[[bytes], list[bytes]]) -> Iterator[str]:
    """Something that answers each datagram with what `answer` makes of it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                data, address = sock.recvfrom(4096)
                if not data:
                    return
                for each in answer(data):
                    sock.sendto(each, address)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{sock.getsockname()[1]}"
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                end.sendto(b"", sock.getsockname())
            thread.join()


def told(key: FileKey, request: bytes, signed_by: FileKey | None = None) -> bytes:
    made = teller(signed_by or key)
    return respond([parse_request(request)], NOW, 3, made.certificate, made.key.sign)[0]


def test_an_impostor_under_the_servers_address_is_named_and_not_believed() -> None:
    ours, theirs = generate(KeyAlgorithm.ED25519), generate(KeyAlgorithm.ED25519)
    lying = answering(lambda request: [told(ours, request, signed_by=theirs)])
    with lying as address, pytest.raises(Fault) as caught:
        quick(TimeServer("home", raw(ours), address)).now()
    assert caught.value.kind is Kind.UNAUTHENTICATED
    with answering(lambda request: [told(ours, request)]) as address:
        assert TrustedTime([TimeServer("home", raw(ours), address)]).now() == NOW


def test_an_old_answer_is_not_believed() -> None:
    key = generate(KeyAlgorithm.ED25519)
    old = told(key, build_request(bytes(32), raw(key)))
    with answering(lambda _: [old]) as address, pytest.raises(Fault) as caught:
        quick(TimeServer("home", raw(key), address)).now()
    assert caught.value.kind is Kind.UNAUTHENTICATED


def test_noise_before_the_answer_keeps_nobody_from_it() -> None:
    key = generate(KeyAlgorithm.ED25519)
    with answering(lambda request: [b"noise", bytes(2000), told(key, request)]) as address:
        assert TrustedTime([TimeServer("home", raw(key), address)]).now() == NOW


def test_a_lost_answer_is_asked_for_again() -> None:
    key, seen = generate(KeyAlgorithm.ED25519), []

    def second_time(request: bytes) -> list[bytes]:
        seen.append(request)
        return [told(key, request)] if len(seen) == 2 else []

    with answering(second_time) as address:
        assert TrustedTime([TimeServer("home", raw(key), address)], attempts=2, wait_s=0.2).now() == NOW
    assert seen[0] == seen[1]


def test_nobody_answers() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Fault) as caught:
            quick(TimeServer("home", bytes(32), f"127.0.0.1:{taken.getsockname()[1]}")).now()
    assert caught.value.kind is Kind.UNAVAILABLE


def test_several_servers_agree_or_none_is_believed() -> None:
    later = NOW + timedelta(seconds=2 * RADIUS_S)
    with ExitStack() as stack:
        honest = [stack.enter_context(server()) for _ in range(2)]
        near = stack.enter_context(server(later))
        liar = stack.enter_context(server(NOW + timedelta(days=300), makes=lambda key: teller(key, hours=9000)))
        assert TrustedTime([*honest, near]).now() == NOW + timedelta(seconds=RADIUS_S)
        for _ in range(6):  # In whatever order they are drawn.
            with pytest.raises(Fault) as caught:
                TrustedTime([*honest, liar]).now()
            assert caught.value.kind is Kind.UNAUTHENTICATED


def test_a_door_without_leave_or_beyond_it_tells_nothing() -> None:
    for makes in (lambda _key: None, lambda key: teller(key, hours=0)):
        with server(makes=makes) as home, pytest.raises(Fault) as caught:
            quick(home).now()
        assert caught.value.kind is Kind.UNAVAILABLE
