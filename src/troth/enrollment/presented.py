"""What one who asks for a certificate has shown with the request: none of it believed but what TLS has proven.

Knows no transport: a door fills it in, the ways of proving read it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

DEFAULT_LABEL: Final = "default"

Exporter = Callable[[str, int, bytes | None], bytes]
"""A label, a length and a context to bytes that only the two ends of the connection know (RFC 5705)."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A request's surroundings."""

    peer_chain: tuple[bytes, ...] = ()
    """The certificates that the peer sent, DER, its own first; TLS has proven that it holds that one's key."""
    is_stranger: bool = False
    """Whether the peer's issuer is none of ours: it may be one of a registered CA, and is nobody yet."""
    is_expired: bool = False
    """Whether the peer's certificate has expired: it proves nothing but for renewal."""
    user: str = ""
    password: str = field(default="", repr=False)
    address: str = ""
    """The peer's host, without the port."""
    exporter: Exporter | None = field(default=None, repr=False, compare=False)
    channel_binding: bytes | None = field(default=None, repr=False)
    """What only the two ends of this connection know (tls-exporter, RFC 9266; tls-unique under TLS 1.2)."""
    is_linked: bool = False
    """Whether the request has been found to be made for this very connection (RFC 7030, 3.5)."""
    label: str = DEFAULT_LABEL
    """The name of the enrollment that was asked for."""

    def linked(self, is_linked: bool) -> "Presented":
        """Return the same, with what was found of the request's link to the connection."""
        return self if is_linked is self.is_linked else replace(self, is_linked=is_linked)
