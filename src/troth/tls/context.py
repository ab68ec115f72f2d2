"""What one door shows of itself and demands of those who come: the configuration of a TLS server.

OpenSSL decides whether a peer's certificate is good: chain, signatures, dates, purpose. This module records why it said
no; `troth.tls.overruling` says when that does not stand. TLS 1.2 and 1.3 (RFC 9325 for the choices), certificates by
RFC 5280.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from OpenSSL import SSL, crypto

from troth.errors import Fault, Kind
from troth.limits import CHAIN_CERTIFICATES_MAX
from troth.tls.engine import Engine
from troth.tls.naming import dns_names, show_by_name
from troth.tls.overruling import AdmitsExpired, KnowsStranger, Overruled, may_overrule
from troth.tls.reasons import Verdict
from troth.tls.verifying import Chain, Hearing, hear_refusals

CIPHERS_TLS12: Final[dict[str, int]] = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": 0xC02B,
    "ECDHE-ECDSA-AES256-GCM-SHA384": 0xC02C,
    "ECDHE-ECDSA-CHACHA20-POLY1305": 0xCCA9,
    "ECDHE-RSA-AES128-GCM-SHA256": 0xC02F,
    "ECDHE-RSA-AES256-GCM-SHA384": 0xC030,
    "ECDHE-RSA-CHACHA20-POLY1305": 0xCCA8,
}
"""The TLS 1.2 suites that are offered, all forward secret and authenticated, with their IANA numbers."""
CIPHERS_TLS13: Final[dict[str, int]] = {
    "TLS_AES_128_GCM_SHA256": 0x1301,
    "TLS_AES_256_GCM_SHA384": 0x1302,
    "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
}
"""The TLS 1.3 suites that are offered."""
# SSL_OP_PRIORITIZE_CHACHA of OpenSSL's ssl.h, for which pyOpenSSL has no name. Our order counts, which begins with what
# costs both sides least, but a device without AES in hardware, which names ChaCha20 first, gets that.
_PRIORITIZE_CHACHA: Final = 1 << 21
_OPTIONS: Final = (
    SSL.OP_NO_COMPRESSION
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_NO_TICKET
    | SSL.OP_CIPHER_SERVER_PREFERENCE
    | _PRIORITIZE_CHACHA
)

ServerKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class ClientAuth(StrEnum):
    """What is asked of a peer. A certificate that is sent is always verified; under `NONE` none is asked for."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


_VERIFY: Final[dict[ClientAuth, int]] = {
    ClientAuth.REQUIRED: SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
    ClientAuth.OPTIONAL: SSL.VERIFY_PEER,
    ClientAuth.NONE: SSL.VERIFY_NONE,
}


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """A server's own certificate first, then those up to but without the root; and the key of the first."""

    chain: tuple[x509.Certificate, ...]
    key: ServerKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServerTLS:
    """One door's TLS. Built once per process: OpenSSL takes no change after the first connection.

    A peer's certificate must lead to one of `anchors`, root or not: a device may then send its leaf alone when its
    issuing CA is an anchor. `alpn` names the application protocols in order of preference; when there are some, a peer
    that offers only others is refused (RFC 7301, 3.2), and one that offers none is not.

    Sessions are never resumed, since a resumed one would not show its certificate again: there is no cache, no
    stateless ticket and no PSK. Under TLS 1.3 OpenSSL sends two session numbers all the same, which it does not keep,
    unless `troth.tls.library.configure_openssl` came first; who offers one back gets a full handshake.

    Raises:
        Fault: MISCONFIGURED or BAD_KEY, when this cannot make a server.
    """

    identity: ServerIdentity
    anchors: tuple[x509.Certificate, ...]
    client_auth: ClientAuth
    alpn: tuple[str, ...] = ()
    handshake_s: float = 10.0
    """Seconds from accepted connection to finished handshake."""
    admits_expired: AdmitsExpired | None = None
    """Which certificates that have expired, and are good otherwise, are let in all the same; None: none."""
    knows_stranger: KnowsStranger | None = None
    """Which certificates without an issuer among `anchors` are let in all the same; None: none."""
    named: tuple[ServerIdentity, ...] = ()
    """Shown instead of `identity` to who asks for one of their certificates' DNS names."""
    refuses_unknown_names: bool = False
    """Whether who asks for a name of none of these certificates is refused; otherwise `identity` is shown."""
    context: SSL.Context = field(init=False, repr=False, compare=False)
    engine: Engine = field(init=False, repr=False, compare=False, default_factory=Engine)
    _kept: object = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.client_auth is not ClientAuth.NONE and not self.anchors:
            raise Fault(Kind.MISCONFIGURED, "a door that asks for client certificates needs a CA to verify them with")
        object.__setattr__(self, "context", _context(self, self.identity))
        object.__setattr__(self, "_kept", _name(self))

    def connection(self) -> SSL.Connection:
        """Return the server's end of a new connection, over memory alone."""
        connection = SSL.Connection(self.context, None)
        connection.set_accept_state()
        return connection


