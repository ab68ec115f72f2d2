"""One TLS connection from a device to a door of its home, and what it means when there is none.

Knows no protocol above TLS. `troth.tls.client` says in one word why a connection failed; here that becomes a fault.
"""

import socket
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509

from troth.clock import Clock
from troth.device.endpoint import Address
from troth.device.slot_keys import handshake_turn, token_access
from troth.errors import Fault, Kind
from troth.limits import DEVICE_STEP_S_MAX
from troth.tls import client as tls
from troth.tls.stunnel import NoTunnel, open_tunnel
from troth.tls.token_keys import use_token_key
from troth.x509.certificates import parse_certificate, subject_text
from troth.x509.times import is_in_time

_WORDS: Final[Mapping[str, tuple[Kind, str, str | None]]] = {
    "unknown-issuer": (
        Kind.UNAUTHENTICATED,
        "its certificate was issued by a CA that this device does not trust",
        "if this is your home, give the device that home's root.pem",
    ),
    "self-signed": (
        Kind.UNAUTHENTICATED,
        "its certificate was issued by a CA that this device does not trust",
        "if this is your home, give the device that home's root.pem",
    ),
    "wrong-name": (
        Kind.UNAUTHENTICATED,
        "its certificate is for another name",
        "reach it by a name that is in its certificate, or set that name (server_name)",
    ),
    "expired": (Kind.EXPIRED, "its certificate has expired", "check this device's clock"),
    "not-yet-valid": (Kind.EXPIRED, "its certificate is not yet valid", "check this device's clock"),
    "wrong-purpose": (Kind.UNAUTHENTICATED, "its certificate is not that of a server", None),
    "bad-signature": (Kind.UNAUTHENTICATED, "its certificate's signature is wrong", None),
    "untrusted": (Kind.UNAUTHENTICATED, "its certificate is not good", None),
    "closed": (Kind.UNAVAILABLE, "it closed the connection", None),
    "reset": (Kind.UNAVAILABLE, "it broke the connection off", None),
    "timeout": (Kind.UNAVAILABLE, "it does not answer", "check the address, the network and that the home is up"),
    "unreachable": (Kind.UNAVAILABLE, "it cannot be reached", "check the address, the network and that the home is up"),
    "not-tls": (Kind.UNSUPPORTED, "what answers does not speak TLS", "check the port"),
    "no-shared-protocol": (Kind.UNSUPPORTED, "it speaks no version of TLS that this device takes", None),
}
_NO_WORD: Final = (Kind.UNAVAILABLE, "the connection failed", None)

_ALERTS: Final[Mapping[str, Kind]] = {
    "certificate_expired": Kind.EXPIRED,
    "protocol_version": Kind.UNSUPPORTED,
    "handshake_failure": Kind.UNSUPPORTED,
    "no_application_protocol": Kind.UNSUPPORTED,
    "internal_error": Kind.UNAVAILABLE,
    "user_canceled": Kind.UNAVAILABLE,
}
"""The alerts that are no judgement on who this device is; any other says that it was not recognised."""


class ConnectionFault(Fault):
    """There is no connection, or no longer one; `refusal` says who ended it and, where TLS told, why."""

    def __init__(self, address: Address | None, refusal: tls.Refusal) -> None:
        """Tell of `refusal` by or of the server at `address`, where that is known."""
        where = f"no connection to {address}" if address else "no connection"
        if refusal.alert:
            kind, hint = _ALERTS.get(refusal.alert, Kind.UNAUTHENTICATED), None
            words = f"it refused this device with the TLS alert {refusal.alert}"
        else:
            kind, words, hint = _WORDS.get(refusal.word, _NO_WORD)
        super().__init__(kind, f"{where}: {words}", hint=hint, detail=refusal.detail)
        self.refusal = refusal


class Credential(Protocol):
    """Files with a private key and with the certificate chain that goes with it, the own certificate first."""

    @property
    def key_file(self) -> Path:
        """The private key, PEM; where there is ``key.uri`` beside it, that says which token has it instead."""
        ...

    @property
    def chain_file(self) -> Path:
        """The certificates, PEM."""
        ...


