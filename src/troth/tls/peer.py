"""What a finished handshake has proven about the peer, and who is told how handshakes end."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from cryptography import x509
from OpenSSL import SSL

from troth.errors import Kind, PeerFault
from troth.tls.engine import Engine
from troth.tls.overruling import Overruled
from troth.tls.reasons import HandshakeFailure

_EXPORTER_BYTES: Final = 32

Address = tuple[str, int]
"""Host and port of a peer."""


@dataclass(frozen=True, slots=True, eq=False)
class PeerTLS:
    """A peer whose handshake has succeeded; the certificate has been verified and its key proven held.

    Look at `is_expired` and `is_stranger` before it is taken for anybody.
    """

    certificate: x509.Certificate | None
    """The peer's own certificate; None where none was required and none was sent."""
    certificate_id: str | None
    """Its id, as `troth.x509.certificates.certificate_id` has it."""
    version: str
    """``TLSv1.2`` or ``TLSv1.3``."""
    server_name: str | None
    """The name that the peer asked for (SNI), unverified."""
    _connection: SSL.Connection = field(repr=False)
    is_expired: bool = False
    """Whether the certificate has expired and the door lets that pass (`ServerTLS.admits_expired`)."""
    is_stranger: bool = False
    """Whether its issuer is none of the door's anchors, and the door lets that pass (`ServerTLS.knows_stranger`)."""

    @property
    def cipher(self) -> str:
        """OpenSSL's name of the cipher suite."""
        return self._connection.get_cipher_name() or ""

    @property
    def alpn(self) -> str | None:
        """The application protocol agreed on."""
        return self._connection.get_alpn_proto_negotiated().decode("ascii", "backslashreplace") or None

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The certificates as presented, the peer's own first; not the path that was verified.

        Raises:
            PeerFault: MALFORMED, when one of those above its own is none that can be read.
        """
        if self.certificate is None:
            return ()
        try:
            # On a server OpenSSL leaves the peer's own certificate out of this list.
            above = self._connection.get_peer_cert_chain(as_cryptography=True) or ()
        except (ValueError, x509.InvalidVersion) as error:
            raise PeerFault(Kind.MALFORMED, "a certificate of the peer cannot be read", detail=str(error)) from error
        return (self.certificate, *above)

    @property
    def channel_binding(self) -> bytes:
        """What only the two ends of this connection know, by which a request can be tied to it.

        tls-exporter under TLS 1.3 (RFC 9266); tls-unique under TLS 1.2 (RFC 5929, 3), which is the client's Finished,
        since no session is resumed.
        """
        if self.version == "TLSv1.3":
            return self.export("EXPORTER-Channel-Binding", _EXPORTER_BYTES, b"")
        return self._connection.get_peer_finished() or b""

    def export(self, label: str, length: int, context: bytes | None = None) -> bytes:
        """Return `length` bytes that only the two ends of this connection can know (RFC 5705; RFC 8446, 7.5)."""
        return self._connection.export_keying_material(label.encode("ascii"), length, context)


def proven(connection: SSL.Connection, engine: Engine) -> PeerTLS:
    """Return what the finished handshake of `connection` has proven.

    Raises:
        PeerFault: MALFORMED, when OpenSSL could read the peer's certificate and we cannot.
    """
    fingerprint, certificate = engine.peer_certificate(connection)
    server_name, noted = connection.get_servername(), connection.get_app_data()
    return PeerTLS(
        certificate=certificate,
        certificate_id=fingerprint,
        version=connection.get_protocol_version_name(),
        server_name=server_name.decode("ascii", "backslashreplace") if server_name else None,
        _connection=connection,
        is_expired=isinstance(noted, Overruled) and not noted.is_stranger,
        is_stranger=isinstance(noted, Overruled) and noted.is_stranger,
    )


def address_of(peername: object) -> Address | None:
    """Return the address in what a transport knows as ``peername``; None for what has none, such as a Unix socket."""
    if isinstance(peername, tuple) and len(peername) >= 2:
        return str(peername[0]), int(peername[1])
    return None


class HandshakeObserver(Protocol):
    """Is told how each handshake of a door ends: exactly one call per connection."""

    def on_success(self, peer: PeerTLS, address: Address | None) -> None:
        """The peer is proven; its protocol starts next."""
        ...

    def on_failure(self, address: Address | None, reason: HandshakeFailure, detail: str) -> None:
        """The peer is refused or gone. `detail` is for the log."""
        ...
