"""Roughtime as RFC 10049 writes it, held to packets that another implementation made and to every way of lying."""

import base64
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Bug, Kind, PeerFault
from troth.protocols.roughtime.message import (
    parse_message,
    parse_packet,
    render_message,
    render_packet,
    value_of,
    word,
)
from troth.protocols.roughtime.request import build_request, parse_request, server_tag
from troth.protocols.roughtime.response import (
    BATCH_MAX,
    Told,
    delegate,
    respond,
    until_of,
    verify_response,
)

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
LONG_TERM = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
ONLINE = Ed25519PrivateKey.from_private_bytes(b"\x08" * 32)
NONCE = bytes(range(32))


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def certificate(
    signer: Ed25519PrivateKey = LONG_TERM, since: datetime = NOW - timedelta(hours=1), hours: float = 24
) -> bytes:
    return delegate(signer.sign, public(ONLINE), since, since + timedelta(hours=hours))


def answer(request: bytes, *, at: datetime = NOW, cert: bytes | None = None) -> bytes:
    return respond([parse_request(request)], at, 3, cert or certificate(), ONLINE.sign)[0]


REQUEST = build_request(NONCE, public(LONG_TERM))


# Made by the reference in tests/fixtures/reference-v1.json of github.com/NaomiAmethyst/gnomon, an implementation of
# RFC 10049 on another code base: long-term seed 10 x 32, online seed 20 x 32, nonce 30 x 32; the time is 1000 s.
REFERENCE = base64.b64decode(
    "Uk9VR0hUSU2UAQAABwAAAEAAAABgAAAAZAAAAGQAAADAAAAAWAEAAFNJRwBOT05DVFlQRVBBVEhTUkVQQ0VSVElORFgLcSkOA8ABOYHZpoXIaUiL"
    "+d9OLRn0f1tTmg6L0CvfCj6ScnSPFxbD5HaowzaDFThK7oCXIN8crKDro1Y9Aw4PHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4BAAAA"
    "BQAAAAQAAAAIAAAAEAAAABQAAABWRVIAUkFESU1JRFBWRVJTUk9PVAEAAAADAAAA6AMAAAAAAAABAAAAndXe4YemJ01iYCaFFopF+QwU41kwcQ/0"
    "sVDj2+84gxACAAAAQAAAAFNJRwBERUxFWAlBp3GuXL7G0SqUeRrTlgT7JvO2E+pX5eENwPmZUrV4g9k0A/HGYLEuxVf2yKc3GlSy+7rJl01h1i4r"
    "as0EBgMAAAAgAAAAKAAAAFBVQktNSU5UTUFYVCCCi/XFvcrLaEhjM2wgL7VZnaSL5VlmFXQhcHBb7Kn3AAAAAAAAAAD//////////wAAAAA="
)


def test_another_implementations_packets_are_ours_to_the_last_byte() -> None:
    root = Ed25519PrivateKey.from_private_bytes(bytes([10]) * 32)
    online = Ed25519PrivateKey.from_private_bytes(bytes([20]) * 32)
    request = build_request(bytes([30]) * 32, public(root))
    assert verify_response(REFERENCE, request, public(root)) == Told(
        datetime.fromtimestamp(1000, UTC), timedelta(seconds=3)
    )
    theirs = value_of(parse_packet(REFERENCE), "CERT")
    at = datetime.fromtimestamp(1000, UTC)
    assert respond([parse_request(request)], at, 3, theirs, online.sign) == [REFERENCE]