def client_tls(
    roots: Sequence[x509.Certificate], own: Credential | None = None, *, checks_time: bool = True
) -> tls.Context:
    """Return what a connection is made by that trusts `roots` and shows `own`: the one place where a key meets TLS.

    Raises `Fault`: misconfigured for roots that are none; bad key when `own` cannot be used.
    """
    access = token_access(own.key_file.parent) if own is not None else None
    if own is None or access is not None:
        context = tls.client_context(roots, checks_time=checks_time)
    else:
        context = tls.client_context(roots, chain_path=own.chain_file, key_path=own.key_file, checks_time=checks_time)
    if own is not None and access is not None:
        use_token_key(context, own.chain_file.read_bytes(), access)
    return context


def dial(
    address: Address,
    server_name: str,
    roots: Sequence[x509.Certificate],
    own: Credential | None = None,
    *,
    checks_time: bool = True,
    judge: Clock | None = None,
) -> tls.Stream:
    """Return a TLS connection to `address`, whose server has proven by `roots` to be `server_name`.

    `own` names the key and the certificate that are shown when the server asks. Under TLS 1.3 a server that refuses
    them says so at the first read only. Without `checks_time` its certificate need not be valid now. With a `judge`
    its whole chain must be valid at the time that this tells, whatever the system's clock says. Raises
    `ConnectionFault`; `Fault`: bad key when `own` cannot be used, expired, and what the judge raises.
    """
    at = judge.now() if judge is not None else None
    by_our_clock = checks_time and at is None
    try:
        context = client_tls(roots, own, checks_time=by_our_clock)
    except Fault as fault:
        return through_stunnel(address, server_name, roots, own, fault, by_our_clock=by_our_clock)
    try:
        with handshake_turn(own.key_file.parent) if own is not None else nullcontext():
            connection = tls.connect(address.host, address.port, context, server_name, DEVICE_STEP_S_MAX)
        # An acknowledgement must not wait for the server's TCP to acknowledge what went before it (40 ms on Linux).
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise ConnectionFault(address, tls.refusal(error)) from error
    try:
        require_in_time(connection, at)
    except Fault:
        connection.close()
        raise
    return connection


def through_stunnel(
    address: Address,
    server_name: str,
    roots: Sequence[x509.Certificate],
    own: Credential | None,
    why: Fault,
    *,
    by_our_clock: bool,
) -> tls.Stream:
    """Return a connection as `dial` does, but by stunnel: this interpreter's TLS cannot use the key in a token.

    `why` says so; raised again when it says something else, or when there is no stunnel. Raises `ConnectionFault`;
    `Fault`: unsupported when not `by_our_clock`, which is the only one that stunnel judges certificates by; unavailable
    when stunnel cannot use the key.
    """
    access = token_access(own.key_file.parent) if own is not None else None
    if why.kind is not Kind.UNSUPPORTED or own is None or access is None:
        raise why
    if not by_our_clock:
        hint = "use a Python that can (docs/hardware.md), or give the device a clock and leave out its time servers"
        message = "stunnel, which is to use the key in the token here, goes by this machine's clock alone"
        raise Fault(Kind.UNSUPPORTED, message, hint=hint, detail=why.message) from why
    try:
        return open_tunnel(address.host, address.port, server_name, roots, own.chain_file, access, DEVICE_STEP_S_MAX)
    except NoTunnel as failure:
        raise ConnectionFault(address, failure.refusal) from failure
    except Fault as fault:
        if fault.kind is not Kind.UNSUPPORTED:
            raise
        hint = f"{why.hint}; or apt install stunnel4, which can do it in its place"
        raise Fault(why.kind, why.message, hint=hint, detail=why.detail) from why


def require_in_time(connection: tls.Judged, at: datetime | None) -> None:
    """Return if every certificate that the server was verified by is valid `at` that time; None: OpenSSL has looked.

    Raises `Fault` (expired). Called before the first byte is sent.
    """
    for der in tls.verified_chain(connection) if at is not None else ():
        certificate = parse_certificate(der)
        if at is not None and not is_in_time(certificate.not_valid_before_utc, certificate.not_valid_after_utc, at):
            raise Fault(
                Kind.EXPIRED,
                "a certificate of the home is not valid at the time that its time server tells",
                detail=f"{subject_text(certificate.subject)} at {at.isoformat(timespec='seconds')}",
            )
