"""The device's side of TLS, on Python's own `ssl`: token keys work there, and a device installs no OpenSSL binding.

TLS 1.2 and 1.3, the server's certificate and name always checked (RFC 5280, RFC 9525), against the given roots alone.
"""

import contextlib
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from troth.errors import Fault, Kind
from troth.tls.refusals import Refusal, refusal

__all__ = [
    "Connection",
    "Context",
    "Judged",
    "Refusal",
    "Stream",
    "client_context",
    "connect",
    "last_words",
    "refusal",
    "server_certificate",
    "verified_chain",
]

Connection = ssl.SSLSocket
Stream = socket.socket
"""A connection that is read and written by: a `Connection`, or what stunnel has made in its place."""
Context = ssl.SSLContext
Judged = ssl.SSLSocket | ssl.SSLObject
"""A connection in either of the shapes that Python has for one."""
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of X509_VERIFY_PARAM_set_flags(3), for which `ssl` has no name."""


def client_context(
    roots: Sequence[x509.Certificate] | bytes,
    *,
    chain_path: Path | None = None,
    key_path: Path | None = None,
    passphrase: bytes | None = None,
    alpn: Sequence[str] = (),
    checks_time: bool = True,
) -> ssl.SSLContext:
    """Return a context that trusts `roots` (certificates, or PEM) and nothing else.

    `chain_path` is a PEM file with our own certificate and those above it, `key_path` its key's, unlocked by
    `passphrase`. Without `checks_time` certificates count that are not valid now: whoever connects must look at
    `server_certificate`.

    Raises:
        Fault: MISCONFIGURED when the roots are none or unreadable; BAD_KEY when certificate and key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    if not checks_time:
        context.verify_flags |= _NO_CHECK_TIME
    pem = roots if isinstance(roots, bytes) else b"".join(root.public_bytes(Encoding.PEM) for root in roots)
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise Fault(Kind.MISCONFIGURED, "the trusted roots cannot be read", detail=str(error)) from error
    if chain_path is not None:
        try:
            # An empty passphrase fails for a locked key; without one OpenSSL would ask on the terminal.
            context.load_cert_chain(chain_path, key_path, passphrase or b"")
        except (ssl.SSLError, OSError) as error:
            message = f"the certificate {chain_path} and its key cannot be used"
            raise Fault(Kind.BAD_KEY, message, detail=str(error)) from error
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def server_certificate(connection: Stream) -> bytes:
    """Return the certificate that the server has shown, in DER. Raises `Fault` (unsupported) where stunnel has it."""
    if not isinstance(connection, ssl.SSLSocket):
        raise Fault(Kind.UNSUPPORTED, "what the server has shown is not told by stunnel")
    return connection.getpeercert(binary_form=True) or b""


def verified_chain(connection: Judged) -> tuple[bytes, ...]:
    """Return the certificates by which OpenSSL has judged the server, in DER: its own first, the root last.

    Python tells them by a public name from 3.13 on; before that its own SSL object already knows. Raises `Fault`
    (unsupported) where it does not, so that nobody takes what was shown for what was judged.
    """
    tell = getattr(connection, "get_verified_chain", None)
    if tell is not None:
        return tuple(tell())
    tell = getattr(connection._sslobj, "get_verified_chain", None)  # type: ignore[union-attr]
    if tell is None:
        raise Fault(Kind.UNSUPPORTED, "this Python does not tell which certificates its OpenSSL has verified")
    return tuple(ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in tell())


def connect(host: str, port: int, context: ssl.SSLContext, server_name: str, timeout_s: float) -> ssl.SSLSocket:
    """Return a connected socket whose server has proven to be `server_name` (a DNS name or an IP address).

    Every single step, and every later read and write, may take `timeout_s`.

    Under TLS 1.3 the handshake ends on our side before the server has looked at our certificate (RFC 8446, 2): its
    refusal comes with the first read, so that only a read that returned something proves that we are in. A write can
    fail before that read; ask `last_words` then.

    Raises:
        OSError: And its kin `ssl.SSLError`; `refusal` puts them into a word.
    """
    plain = socket.create_connection((host, port), timeout_s)
    try:
        return context.wrap_socket(plain, server_hostname=server_name)
    except BaseException:
        plain.close()
        raise


def last_words(connection: socket.socket, error: Exception) -> Refusal:
    """Return why a write failed with `error`: the alert that the server left to be read, if there is one."""
    if isinstance(error, ConnectionError | ssl.SSLEOFError):
        with contextlib.suppress(ConnectionError, TimeoutError):
            try:
                connection.recv(1)
            except ssl.SSLError as alert:
                return refusal(alert)
    return refusal(error)
