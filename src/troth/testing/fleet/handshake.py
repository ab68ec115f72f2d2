"""What TLS would have said, by `x509.verify` at the time of the story: of the home to a device, and of a device to it.

A key is proven held as in TLS, by a signature over what the other side has chosen.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from cryptography import x509
from OpenSSL import SSL

from troth.device.connection import ConnectionFault, Credential
from troth.device.endpoint import Address
from troth.device.identity import read_chain
from troth.errors import Fault, Kind, PeerFault
from troth.gateway.http.grace import Grace
from troth.keys.file import FileKey, read_key
from troth.keys.randomness import random_bytes
from troth.keys.verifying import is_signature
from troth.tls.client import Refusal
from troth.tls.server import PeerTLS
from troth.x509.algorithms import PublicKey
from troth.x509.certificates import certificate_id, find_extension
from troth.x509.profiles import ExtendedUse
from troth.x509.verify import verify_chain

_EXPORTER_BYTES: Final = 32
_WORDS: Final = {Kind.UNAUTHENTICATED: "unknown-issuer"}


class Alert(ssl.SSLError):
    """A fatal alert that the home has sent, as Python's `ssl` reports it."""

    def __init__(self, name: str) -> None:
        super().__init__(1, f"[SSL: TLSV1_ALERT_{name}] tlsv1 alert (_ssl.c:2580)")
        self.reason = f"TLSV1_ALERT_{name}"


@dataclass(frozen=True, slots=True)
class Shown:
    """The credential that a device shows in one handshake."""

    chain: tuple[x509.Certificate, ...]
    key: FileKey


def shown_by(own: Credential) -> Shown:
    """Read a credential as TLS would. Raises `Fault` (bad key) when key and certificate do not belong together."""
    chain, key = read_chain(own.chain_file), read_key(own.key_file, None)
    if chain[0].public_key() != key.public_key:
        raise Fault(Kind.BAD_KEY, f"the certificate {own.chain_file} and its key cannot be used")
    return Shown(chain, key)


def meet_server(
    address: Address,
    server_name: str,
    roots: Sequence[x509.Certificate],
    shown: Sequence[x509.Certificate],
    at: datetime | None,
) -> None:
    """Return if a server is the one that is meant, at the time `at` (None: at any). Raises `ConnectionFault`."""
    if at is None:
        at = max(each.not_valid_before_utc for each in shown)
    try:
        verify_chain(shown, roots, at=at, use=ExtendedUse.SERVER_AUTH)
    except PeerFault as fault:
        word = _WORDS.get(fault.kind, "untrusted")
        if fault.kind is Kind.EXPIRED:
            word = "not-yet-valid" if at < shown[0].not_valid_before_utc else "expired"
        raise ConnectionFault(address, Refusal(word, fault.message)) from fault
    names = find_extension(shown[0], x509.SubjectAlternativeName)
    if names is None or server_name not in names.get_values_for_type(x509.DNSName):
        raise ConnectionFault(address, Refusal("wrong-name", server_name))


def meet_client(shown: Shown | None, anchors: Sequence[x509.Certificate], at: datetime, grace: Grace | None) -> PeerTLS:
    """Return what the home's side of a handshake has proven; with a `grace`, of one that has expired too.

    Raises `Alert`.
    """
    if shown is None:
        return _proven(None, is_expired=False)
    challenge = random_bytes(_EXPORTER_BYTES)
    public = cast("PublicKey", shown.chain[0].public_key())
    if not is_signature(public, shown.key.sign(challenge), challenge):
        raise Alert("DECRYPT_ERROR")
    leaf = shown.chain[0]
    is_expired = leaf.not_valid_after_utc < at.replace(microsecond=0)
    if is_expired and not (grace is not None and grace.admits(leaf)):
        raise Alert("CERTIFICATE_EXPIRED")
    try:
        verify_chain(
            shown.chain, anchors, at=leaf.not_valid_after_utc if is_expired else at, use=ExtendedUse.CLIENT_AUTH
        )
    except PeerFault as fault:
        raise Alert("CERTIFICATE_EXPIRED" if fault.kind is Kind.EXPIRED else "UNKNOWN_CA") from fault
    return _proven(shown, is_expired=is_expired)


class _Connection:
    """What `PeerTLS` asks OpenSSL for, of a connection that there is not."""

    def __init__(self, above: Sequence[x509.Certificate]) -> None:
        self._above = list(above)

    def get_peer_cert_chain(self, *, as_cryptography: bool) -> list[x509.Certificate]:
        return self._above

    def export_keying_material(self, label: bytes, length: int, context: bytes | None) -> bytes:
        return bytes(length)


def _proven(shown: Shown | None, *, is_expired: bool) -> PeerTLS:
    chain: tuple[x509.Certificate, ...] = shown.chain if shown is not None else ()
    leaf = chain[0] if chain else None
    connection: Any = _Connection(chain[1:])
    return PeerTLS(
        certificate=leaf,
        certificate_id=certificate_id(leaf) if leaf is not None else None,
        version="TLSv1.3",
        server_name=None,
        _connection=cast("SSL.Connection", connection),
        is_expired=is_expired,
    )
