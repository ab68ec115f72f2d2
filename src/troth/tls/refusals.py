"""Why a TLS client did not come through, in one word that says which side refused: ours, or the server by an alert.

Knows only Python's `ssl`, whose exceptions it reads; the alerts are those of RFC 8446, section 6.
"""

import re
import ssl
from dataclasses import dataclass
from typing import Final

from troth.tls.alerts import alert_name

# Our own verdicts on a server's certificate: X509_V_ERR numbers of X509_verify_cert(3).
_VERDICTS: Final[dict[int, str]] = {
    2: "unknown-issuer",
    7: "bad-signature",
    9: "not-yet-valid",
    10: "expired",
    18: "self-signed",
    19: "unknown-issuer",
    20: "unknown-issuer",
    21: "unknown-issuer",
    26: "wrong-purpose",
    62: "wrong-name",
    64: "wrong-name",
}
_REASONS: Final[dict[str, str]] = {
    "WRONG_VERSION_NUMBER": "not-tls",
    "UNSUPPORTED_PROTOCOL": "no-shared-protocol",
    "NO_PROTOCOLS_AVAILABLE": "no-shared-protocol",
    "UNEXPECTED_EOF_WHILE_READING": "closed",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no-certificate",
}
# "[SSL] tlsv1 alert no application protocol (_ssl.c:1006)": how Python words what it has no constant for.
_UNNAMED: Final = re.compile(r"\] (.+?) \(_ssl\.c")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Who refused and why.

    `word` is one of ``unknown-issuer``, ``self-signed``, ``wrong-name``, ``expired``, ``not-yet-valid``,
    ``wrong-purpose``, ``bad-signature``, ``untrusted``: we refused the server (a neighbour, too, and then also for
    ``no-certificate``); ``alert:`` and a name of RFC 8446: the
    server refused us; ``closed``, ``reset``, ``timeout``, ``unreachable``, ``not-tls``, ``no-shared-protocol``,
    ``other``: there was nobody to refuse, or no reason was given.
    """

    word: str
    detail: str

    @property
    def alert(self) -> str | None:
        """The name of the alert that the server sent, if it sent one."""
        return self.word.removeprefix("alert:") if self.word.startswith("alert:") else None


def refusal(error: Exception) -> Refusal:
    """Put what a connection raised, at any time from connecting to reading, into one word."""
    return Refusal(_word(error), str(error))


def _word(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return _VERDICTS.get(error.verify_code, "untrusted")
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return "closed"
        case TimeoutError():
            return "timeout"
        case ssl.SSLError():
            return _word_of_library(error)
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            return "reset"
        case OSError():
            return "unreachable"
        case _:
            return "other"


def _word_of_library(error: ssl.SSLError) -> str:
    unnamed = _UNNAMED.search(str(error))
    # Exceptions that Python raises without asking OpenSSL have no reason at all.
    reason = getattr(error, "reason", None) or (unnamed.group(1) if unnamed else "")
    alert = alert_name(reason)
    return f"alert:{alert}" if alert else _REASONS.get(reason, "other")
