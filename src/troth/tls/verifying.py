"""Python hears of the certificates that OpenSSL refuses, and of no others.

OpenSSL calls back for each certificate of a chain, good or bad, and pyOpenSSL makes objects of each: a twentieth of
what a connect costs the gateway. The one place that reaches behind pyOpenSSL's own names. SSL_CTX_set_verify(3).
"""

from collections.abc import Callable

from OpenSSL import SSL, crypto
from OpenSSL._util import ffi, lib


def hear_refusals(
    context: SSL.Context, mode: int, callback: Callable[[SSL.Connection, crypto.X509, int, int, int], bool]
) -> None:
    """Do what ``context.set_verify(mode, callback)`` does, but call only for certificates that OpenSSL refuses.

    What it accepts stays accepted: `callback` can be no stricter. An error on the way refuses.
    """
    context.set_verify(mode, callback)
    told: Callable[[int, object], int] = context._verify_callback  # type: ignore[assignment] # OpenSSL's side of it

    def heed(ok: int, store: object) -> int:
        return ok or told(ok, store)

    heeding = ffi.callback("int (*)(int, X509_STORE_CTX *)", heed, error=0)
    lib.SSL_CTX_set_verify(context._context, mode, heeding)
    # OpenSSL does not keep it alive; the context does, for as long as any of its connections.
    context.set_app_data(heeding)
