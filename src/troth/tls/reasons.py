"""Why a handshake failed, in one word that is counted and logged, and how OpenSSL's words map onto it.

Tables as data, and total: what they do not name is `HandshakeFailure.OTHER` with OpenSSL's own text as the detail.
Certificate verdicts are those of X509_verify_cert(3); protocol reasons are those of OpenSSL's error queue.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from OpenSSL import SSL

from troth.tls.alerts import alert_name


class HandshakeFailure(StrEnum):
    """Why a peer did not come in."""

    NO_CERTIFICATE = "no-certificate"
    """The peer sent none where one is required."""
    SELF_SIGNED = "self-signed"
    """The peer's certificate is signed by itself, or by a chain that ends in a root of its own."""
    UNKNOWN_ISSUER = "unknown-issuer"
    """The certificate names an issuer that is not ours."""
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    WRONG_PURPOSE = "wrong-purpose"
    """A certificate made for something else, such as a server's."""
    BAD_SIGNATURE = "bad-signature"
    """The signature on the certificate, or the peer's proof that it holds the key, does not verify."""
    NO_SHARED_PROTOCOL = "no-shared-protocol"
    """No protocol version, cipher, group, compression, signature algorithm or application protocol in common."""
    UNKNOWN_SERVER_NAME = "unknown-server-name"
    """The peer asked for a server of another name, at a door that refuses that."""
    NOT_TLS = "not-tls"
    """The first bytes are no TLS at all."""
    TIMEOUT = "timeout"
    PEER_CLOSED = "peer-closed"
    """The peer went away without a word."""
    PEER_ALERT = "peer-alert"
    """The peer refused us; the detail is its alert."""
    TOO_MANY = "too-many"
    """Refused before the first byte, since too many handshakes were under way."""
    TOO_MANY_OF_ADDRESS = "too-many-of-address"
    """Refused before the first byte, since too many of them were of its address."""
    TOO_OFTEN = "too-often"
    """Refused before the first byte, since its address connects too often."""
    PROXY_HEADER = "proxy-header"
    """A listed load balancer did not say, before the first byte, for whom it has connected."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Verdict:
    """OpenSSL's "no" on one certificate of a chain: the X509_V_ERR number and the depth (0 is the peer's own)."""

    error: int
    depth: int


_VERDICTS: Final[dict[int, HandshakeFailure]] = {
    SSL.X509VerificationCodes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: HandshakeFailure.SELF_SIGNED,
    SSL.X509VerificationCodes.ERR_SELF_SIGNED_CERT_IN_CHAIN: HandshakeFailure.SELF_SIGNED,
    SSL.X509VerificationCodes.ERR_UNABLE_TO_GET_ISSUER_CERT: HandshakeFailure.UNKNOWN_ISSUER,
    SSL.X509VerificationCodes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: HandshakeFailure.UNKNOWN_ISSUER,
    SSL.X509VerificationCodes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: HandshakeFailure.UNKNOWN_ISSUER,
    SSL.X509VerificationCodes.ERR_CERT_HAS_EXPIRED: HandshakeFailure.CERTIFICATE_EXPIRED,
    SSL.X509VerificationCodes.ERR_CERT_NOT_YET_VALID: HandshakeFailure.CERTIFICATE_NOT_YET_VALID,
    SSL.X509VerificationCodes.ERR_INVALID_PURPOSE: HandshakeFailure.WRONG_PURPOSE,
    SSL.X509VerificationCodes.ERR_CERT_SIGNATURE_FAILURE: HandshakeFailure.BAD_SIGNATURE,
    SSL.X509VerificationCodes.ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE: HandshakeFailure.BAD_SIGNATURE,
}
_VERDICT_WORDS: Final[dict[int, str]] = {
    number: name.removeprefix("ERR_").lower().replace("_", " ")
    for name, number in vars(SSL.X509VerificationCodes).items()
    if name.startswith("ERR_")
}

_REASONS: Final[dict[str, HandshakeFailure]] = {
    "peer did not return a certificate": HandshakeFailure.NO_CERTIFICATE,
    "bad signature": HandshakeFailure.BAD_SIGNATURE,
    "unsupported protocol": HandshakeFailure.NO_SHARED_PROTOCOL,
    "version too low": HandshakeFailure.NO_SHARED_PROTOCOL,
    "inappropriate fallback": HandshakeFailure.NO_SHARED_PROTOCOL,
    "no shared cipher": HandshakeFailure.NO_SHARED_PROTOCOL,
    "no suitable key share": HandshakeFailure.NO_SHARED_PROTOCOL,
    "no suitable groups": HandshakeFailure.NO_SHARED_PROTOCOL,
    "no suitable signature algorithm": HandshakeFailure.NO_SHARED_PROTOCOL,
    "no shared signature algorithms": HandshakeFailure.NO_SHARED_PROTOCOL,
    "no application protocol": HandshakeFailure.NO_SHARED_PROTOCOL,
    "required compression algorithm missing": HandshakeFailure.NO_SHARED_PROTOCOL,
    # Of our callbacks the one for server names alone ends so.
    "callback failed": HandshakeFailure.UNKNOWN_SERVER_NAME,
    "http request": HandshakeFailure.NOT_TLS,
    "https proxy request": HandshakeFailure.NOT_TLS,
    "wrong version number": HandshakeFailure.NOT_TLS,
}


def failure_of_verdict(verdict: Verdict) -> tuple[HandshakeFailure, str]:
    """Translate OpenSSL's verdict on a certificate into our word and a detail for the log."""
    words = _VERDICT_WORDS.get(verdict.error, f"verification error {verdict.error}")
    return _VERDICTS.get(verdict.error, HandshakeFailure.OTHER), f"{words} at depth {verdict.depth}"


def failure_of(error: Exception, verdict: Verdict | None) -> tuple[HandshakeFailure, str]:
    """Translate what a failed handshake raised, and the verdict recorded on the way, into our word and a detail."""
    if verdict is not None:
        return failure_of_verdict(verdict)
    if isinstance(error, SSL.ZeroReturnError):
        return HandshakeFailure.PEER_CLOSED, "close_notify"
    reasons = _queued_reasons(error)
    for reason in reasons:
        if alert := alert_name(reason):
            return HandshakeFailure.PEER_ALERT, alert
        if reason in _REASONS:
            return _REASONS[reason], reason
    return HandshakeFailure.OTHER, "; ".join(reasons) or repr(error)


def _queued_reasons(error: Exception) -> Sequence[str]:
    """Return the reasons of OpenSSL's error queue, which pyOpenSSL raises as (library, function, reason) triples."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else ()
    return [reason for _library, _function, reason in queue if reason]
