"""Leave to tell the time: asked for by one process, given by another, through two files."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from troth.app.delegating import LIFE, keep_delegated, obtain, raw_public_key, read_own_server, write_server_list
from troth.app.home import Home
from troth.keys.file import FileKey, generate, write_key
from troth.protocols.roughtime.request import build_request, parse_request
from troth.protocols.roughtime.response import respond, verify_response
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm

PASSPHRASE = b"correct horse"


@pytest.fixture
def long_term() -> FileKey:
    return generate(KeyAlgorithm.ED25519)


@pytest.fixture
def home(tmp_path: Path, long_term: FileKey) -> Home:
    made = Home(tmp_path)
    for folder in (made.keys, made.run):
        folder.mkdir()
    write_key(made.time_key, long_term, None)
    write_server_list(made, "2001:db8::7", raw_public_key(long_term), 2002)
    return made


async def given(
    home: Home, clock: FakeClock, passphrase: bytes | None, public_key: bytes, times: int = 1
) -> list[bytes]:
    """Ask `times` times of an authority at work, and return the certificates."""
    giving = asyncio.create_task(keep_delegated(home, clock, passphrase))
    try:
        async with asyncio.timeout(20):
            tellers = [await obtain(home, public_key) for _ in range(times)]
    finally:
        giving.cancel()
        with suppress(asyncio.CancelledError):
            await giving
    now, answers = clock.now(), []
    for teller in tellers:
        assert teller.ends_at == now + LIFE
        request = build_request(bytes(32), public_key)
        (answer,) = respond([parse_request(request)], now, 3, teller.certificate, teller.key.sign)
        assert verify_response(answer, request, public_key).midpoint == now
        answers.append(teller.certificate)
    return answers


def test_who_asks_gets_leave_for_a_key_of_its_own(home: Home, long_term: FileKey) -> None:
    server = read_own_server(home)
    assert (server.public_key, server.address) == (raw_public_key(long_term), "[2001:db8::7]:2002")
    first, second = asyncio.run(given(home, FakeClock(), None, server.public_key, times=2))
    assert first != second


@pytest.mark.slow
def test_a_key_that_cannot_be_opened_gives_no_leave_and_stops_nothing(home: Home, long_term: FileKey) -> None:
    home.time_key.unlink()
    write_key(home.time_key, long_term, PASSPHRASE)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(given(home, FakeClock(), b"wrong", raw_public_key(long_term)), 1))
    assert not home.time_delegation.exists()
    assert asyncio.run(given(home, FakeClock(), PASSPHRASE, raw_public_key(long_term)))