def test_an_answer_is_never_longer_than_its_request() -> None:
    requests = [parse_request(build_request(bytes([n]) * 32, public(LONG_TERM))) for n in range(BATCH_MAX)]
    answers = respond(requests, NOW, 3, certificate(), ONLINE.sign)
    assert max(map(len, answers)) < len(REQUEST) == 1036


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 33, BATCH_MAX])
def test_everyone_in_a_batch_is_answered_and_nobody_by_anothers_answer(count: int) -> None:
    packets = [build_request(bytes([n]) * 32, public(LONG_TERM)) for n in range(count)]
    answers = respond([parse_request(each) for each in packets], NOW, 3, certificate(), ONLINE.sign)
    for packet, each in zip(packets, answers, strict=True):
        assert verify_response(each, packet, public(LONG_TERM)).midpoint == NOW
    for packet, each in zip(packets, answers[1:], strict=False):
        with pytest.raises(PeerFault) as caught:
            verify_response(each, packet, public(LONG_TERM))
        assert caught.value.kind is Kind.UNAUTHENTICATED


def replaced(packet: bytes, **values: bytes) -> bytes:
    return render_packet(render_message({**parse_packet(packet), **values}))


def signed(request: bytes, **values: bytes) -> bytes:
    """An answer in which this is different, and signed by the server's own key all the same."""
    message = parse_packet(answer(request))
    changed = render_message({**parse_message(message["SREP"]), **values})
    return replaced(answer(request), SREP=changed, SIG=ONLINE.sign(b"Roughtime v1 response signature\0" + changed))


LIES: dict[str, tuple[Callable[[], bytes], Kind]] = {
    "another long-term key": (lambda: answer(REQUEST, cert=certificate(ONLINE)), Kind.UNAUTHENTICATED),
    "a delegation that is over": (lambda: answer(REQUEST, cert=certificate(hours=0.5)), Kind.UNAUTHENTICATED),
    "a delegation yet to come": (
        lambda: answer(REQUEST, cert=certificate(since=NOW + timedelta(seconds=1))),
        Kind.UNAUTHENTICATED,
    ),
    "another nonce": (lambda: replaced(answer(REQUEST), NONC=bytes(32)), Kind.UNAUTHENTICATED),
    "an old answer": (lambda: answer(build_request(bytes(32), public(LONG_TERM))), Kind.UNAUTHENTICATED),
    "an old answer under the new nonce": (
        lambda: replaced(answer(build_request(bytes(32), public(LONG_TERM))), NONC=NONCE),
        Kind.UNAUTHENTICATED,
    ),
    "another time": (
        lambda: replaced(
            answer(REQUEST),
            SREP=render_message({**parse_message(parse_packet(answer(REQUEST))["SREP"]), "MIDP": struct.pack("<Q", 9)}),
        ),
        Kind.UNAUTHENTICATED,
    ),
    "a signature of nothing": (lambda: replaced(answer(REQUEST), SIG=bytes(64)), Kind.UNAUTHENTICATED),
    "a draft's version": (lambda: signed(REQUEST, VER=word(0x8000000C)), Kind.UNSUPPORTED),
    "a version it does not offer": (lambda: signed(REQUEST, VERS=word(2)), Kind.UNSUPPORTED),
    "an exact time": (lambda: signed(REQUEST, RADI=word(0)), Kind.MALFORMED),
    "a request": (lambda: replaced(answer(REQUEST), TYPE=word(0)), Kind.MALFORMED),
    "a place beyond the tree": (lambda: replaced(answer(REQUEST), INDX=word(1)), Kind.MALFORMED),
    "a path of no hashes": (lambda: replaced(answer(REQUEST), PATH=bytes(4)), Kind.MALFORMED),
    "a path too long": (lambda: replaced(answer(REQUEST), PATH=bytes(33 * 32)), Kind.MALFORMED),
}


@pytest.mark.parametrize("lie", LIES)
def test_no_lie_is_believed(lie: str) -> None:
    make, kind = LIES[lie]
    with pytest.raises(PeerFault) as caught:
        verify_response(make(), REQUEST, public(LONG_TERM))
    assert caught.value.kind is kind
    assert verify_response(answer(REQUEST), REQUEST, public(LONG_TERM)) == Told(NOW, timedelta(seconds=3))


