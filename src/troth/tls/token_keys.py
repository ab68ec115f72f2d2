"""A private key that stays in its token, used by Python's own `ssl`: OpenSSL's pkcs11 engine put into a context.

`ssl` takes keys from files alone, and its contexts show no pointer: the one place that reaches behind both, on CPython
over the OpenSSL 3 that it was linked with, and nowhere else. What it has done it checks before anybody connects: the
certificate in the context is the one in the file, and the key is that certificate's. SSL_CTX_use_PrivateKey(3),
ENGINE_load_private_key(3); Debian has the engine in libengine-pkcs11-openssl.
"""

import ctypes
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from troth.errors import Fault, Kind
from troth.x509.certificates import parse_chain

_CONTEXT_AT: Final = 2 * ctypes.sizeof(ctypes.c_void_p)
"""Where `PySSLContext` has its SSL_CTX: behind the head that every object of CPython's has, since its first version."""
_POINTER: Final = ctypes.c_void_p
_ENGINE: Final = b"pkcs11"
_ENGINES: Final = threading.Lock()
"""Held by who makes an engine or loads a key by one: an agent's threads connect side by side."""
_HINT: Final = "on Debian 12: apt install libengine-pkcs11-openssl; docs/hardware.md says where this works"


@dataclass(frozen=True, slots=True)
class TokenKeyAccess:
    """A key in a token, and how to get at it."""

    module: Path
    """The token's PKCS#11 module."""
    uri: str
    """``pkcs11:`` (RFC 7512), without module and PIN."""
    pin: str = field(repr=False)


def use_token_key(context: ssl.SSLContext, chain: bytes, access: TokenKeyAccess) -> None:
    """Let `context` show `chain` (PEM, its own certificate first) and prove it by the key in the token.

    Raises `Fault`: unsupported where this interpreter or its OpenSSL cannot; unavailable when the token, the key or the
    PIN is not good now; bad key when the key is not the certificate's.
    """
    crypto, tls = _libraries()
    pointer = _pointer_of(context, tls)
    with _ENGINES:
        key, said = _load(crypto, access)
        if key is None and "PIN" not in said:
            # Somebody has begun anew with the module, and the engine's session is gone; a PIN is not tried twice.
            _engine.cache_clear()
            key, said = _load(crypto, access)
    if key is None:
        raise Fault(
            Kind.UNAVAILABLE,
            "the key in the token cannot be used now",
            hint="check that the token is there, that the URI means its key, and the PIN",
            detail=said,
        )
    try:
        certificates = parse_chain(chain)
        _show(crypto, tls, pointer, certificates)
        if tls.SSL_CTX_use_PrivateKey(pointer, key) != 1:
            raise Fault(Kind.BAD_KEY, "the key in the token is not the certificate's", detail=_errors(crypto))
    finally:
        crypto.EVP_PKEY_free(key)
    _require_done(crypto, tls, pointer, certificates[0])


def _load(crypto: ctypes.CDLL, access: TokenKeyAccess) -> tuple[int | None, str]:
    """Return the key, or None and why."""
    engine = _engine(str(access.module), access.pin)
    key: int | None = crypto.ENGINE_load_private_key(engine, access.uri.encode(), None, None)
    return (key, "") if key else (None, _errors(crypto))


@cache
def _libraries() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    """Return libcrypto and libssl, the very ones that this interpreter's `ssl` uses. Raises `Fault` (unsupported)."""
    if (
        sys.implementation.name != "cpython"
        or hasattr(sys, "gettotalrefcount")
        or not getattr(sys, "_is_gil_enabled", lambda: True)()
    ):
        raise _unsupported("this interpreter is not CPython as Debian builds it")
    try:
        crypto, tls = ctypes.CDLL("libcrypto.so.3"), ctypes.CDLL("libssl.so.3")
        for library, names in ((crypto, _CRYPTO), (tls, _TLS)):
            for name, (result, *arguments) in names.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise _unsupported(str(error)) from error
    if crypto.OpenSSL_version(0).decode() != ssl.OPENSSL_VERSION:
        raise _unsupported(f"ssl has {ssl.OPENSSL_VERSION}, the system {crypto.OpenSSL_version(0).decode()}")
    return crypto, tls


@cache
def _engine(module: str, pin: str) -> int:
    """Return the engine with this module loaded; once, for it cannot be given another. Raises `Fault` (unsupported)."""
    crypto, _ = _libraries()
    engine: int | None = crypto.ENGINE_by_id(_ENGINE)
    if not engine:
        raise _unsupported(_errors(crypto))
    for command, value in ((b"MODULE_PATH", module), (b"PIN", pin)):
        if crypto.ENGINE_ctrl_cmd_string(engine, command, value.encode(), 0) != 1:
            raise _unsupported(_errors(crypto))
    if crypto.ENGINE_init(engine) != 1:
        raise _unsupported(_errors(crypto))
    return engine


