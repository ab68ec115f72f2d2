"""Told by TLS how the handshakes of a door end, and tells the report of the failures. The same at every door."""

from troth.gateway.report import Report, Who
from troth.keys.randomness import random_id
from troth.tls.server import Address, HandshakeFailure, PeerTLS


class Witness:
    """A `troth.tls.server.HandshakeObserver`."""

    def __init__(self, report: Report, listener: str) -> None:
        """`listener` is the door's name, as settings and status have it."""
        self._report = report
        self._listener = listener

    def on_success(self, peer: PeerTLS, address: Address | None) -> None:
        """What is behind the door says itself what becomes of the connection."""

    def on_failure(self, address: Address | None, reason: HandshakeFailure, detail: str) -> None:
        """Count the failure, log it and list it."""
        self._report.handshake_failed(Who(random_id(), shown(address)), self._listener, reason, detail)


def shown(address: Address | None) -> str:
    """Return ``host:port`` as logs have it, ``[host]:port`` for IPv6."""
    if address is None:
        return "unknown"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
