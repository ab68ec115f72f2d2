"""TLS between two devices, on Python's own `ssl`: both ends show a certificate, and both look at the other's.

TLS 1.3 alone, so that nobody who listens in sees who meets whom, and nothing is resumed (RFC 8446, appendix E.1).
OpenSSL checks signatures, constraints and purpose against the given roots; names and dates are left to the caller, who
must look at `verified_chain`.
"""

import contextlib
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from troth.errors import Fault, Kind
from troth.tls.client import Connection, Context, verified_chain
from troth.tls.refusals import Refusal, refusal

__all__ = [
    "Connection",
    "Context",
    "Refusal",
    "neighbour_context",
    "part",
    "refusal",
    "shake_hands",
    "show",
    "verified_chain",
]

_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of X509_VERIFY_PARAM_set_flags(3), for which `ssl` has no name."""
_LINGER_S: Final = 1.0
_LINGER_BYTES_MAX: Final = 256 * 1024
_READ_BYTES: Final = 16 * 1024


def neighbour_context(roots: Sequence[x509.Certificate], *, listens: bool) -> ssl.SSLContext:
    """Return a context that trusts `roots` and nothing else, and demands a certificate. It has none to show yet.

    Raises `Fault` (misconfigured) when the roots are none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if listens else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= _NO_CHECK_TIME
    if listens:
        context.num_tickets = 0
    try:
        context.load_verify_locations(cadata=b"".join(root.public_bytes(Encoding.PEM) for root in roots).decode())
    except (ssl.SSLError, ValueError) as error:
        raise Fault(Kind.MISCONFIGURED, "the trusted roots cannot be read", detail=str(error)) from error
    return context


def show(context: ssl.SSLContext, chain_file: Path, key_file: Path) -> None:
    """Let `context` show the chain in a file. Raises `Fault` (bad key)."""
    try:
        # An empty passphrase fails for a locked key; without one OpenSSL would ask on the terminal.
        context.load_cert_chain(chain_file, key_file, b"")
    except (ssl.SSLError, OSError) as error:
        message = f"the certificate {chain_file} and its key cannot be used"
        raise Fault(Kind.BAD_KEY, message, detail=str(error)) from error


def shake_hands(
    plain: socket.socket, context: ssl.SSLContext, *, listens: bool, timeout_s: float
) -> tuple[ssl.SSLSocket, socket.socket]:
    """Return the connection that `plain` becomes, and a second handle on `plain` for `part`.

    All of the handshake may take `timeout_s`, and every later read and write. `plain` is closed whatever happens.
    Raises `OSError` and its kin `ssl.SSLError`, when the other has been told by an alert; `refusal` puts them into a
    word. What the other thinks of our certificate, who called learns at the first read only.
    """
    plain.settimeout(timeout_s)
    # An answer must not wait for the other's TCP to acknowledge what went before it (40 ms on Linux).
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw = plain.dup()
    try:
        connection = context.wrap_socket(plain, server_side=listens, do_handshake_on_connect=False)
    except BaseException:
        raw.close()
        plain.close()
        raise
    try:
        connection.do_handshake()
    except BaseException:
        part(connection, raw)
        raise
    return connection, raw


def part(connection: ssl.SSLSocket, raw: socket.socket) -> None:
    """Close, so that the other still gets what was said last: closing over unread bytes would take it back (RST)."""
    with contextlib.suppress(OSError):
        raw.settimeout(_LINGER_S)
        raw.shutdown(socket.SHUT_WR)
        left = _LINGER_BYTES_MAX
        while left > 0 and (data := raw.recv(_READ_BYTES)):
            left -= len(data)
    raw.close()
    connection.close()
