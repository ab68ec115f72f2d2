"""The alerts of TLS by number and name (RFC 8446, section 6; the older ones from RFC 5246, 6066 and 7301).

Knows no library: both sides translate what their OpenSSL says into these names.
"""

from typing import Final

ALERTS: Final[dict[int, str]] = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    21: "decryption_failed",
    22: "record_overflow",
    30: "decompression_failure",
    40: "handshake_failure",
    41: "no_certificate",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    60: "export_restriction",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    111: "certificate_unobtainable",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    114: "bad_certificate_hash_value",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}

_NAMES: Final = frozenset(ALERTS.values())
# By release: up to 3.1, 3.2 to 3.6, from 4.0.
_PREFIXES: Final = ("sslv3", "tlsv1", "tlsv13", "ssl/tls", "tls")


def alert_name(reason: str) -> str | None:
    """Return the RFC's name of the alert in an OpenSSL reason, or None when the reason is no received alert.

    Takes both spellings: ``tlsv13 alert certificate required`` (the library's text) and
    ``TLSV13_ALERT_CERTIFICATE_REQUIRED`` (`ssl.SSLError.reason`). Five extension alerts come without the word "alert".
    """
    prefix, _, rest = reason.lower().replace(" ", "_").partition("_")
    name = rest.removeprefix("alert_").replace("user_cancelled", "user_canceled")
    return name if prefix in _PREFIXES and name in _NAMES else None
