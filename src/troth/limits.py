"""Every bound of the product, by name. Units and ``_max`` or ``_min`` come last in a name.

Module constants bound what is parsed and cannot be set. `Limits` holds what an operator may set under ``[limits]``.
"""

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024

# Names (AWS IoT service model: thing, policy and type names have up to 128 characters).
NAME_CHARS_MAX: Final = 128
ATTRIBUTE_NAME_CHARS_MAX: Final = 128
ATTRIBUTE_VALUE_CHARS_MAX: Final = 800
THING_ATTRIBUTES_MAX: Final = 50

# Certificates and requests. A P-256 request is about 300 bytes, an ML-DSA-87 one about 7.5 KiB.
CSR_BYTES_MAX: Final = 16 * KIB
CERTIFICATE_BYTES_MAX: Final = 32 * KIB
CHAIN_CERTIFICATES_MAX: Final = 10
KEY_FILE_BYTES_MAX: Final = 64 * KIB
ALTERNATIVE_NAMES_MAX: Final = 100
PROFILE_CHARS_MAX: Final = 16 * KIB
PROFILE_BACKDATE_S_MAX: Final = 7 * 86_400
PROFILE_VALIDITY_S_MAX: Final = 50 * 365 * 86_400

# What opening a key file may cost, whatever the file says: memory for scrypt, rounds of work for both functions.
KEY_SCRYPT_BYTES_MAX: Final = 256 * KIB * KIB
KEY_SCRYPT_WORK_MAX: Final = 1 << 23
KEY_PBKDF2_ROUNDS_MAX: Final = 10_000_000

# Policy documents. AWS counts 2,048 characters without white space and takes up to 404,600 raw ones.
POLICY_DOCUMENT_CHARS_MAX: Final = 404_600
POLICIES_PER_TARGET_MAX: Final = 10
POLICY_VERSIONS_MAX: Final = 5
MATCHED_TEXT_CHARS_MAX: Final = 65_535 + 256

# MQTT 3.1.1: what the wire format itself can say.
MQTT_REMAINING_LENGTH_MAX: Final = 268_435_455
MQTT_STRING_BYTES_MAX: Final = 65_535

# The database.
DATABASE_CONNECTIONS_MAX: Final = 16
"""Connections that one process holds to its database."""
DATABASE_CONNECTION_WAIT_S_MAX: Final = 5.0
"""Longest wait for one of them, and for a server to take a new one."""
DATABASE_SILENCE_S_MAX: Final = 10.0
"""Longest silence of a database server before its connection counts as lost."""
WRITE_WAIT_S_MAX: Final = 10.0
"""Longest wait of a writer for its turn; then it is told to come again."""
LIST_ROWS_MAX: Final = 1000
"""Rows of one page of any list."""

# The journal.
JOURNAL_ENTRY_BYTES_MAX: Final = 256 * KIB

# EST (RFC 7030): a request travels in base64.
EST_BODY_BYTES_MAX: Final = 2 * CSR_BYTES_MAX
TOKEN_CHARS_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds that an operator may set; the defaults are the preset ``default``."""

    policy_chars_max: int = 8 * KIB
    """Characters of one policy document, white space not counted (AWS: 2,048)."""
    packet_bytes: int = 256 * KIB
    """Bytes of one MQTT packet, header included."""
    client_id_bytes_max: int = 128
    """Bytes of an MQTT client identifier (AWS: 128)."""
    topic_bytes_max: int = 1024
    """Bytes of a topic name or filter (AWS: 256)."""
    filters_per_subscribe_max: int = 64
    """Topic filters in one SUBSCRIBE packet (AWS: 8)."""
    subscriptions_per_connection_max: int = 500
    """Topic filters one connection may hold (AWS: 50)."""
    handshake_s: float = 10.0
    """Seconds from accepted connection to finished TLS handshake."""
    connect_s: float = 10.0
    """Seconds from finished handshake to a complete CONNECT."""
    keep_alive_s_max: int = 1200
    """Longest keep-alive honoured; 0 from a client means this (AWS: 1,200)."""
    write_queue_bytes_max: int = 1024 * KIB
    """Bytes waiting for a slow reader before it is read no further; twice that ends its connection."""
    handshakes_pending_max: int = 1000
    """TLS handshakes under way at once in one worker."""
    connections_max: int = 20_000
    """Connections of one worker."""
    decision_rows_max: int = 100_000
    """Rows kept of the decision log; older ones go first."""
    token_ttl_s_max: int = 90 * 86_400
    """Longest life of an enrollment token."""


DEFAULT: Final = Limits()

PRESETS: Final[dict[str, Limits]] = {
    "default": DEFAULT,
    "aws": Limits(
        policy_chars_max=2048,
        packet_bytes=146 * KIB,
        client_id_bytes_max=128,
        topic_bytes_max=256,
        filters_per_subscribe_max=8,
        subscriptions_per_connection_max=50,
        keep_alive_s_max=1200,
    ),
}