def _pointer_of(context: ssl.SSLContext, tls: ctypes.CDLL) -> int:
    """Return the SSL_CTX inside; what is found there must know the context's own options."""
    found = ctypes.c_void_p.from_address(id(context) + _CONTEXT_AT).value
    if not found or tls.SSL_CTX_get_options(found) & 0xFFFFFFFF != context.options & 0xFFFFFFFF:
        raise _unsupported("a context of ssl is not laid out as expected")
    return found


def _show(crypto: ctypes.CDLL, tls: ctypes.CDLL, pointer: int, certificates: tuple[x509.Certificate, ...]) -> None:
    own, *above = (_certificate(crypto, each) for each in certificates)
    try:
        good = tls.SSL_CTX_use_certificate(pointer, own) == 1
        # SSL_CTX_ctrl with SSL_CTRL_CHAIN_CERT and 1 for "count one more": SSL_CTX_add1_chain_cert is a macro.
        good = good and all(tls.SSL_CTX_ctrl(pointer, 89, 1, each) == 1 for each in above)
    finally:
        for each in (own, *above):
            crypto.X509_free(each)
    if not good:
        raise Fault(Kind.BAD_KEY, "the certificate cannot be shown", detail=_errors(crypto))


def _certificate(crypto: ctypes.CDLL, certificate: x509.Certificate) -> int:
    der = certificate.public_bytes(Encoding.DER)
    place = ctypes.c_char_p(der)
    made: int | None = crypto.d2i_X509(None, ctypes.byref(place), len(der))
    if not made:
        raise Fault(Kind.BAD_KEY, "OpenSSL cannot read the certificate", detail=_errors(crypto))
    return made


def _require_done(crypto: ctypes.CDLL, tls: ctypes.CDLL, pointer: int, own: x509.Certificate) -> None:
    """Return if the context has this certificate and its key. Raises `Fault` (unsupported): nobody is to connect."""
    shown = _encoded(crypto.i2d_X509, tls.SSL_CTX_get0_certificate(pointer))
    public = _encoded(crypto.i2d_PUBKEY, tls.SSL_CTX_get0_privatekey(pointer))
    expected = own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if shown != own.public_bytes(Encoding.DER) or public != expected:
        raise _unsupported("the context did not take the certificate and the key")


def _encoded(encode: Callable[..., int], thing: int | None) -> bytes:
    if not thing:
        return b""
    buffer = ctypes.create_string_buffer(max(encode(thing, None), 0))
    place = ctypes.c_void_p(ctypes.addressof(buffer))
    encode(thing, ctypes.byref(place))
    return buffer.raw


def _errors(crypto: ctypes.CDLL) -> str:
    """Take all that OpenSSL has to say off its queue."""
    said, buffer = [], ctypes.create_string_buffer(256)
    while code := crypto.ERR_get_error():
        crypto.ERR_error_string_n(code, buffer, len(buffer))
        said.append(buffer.value.decode("ascii", "replace"))
    return "; ".join(said)


def _unsupported(detail: str) -> Fault:
    return Fault(Kind.UNSUPPORTED, "a key in a token cannot be used for TLS here", hint=_HINT, detail=detail)


_INT: Final = ctypes.c_int
_TEXT: Final = ctypes.c_char_p
_CRYPTO: Final[dict[str, tuple[Any, ...]]] = {
    "OpenSSL_version": (_TEXT, _INT),
    "ENGINE_by_id": (_POINTER, _TEXT),
    "ENGINE_init": (_INT, _POINTER),
    "ENGINE_ctrl_cmd_string": (_INT, _POINTER, _TEXT, _TEXT, _INT),
    "ENGINE_load_private_key": (_POINTER, _POINTER, _TEXT, _POINTER, _POINTER),
    "EVP_PKEY_free": (None, _POINTER),
    "X509_free": (None, _POINTER),
    "d2i_X509": (_POINTER, _POINTER, _POINTER, ctypes.c_long),
    "i2d_X509": (_INT, _POINTER, _POINTER),
    "i2d_PUBKEY": (_INT, _POINTER, _POINTER),
    "ERR_get_error": (ctypes.c_ulong,),
    "ERR_error_string_n": (None, ctypes.c_ulong, _TEXT, ctypes.c_size_t),
}
_TLS: Final[dict[str, tuple[Any, ...]]] = {
    "SSL_CTX_get_options": (ctypes.c_uint64, _POINTER),
    "SSL_CTX_use_certificate": (_INT, _POINTER, _POINTER),
    "SSL_CTX_ctrl": (ctypes.c_long, _POINTER, _INT, ctypes.c_long, _POINTER),
    "SSL_CTX_use_PrivateKey": (_INT, _POINTER, _POINTER),
    "SSL_CTX_get0_certificate": (_POINTER, _POINTER),
    "SSL_CTX_get0_privatekey": (_POINTER, _POINTER),
}
"""What is called: the result, then the arguments."""