def _name(tls: ServerTLS) -> object:
    """Have every certificate shown under its names. One more context each: OpenSSL has certificates in contexts."""
    if not (tls.named or tls.refuses_unknown_names):
        return None
    named = {}
    for identity in tls.named:
        context = _context(tls, identity)
        named.update(dict.fromkeys(dns_names(identity.chain[0]), context))
    own = dns_names(tls.identity.chain[0])
    return show_by_name(tls.context, own, named, refuses_unknown=tls.refuses_unknown_names)


def _context(tls: ServerTLS, identity: ServerIdentity) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_cipher_list(":".join(CIPHERS_TLS12).encode())
    context.set_tls13_ciphersuites(":".join(CIPHERS_TLS13).encode())
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # An idle connection then costs 37 KiB instead of 62.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    _show(context, identity)
    _demand(context, tls)
    if tls.alpn:
        context.set_alpn_select_callback(_chooser(tls.alpn))
    return context


def _show(context: SSL.Context, identity: ServerIdentity) -> None:
    if not identity.chain:
        raise Fault(Kind.MISCONFIGURED, "a server needs a certificate")
    try:
        context.use_certificate(identity.chain[0])
        for certificate in identity.chain[1:]:
            context.add_extra_chain_cert(certificate)
        context.use_privatekey(identity.key)
        context.check_privatekey()
    except SSL.Error as error:
        raise Fault(Kind.BAD_KEY, "the server's key is not its certificate's", detail=str(error)) from error


def _demand(context: SSL.Context, tls: ServerTLS) -> None:
    store = context.get_cert_store()
    if store is None:
        raise Fault(Kind.MISCONFIGURED, "OpenSSL gave no certificate store")
    for anchor in tls.anchors:
        store.add_cert(crypto.X509.from_cryptography(anchor))
        # Browsers and GnuTLS choose the certificate that they send by these names.
        context.add_client_ca(anchor)
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    context.set_verify_depth(CHAIN_CERTIFICATES_MAX)
    hear_refusals(context, _VERIFY[tls.client_auth], _hearing(tls.admits_expired, tls.knows_stranger))


def _hearing(admits_expired: AdmitsExpired | None, knows_stranger: KnowsStranger | None) -> Hearing:
    def hear(connection: SSL.Connection, error: int, depth: int, chain: Chain) -> bool:
        """Note why OpenSSL refuses a certificate, or that this was overruled."""
        verdict, noted = Verdict(error, depth), connection.get_app_data()
        before = noted if isinstance(noted, Overruled) else None
        overruled = may_overrule(verdict, chain(), before, admits_expired, knows_stranger)
        connection.set_app_data(Overruled(verdict) if overruled else verdict)
        return overruled

    return hear


def _chooser(ours: tuple[str, ...]) -> "SSL._ALPNSelectCallback":
    names = tuple(name.encode() for name in ours)

    def choose(_connection: SSL.Connection, offered: list[bytes]) -> bytes:
        for name in names:
            if name in offered:
                return name
        # Raised out of a callback, it makes OpenSSL send no_application_protocol, and comes back out of do_handshake.
        raise SSL.Error([("SSL routines", "", "no application protocol")])

    return choose
