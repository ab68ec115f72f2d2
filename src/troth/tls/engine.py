"""OpenSSL as one door uses it: bytes in and out of a connection over memory, and what is kept from one to the next.

pyOpenSSL asks OpenSSL after every call how it went, raises an exception for "more is needed", and makes a buffer for
each read; half of what a small message costs in TLS. Here OpenSSL is called directly and pyOpenSSL only where it did
not go well: every error is raised as pyOpenSSL has it. With `troth.tls.naming` and `troth.tls.verifying` the one place
that reaches behind pyOpenSSL's own names. BIO_s_mem(3), SSL_read(3), SSL_do_handshake(3), X509_digest(3).
"""

import hashlib
from collections import OrderedDict
from typing import Final

from cryptography import x509
from OpenSSL import SSL, crypto
from OpenSSL._util import ffi, lib

from troth.errors import Kind, PeerFault
from troth.limits import KIB

BUFFER_BYTES: Final = 32 * KIB
"""What is read at one time: a record has 16 KiB at most."""
PARSED_KEPT_MAX: Final = 1024
"""Certificates of peers that are kept parsed, for those who come again: 3 KiB each."""
_SHA256: Final = lib.EVP_get_digestbyname(b"SHA256")
_SHA256_BYTES: Final = 32


class Engine:
    """Of one door, in one thread: what it reads goes through one buffer, which nothing keeps."""

    __slots__ = ("_buffer", "_bytes", "_digest", "_parsed", "_start")

    def __init__(self) -> None:
        self._buffer = ffi.new("char[]", BUFFER_BYTES)
        self._bytes: bytearray = ffi.buffer(self._buffer)
        self._digest = ffi.new("unsigned char[]", _SHA256_BYTES)
        self._start = ffi.new("char **")
        self._parsed: OrderedDict[str, x509.Certificate] = OrderedDict()

    def shake_hands(self, connection: SSL.Connection) -> bool:
        """Go on with a handshake; return whether it is done, or needs more of the peer. Raises `SSL.Error`."""
        result = lib.SSL_do_handshake(connection._ssl)
        if result == 1:
            return True
        if lib.SSL_get_error(connection._ssl, result) == lib.SSL_ERROR_WANT_READ:
            return False
        raise _error(connection, result)

    def put(self, connection: SSL.Connection, data: bytes) -> None:
        """Give OpenSSL bytes of the peer. Raises `SSL.Error`."""
        if lib.BIO_write(connection._into_ssl, data, len(data)) != len(data):
            raise _no_memory()

    def unread(self, connection: SSL.Connection) -> bytes:
        """Return a copy of the peer's bytes that OpenSSL has not yet looked at: whole records, and the start of one."""
        size = lib.BIO_get_mem_data(connection._into_ssl, self._start)
        return bytes(ffi.buffer(self._start[0], size)) if size > 0 else b""

    def renew_buffers(self, connection: SSL.Connection) -> None:
        """Give a connection whose handshake is over new buffers, if these are empty: they never shrink."""
        if any(lib.BIO_get_mem_data(bio, self._start) for bio in (connection._into_ssl, connection._from_ssl)):
            return
        into, out = lib.BIO_new(lib.BIO_s_mem()), lib.BIO_new(lib.BIO_s_mem())
        if ffi.NULL in (into, out):
            raise _no_memory()
        # They are the connection's from here on, and those before are freed. SSL_set_bio(3).
        lib.SSL_set_bio(connection._ssl, into, out)
        connection._into_ssl, connection._from_ssl = into, out

    def read(self, connection: SSL.Connection) -> bytes:
        """Return the plaintext of the next record. Raises `SSL.Error`, as `SSL.Connection.recv` does."""
        size = lib.SSL_read(connection._ssl, self._buffer, BUFFER_BYTES)
        if size > 0:
            return bytes(self._bytes[:size])
        raise _error(connection, size)

    def open(self, connection: SSL.Connection, record: bytes) -> bytes:
        """Return the plaintext of one whole record: `put` and `read` in one. Raises `SSL.Error`."""
        if lib.BIO_write(connection._into_ssl, record, len(record)) != len(record):
            raise _no_memory()
        size = lib.SSL_read(connection._ssl, self._buffer, BUFFER_BYTES)
        if size > 0:
            return bytes(self._bytes[:size])
        raise _error(connection, size)

    def seal(self, connection: SSL.Connection, data: bytes) -> bytes:
        """Return the record of all of `data`, which fits one, after what else waits to be sent. Raises `SSL.Error`."""
        size = lib.SSL_write(connection._ssl, data, len(data))
        if size != len(data):
            raise _error(connection, size)
        size = lib.BIO_read(connection._from_ssl, self._buffer, BUFFER_BYTES)
        if 0 < size < BUFFER_BYTES:
            return bytes(self._bytes[:size])
        return bytes(self._bytes[: max(size, 0)]) + self.drain(connection)

    def drain(self, connection: SSL.Connection) -> bytes:
        """Return all that OpenSSL wants sent."""
        size = lib.BIO_read(connection._from_ssl, self._buffer, BUFFER_BYTES)
        if size <= 0:
            return b""
        if size < BUFFER_BYTES:
            return bytes(self._bytes[:size])
        more = [bytes(self._bytes[:size])]
        while (size := lib.BIO_read(connection._from_ssl, self._buffer, BUFFER_BYTES)) > 0:
            more.append(bytes(self._bytes[:size]))
        return b"".join(more)

    def peer_certificate(self, connection: SSL.Connection) -> tuple[str, x509.Certificate] | tuple[None, None]:
        """Return the SHA-256 fingerprint of the peer's certificate in hex, and the certificate; (None, None): none.

        Raises:
            PeerFault: MALFORMED, when OpenSSL could read it and we cannot.
        """
        presented = lib.SSL_get_peer_certificate(connection._ssl)
        if presented == ffi.NULL:
            return None, None
        # It frees our reference when it goes.
        owned = crypto.X509._from_raw_x509_ptr(presented)
        if lib.X509_digest(presented, _SHA256, self._digest, ffi.NULL) != 1:
            raise PeerFault(Kind.MALFORMED, "the fingerprint of a certificate of the peer cannot be taken")
        fingerprint = bytes(ffi.buffer(self._digest)).hex()
        known = self._parsed.get(fingerprint)
        if known is not None:
            self._parsed.move_to_end(fingerprint)
            return fingerprint, known
        return fingerprint, self._keep(fingerprint, owned)

    def _keep(self, fingerprint: str, presented: crypto.X509) -> x509.Certificate:
        der = crypto.dump_certificate(crypto.FILETYPE_ASN1, presented)
        if hashlib.sha256(der).hexdigest() != fingerprint:
            raise PeerFault(Kind.MALFORMED, "a certificate of the peer has two readings")
        try:
            certificate = x509.load_der_x509_certificate(der)
        except (ValueError, x509.InvalidVersion) as error:
            raise PeerFault(Kind.MALFORMED, "a certificate of the peer cannot be read", detail=str(error)) from error
        self._parsed[fingerprint] = certificate
        if len(self._parsed) > PARSED_KEPT_MAX:
            self._parsed.popitem(last=False)
        return certificate


def _error(connection: SSL.Connection, result: int) -> SSL.Error:
    """Return what pyOpenSSL would raise."""
    try:
        connection._raise_ssl_error(connection._ssl, result)
    except SSL.Error as error:
        return error
    return SSL.Error([("SSL routines", "", "it failed without a reason")])


def _no_memory() -> SSL.Error:
    return SSL.Error([("BIO routines", "", "no memory")])
