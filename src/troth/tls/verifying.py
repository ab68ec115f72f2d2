"""Python hears of the certificates that OpenSSL refuses, and of no others.

OpenSSL calls back for each certificate of a chain, good or bad, and pyOpenSSL makes objects of each: a twentieth of
what a connect costs the gateway. The one place that reaches behind pyOpenSSL's own names. SSL_CTX_set_verify(3).
"""

from collections.abc import Callable
from functools import partial

from cryptography import x509
from OpenSSL import SSL, crypto
from OpenSSL._util import ffi, lib

Chain = Callable[[], tuple[x509.Certificate, ...]]
"""The certificates that OpenSSL has put together so far, the peer's own first."""
Hearing = Callable[[SSL.Connection, int, int, Chain], bool]
"""Told the connection, OpenSSL's error, the depth and how to get at the chain while it is asked; True overrules."""


def hear_refusals(context: SSL.Context, mode: int, callback: Hearing) -> None:
    """Do what ``context.set_verify(mode, callback)`` does, but call only for certificates that OpenSSL refuses.

    What OpenSSL accepts stays accepted: `callback` can be no stricter. An error on the way refuses.
    """
    stores: list[object] = []

    def ask(connection: SSL.Connection, _certificate: crypto.X509, error: int, depth: int, _ok: int, /) -> bool:
        return callback(connection, error, depth, partial(_chain, stores[-1]))

    context.set_verify(mode, ask)
    told: Callable[[int, object], int] = context._verify_callback  # type: ignore[assignment] # OpenSSL's side of it

    def heed(ok: int, store: object) -> int:
        if ok:
            return ok
        stores.append(store)
        try:
            return told(ok, store)
        finally:
            stores.pop()

    heeding = ffi.callback("int (*)(int, X509_STORE_CTX *)", heed, error=0)
    lib.SSL_CTX_set_verify(context._context, mode, heeding)
    # OpenSSL does not keep it alive; the context does, for as long as any of its connections.
    context.set_app_data(heeding)


def _chain(store: object) -> tuple[x509.Certificate, ...]:
    stack = lib.X509_STORE_CTX_get1_chain(store)
    if stack == ffi.NULL:
        return ()
    try:
        # The stack is ours with its references (get1): each goes to the object that is made of it.
        found = [lib.sk_X509_value(stack, place) for place in range(lib.sk_X509_num(stack))]
        return tuple(each.to_cryptography() for each in map(crypto.X509._from_raw_x509_ptr, found))
    finally:
        lib.sk_X509_free(stack)
