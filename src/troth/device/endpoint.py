"""Where a device's home is reached: addresses as people write them, and the name that its certificate must hold.

Knows no socket.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from troth.errors import Fault, Kind

EST_PORT: Final = 8443
MQTT_PORT: Final = 8883

_HOST_CHARS_MAX: Final = 253
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """A host (a DNS name, an IPv4 or an IPv6 address without brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The doors of one home."""

    est: Address
    mqtt: Address
    server_name: str | None = None
    """The DNS name or IP address that the certificates of both doors must hold; None: the host of each address."""

    def name_of(self, address: Address) -> str:
        """Return the name that the certificate shown at `address` must hold."""
        return self.server_name or address.host


def parse_address(text: str, default_port: int) -> Address:
    """Read ``HOST``, ``HOST:PORT``, ``[IPV6]`` or ``[IPV6]:PORT``. Raises `Fault` (malformed)."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        port, valid = rest.removeprefix(":"), bool(bracket) and (not rest or rest.startswith(":"))
        valid = valid and _is_ipv6(host)
    else:
        host, colon, port = text.partition(":")
        valid = bool(port) if colon else True
        valid = valid and _is_host(host)
    number = default_port if valid and not port else _port(port)
    if not valid or number is None:
        raise Fault(
            Kind.MALFORMED,
            f"{text[:80]!r} is not an address",
            hint=f"write it as home.example:{default_port}, 192.0.2.7:{default_port} or [2001:db8::7]:{default_port}",
        )
    return Address(host, number)


def parse_server_name(text: str) -> str:
    """Return `text` if it can be a host's name or address. Raises `Fault` (malformed)."""
    if not (_is_host(text) or _is_ipv6(text)):
        raise Fault(Kind.MALFORMED, f"{text[:80]!r} is not the name of a server", hint="write it as home.example")
    return text


def _port(text: str) -> int | None:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    return number if 0 < number <= 0xFFFF else None


def _is_host(text: str) -> bool:
    return len(text) <= _HOST_CHARS_MAX and _HOST.fullmatch(text) is not None


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text
