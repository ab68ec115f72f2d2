"""The server side of TLS, for those who open doors: what a door shows and demands, and who is told how it went.

acceptor = Acceptor(ServerTLS(identity, anchors, ClientAuth.REQUIRED), observer, PendingHandshakes(1000))
await loop.create_server(lambda: acceptor.protocol(make_session), sock=sock)
"""

from troth.tls.context import ClientAuth, ServerIdentity, ServerKey, ServerTLS
from troth.tls.naming import dns_names
from troth.tls.overruling import AdmitsExpired, KnowsStranger
from troth.tls.peer import Address, HandshakeObserver, PeerTLS, address_of
from troth.tls.pending import PendingHandshakes
from troth.tls.protocol import Acceptor, TLSProtocol
from troth.tls.reasons import HandshakeFailure
from troth.tls.transport import TLSTransport

__all__ = [
    "Acceptor",
    "Address",
    "AdmitsExpired",
    "ClientAuth",
    "HandshakeFailure",
    "HandshakeObserver",
    "KnowsStranger",
    "PeerTLS",
    "PendingHandshakes",
    "ServerIdentity",
    "ServerKey",
    "ServerTLS",
    "TLSProtocol",
    "TLSTransport",
    "address_of",
    "dns_names",
]
