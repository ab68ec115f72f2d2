"""Who may come in: the holder of an operator's certificate that is registered and in force at this very moment.

The handshake has proven the chain; whether it was withdrawn since, only the registry knows. Deny by default.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from troth.errors import Fault, Kind
from troth.registry.certificates import CertificateState, find_certificate
from troth.registry.issuers import find_issuer
from troth.x509.certificates import certificate_id, parse_certificate
from troth.x509.profiles import Purpose
from troth.x509.times import is_in_time


def shown_certificate(extensions: Mapping[str, Any]) -> str:
    """Return the id of the certificate that the handshake has proven; `extensions` are an ASGI scope's.

    Raises `Fault` (forbidden) when there was none.
    """
    chain = extensions.get("tls", {}).get("client_cert_chain") or ()
    if not chain:
        raise _forbidden("no certificate was shown")
    return certificate_id(parse_certificate(chain[0].encode()))


def require_operator(connection: Connection, identity: str, now: datetime) -> None:
    """Return if the certificate with this id is an operator's and in force at the time `now`.

    Raises `Fault` (forbidden), the reason in its detail.
    """
    row = find_certificate(connection, identity)
    if row is None:
        raise _forbidden(f"certificate {identity} is not registered")
    issuer = find_issuer(connection, row.issuer_id)
    if issuer is None or issuer.purpose is not Purpose.OPERATORS or not issuer.is_trusted:
        raise _forbidden(f"certificate {identity} is no operator's")
    if row.state is not CertificateState.ACTIVE:
        raise _forbidden(f"certificate {identity} is {row.state.lower()}")
    # A connection may outlive the certificate that opened it.
    if not is_in_time(row.not_before, row.not_after, now):
        raise _forbidden(f"certificate {identity} is not valid now")


def _forbidden(reason: str) -> Fault:
    hint = "an operator's certificate that is in force is needed here"
    return Fault(Kind.FORBIDDEN, "this door is for operators", detail=reason, hint=hint)