def test_a_time_beyond_the_calendar_is_an_error_and_no_time() -> None:
    far = render_message({"PUBK": public(ONLINE), "MINT": bytes(8), "MAXT": b"\xff" * 8})
    cert = render_message({"SIG": LONG_TERM.sign(b"Roughtime v1 delegation signature\0" + far), "DELE": far})
    srep = {**parse_message(parse_packet(answer(REQUEST))["SREP"]), "MIDP": b"\xff" * 8}
    packet = replaced(
        answer(REQUEST),
        CERT=cert,
        SREP=render_message(srep),
        SIG=ONLINE.sign(b"Roughtime v1 response signature\0" + render_message(srep)),
    )
    with pytest.raises(PeerFault) as caught:
        verify_response(packet, REQUEST, public(LONG_TERM))
    assert caught.value.kind is Kind.MALFORMED


BAD_REQUESTS = {
    "too short": REQUEST[:1000],
    "cut": REQUEST[:-4],
    "longer than it says": REQUEST + bytes(4),
    "no magic": b"roughtim" + REQUEST[8:],
    "no nonce": render_packet(
        render_message({"VER": word(1), "TYPE": word(0), "ZZZZ": bytes(1024)}),
    ),
    "a short nonce": replaced(REQUEST, NONC=bytes(28)),
    "an answer's type": replaced(REQUEST, TYPE=word(1)),
    "padding that says something": replaced(REQUEST, ZZZZ=b"\x01" + bytes(1023)),
    "versions that do not rise": replaced(REQUEST, VER=word(2) + word(1)),
    "no versions": replaced(REQUEST, VER=b"", ZZZZ=bytes(1024)),
}


@pytest.mark.parametrize("what", BAD_REQUESTS)
def test_what_is_no_request_is_refused(what: str) -> None:
    with pytest.raises(PeerFault) as caught:
        parse_request(BAD_REQUESTS[what])
    assert caught.value.kind is Kind.MALFORMED


def test_a_request_names_the_key_it_expects_and_may_offer_more_versions() -> None:
    several = replaced(REQUEST, VER=word(1) + word(7))
    assert parse_request(several).server == server_tag(public(LONG_TERM)) != server_tag(public(ONLINE))
    assert parse_request(REQUEST).nonce == NONCE
    with pytest.raises(PeerFault) as caught:
        parse_request(replaced(REQUEST, VER=word(2)))
    assert caught.value.kind is Kind.UNSUPPORTED


def test_tags_that_are_not_known_are_ignored() -> None:
    assert verify_response(replaced(answer(REQUEST), ABCD=bytes(8)), REQUEST, public(LONG_TERM)).midpoint == NOW


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(4),
        word(33) + bytes(400),
        word(2) + word(2) + b"AAAABBBB" + bytes(8),
        word(2) + word(12) + b"AAAABBBB" + bytes(8),
        word(2) + word(4) + b"BBBBAAAA" + bytes(8),
        word(2) + word(4) + b"AAAAAAAA" + bytes(8),
        word(1) + b"aaaa",
        word(1) + b"A\0A\0",
        word(1) + bytes(4),
        word(1) + b"AAAA" + bytes(3),
    ],
)
def test_a_message_is_exactly_as_the_standard_writes_it(data: bytes) -> None:
    with pytest.raises(PeerFault):
        parse_message(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_refusal(data: bytes) -> None:
    try:
        message = parse_message(data)
    except PeerFault:
        return
    assert render_message(message) == data


@given(
    st.dictionaries(
        st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=4),
        st.binary(max_size=6).map(lambda some: some * 4),
        min_size=1,
        max_size=32,
    )
)
def test_a_message_comes_back_as_it_went(message: dict[str, bytes]) -> None:
    assert parse_message(render_message(message)) == message


def test_only_whole_words_and_whole_batches_are_written() -> None:
    with pytest.raises(Bug):
        render_message({"AAAA": b"123"})
    with pytest.raises(Bug):
        respond([], NOW, 3, certificate(), ONLINE.sign)


def test_a_delegation_says_until_when() -> None:
    assert until_of(certificate(hours=2)) == NOW + timedelta(hours=1)
