"""The words for what OpenSSL says, by either of the two libraries, and for what no table names."""

import ssl

import pytest
from OpenSSL import SSL
from tests.unit.tls.harness import World

from troth.tls.alerts import ALERTS, alert_name
from troth.tls.client import Refusal, refusal
from troth.tls.reasons import HandshakeFailure, Verdict, failure_of, failure_of_verdict

FATAL = 2
SENT_FATALLY = sorted(set(ALERTS) - {0})


def answered(world: World, record: bytes) -> tuple[Exception, Exception]:
    """Let both ends of a handshake read `record` after the client's first message; return what each raises."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = world.client(None, ssl.TLSVersion.TLSv1_2).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    server = world.tls().connection()
    server.bio_write(outgoing.read())
    with pytest.raises(SSL.WantReadError):
        server.do_handshake()
    server.bio_write(record)
    incoming.write(record)
    with pytest.raises(SSL.Error) as at_server:
        server.do_handshake()
    with pytest.raises(ssl.SSLError) as at_client:
        client.do_handshake()
    return at_server.value, at_client.value


@pytest.mark.parametrize("number", SENT_FATALLY, ids=[ALERTS[number] for number in SENT_FATALLY])
def test_both_libraries_alerts_get_the_name_of_the_rfc(world: World, number: int) -> None:
    at_server, at_client = answered(world, bytes([21, 3, 3, 0, 2, FATAL, number]))
    assert failure_of(at_server, None) == (HandshakeFailure.PEER_ALERT, ALERTS[number])
    assert refusal(at_client).word == f"alert:{ALERTS[number]}"
    assert refusal(at_client).alert == ALERTS[number]


def test_a_goodbye_in_the_handshake_is_no_alert(world: World) -> None:
    at_server, at_client = answered(world, bytes([21, 3, 3, 0, 2, 1, 0]))
    assert failure_of(at_server, None) == (HandshakeFailure.PEER_CLOSED, "close_notify")
    assert refusal(at_client).word == "closed"


def test_what_no_table_names_keeps_the_words_of_openssl(world: World) -> None:
    at_server, at_client = answered(world, bytes([21, 3, 3, 0, 2, FATAL, 200]))
    assert failure_of(at_server, None)[0] is HandshakeFailure.OTHER
    assert refusal(at_client) == Refusal("other", str(at_client))
    error = SSL.Error([("SSL routines", "", "a reason of tomorrow"), ("SSL routines", "", "and its cause")])
    assert failure_of(error, None) == (HandshakeFailure.OTHER, "a reason of tomorrow; and its cause")
    assert failure_of(SSL.SysCallError(-1, "Unexpected EOF"), None)[0] is HandshakeFailure.OTHER


def test_the_verdict_counts_before_the_queue() -> None:
    error = SSL.Error([("SSL routines", "", "certificate verify failed")])
    expired = Verdict(SSL.X509VerificationCodes.ERR_CERT_HAS_EXPIRED, 0)
    assert failure_of(error, expired) == (HandshakeFailure.CERTIFICATE_EXPIRED, "cert has expired at depth 0")


def test_every_verdict_of_openssl_has_a_word() -> None:
    known = 0
    for error in range(200):
        reason, detail = failure_of_verdict(Verdict(error, 3))
        assert detail.endswith(" at depth 3")
        known += reason is not HandshakeFailure.OTHER
    assert known == 10
    assert failure_of_verdict(Verdict(66, 0)) == (HandshakeFailure.OTHER, "verification error 66 at depth 0")


@pytest.mark.parametrize("text", ["", "bad signature", "tlsv1 alert", "tlsv1 alert of tomorrow", "alert unknown ca"])
def test_what_is_no_alert_has_no_name(text: str) -> None:
    assert alert_name(text) is None


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (TimeoutError("timed out"), "timeout"),
        (ConnectionResetError("reset"), "reset"),
        (BrokenPipeError("pipe"), "reset"),
        (ConnectionRefusedError("refused"), "unreachable"),
        (OSError("no route"), "unreachable"),
        (ssl.SSLEOFError("eof"), "closed"),
        (ssl.SSLError("something"), "other"),
        (ValueError("ours"), "other"),
    ],
)
def test_other_ends_of_a_connection_have_words(error: Exception, word: str) -> None:
    assert refusal(error) == Refusal(word, str(error))
    assert refusal(error).alert is None
