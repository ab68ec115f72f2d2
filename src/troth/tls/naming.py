"""Which of several certificates a server shows, by the name that the peer asks for (SNI: RFC 6066, section 3).

Only what is shown differs: what is demanded of a peer is the door's, and the same under every name. With
`troth.tls.verifying` the one place that reaches behind pyOpenSSL's own names, which can refuse no name.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cryptography import x509
from OpenSSL import SSL
from OpenSSL._util import ffi, lib

_UNRECOGNIZED_NAME: Final = 112
# SSL_TLSEXT_ERR_OK and SSL_TLSEXT_ERR_ALERT_FATAL of tls1.h.
_GO_ON, _REFUSE = 0, 2


def show_by_name(
    context: SSL.Context, own: Iterable[str], named: Mapping[str, SSL.Context], *, refuses_unknown: bool
) -> object:
    """Let connections of `context` go on in the context that `named` has for the name asked for.

    Who asks for none stays, and so does who asks for one of `own`, or for one that nobody knows unless
    `refuses_unknown`. What is returned must be kept for as long as any connection: OpenSSL does not keep it alive.
    """
    known = {name.lower(): context for name in own} | {name.lower(): other for name, other in named.items()}

    def heed(ssl: object, alert: Any, _: object) -> int:  # noqa: ANN401 - a C pointer
        connection = SSL.Connection._reverse_mapping[ssl]
        asked = connection.get_servername()
        if asked is None:
            return _GO_ON
        found = _find(known, asked.decode("ascii", "replace").lower())
        if found is None and refuses_unknown:
            alert[0] = _UNRECOGNIZED_NAME
            return _REFUSE
        if found is not None and found is not context:
            connection.set_context(found)
        return _GO_ON

    heeding = ffi.callback("int (*)(SSL *, int *, void *)", heed, error=_REFUSE)
    lib.SSL_CTX_set_tlsext_servername_callback(context._context, heeding)
    return heeding


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names that a certificate speaks for, wildcards as they are written."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


def _find(known: Mapping[str, SSL.Context], name: str) -> SSL.Context | None:
    # A wildcard stands for one whole label, the first (RFC 9525, 6.3).
    _, dot, above = name.partition(".")
    return known.get(name) or (known.get(f"*.{above}") if dot else None)
