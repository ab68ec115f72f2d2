"""The names that Troth puts into certificates: subjects of issuers and things, alternative names, what a site may use.

RFC 5280 sections 4.1.2.6, 4.2.1.6 and 4.2.1.10; its appendix A bounds a common name at 64 characters.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from troth.errors import Fault, Kind
from troth.limits import ALTERNATIVE_NAMES_MAX
from troth.names import parse_thing_name
from troth.x509.der import SEQUENCE, SET, UTF8_STRING, tlv

Bound = str | IPv4Network | IPv6Network
"""A domain, for itself and all below it, or a network."""

COMMON_NAME_CHARS_MAX: Final = 64
SITE_CHARS_MAX: Final = 45
"""So that ``SITE operators CA 999`` fits a common name."""

_COMMON_NAME: Final = bytes.fromhex("0603550403")
_USER_ID: Final = bytes.fromhex("060a0992268993f22c640101")
"""Object identifiers in DER."""
_SUBJECTS_KEPT: Final = 64
"""Issuing asks for the same one several times in a row."""
_DNS_NAME_CHARS_MAX: Final = 253
_DNS_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_LABEL: Final = re.compile(_DNS_LABEL, re.ASCII)
_DNS_NAME: Final = re.compile(rf"(?:\*\.)?{_DNS_LABEL}(?:\.{_DNS_LABEL})*", re.IGNORECASE | re.ASCII)

THINGS_DOMAIN: Final = "troth.alt"
"""Below it things have names as hosts do, and no host has one: ``.alt`` is for what is outside of DNS (RFC 9476)."""
_HASHED: Final = "hashed"
_HASHED_CHARS: Final = 40

# Where a home keeps its own doors, whatever its name: this machine (RFC 1122, 4291) and networks that nobody else can
# route (RFC 1918, 3927, 4193, 4291).
_OWN_NETWORKS: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)


@lru_cache(_SUBJECTS_KEPT)
def thing_subject(thing: str) -> x509.Name:
    """Return a thing's subject: its name alone, as CN; as UID (RFC 4519, 2.39) where it is too long for a CN.

    Raises `Fault` (malformed) for what cannot name a thing.
    """
    parse_thing_name(thing)
    kind = NameOID.COMMON_NAME if len(thing) <= COMMON_NAME_CHARS_MAX else NameOID.USER_ID
    return x509.Name([x509.NameAttribute(kind, thing)])


@lru_cache(_SUBJECTS_KEPT)
def encode_thing_subject(thing: str) -> bytes:
    """Return `thing_subject` in DER. Raises `Fault` (malformed)."""
    text = parse_thing_name(thing).encode("ascii")
    kind = _COMMON_NAME if len(text) <= COMMON_NAME_CHARS_MAX else _USER_ID
    return tlv(SEQUENCE, tlv(SET, tlv(SEQUENCE, kind, tlv(UTF8_STRING, text))))


def thing_text(thing: str) -> str:
    """Return `thing_subject` as RFC 4514 writes it: none of a thing name's characters needs a backslash."""
    return f"{'CN' if len(thing) <= COMMON_NAME_CHARS_MAX else 'UID'}={thing}"


def thing_host(thing: str) -> str:
    """Return a thing's name as that of a host, for TLS stacks that compare nothing else.

    Not the bare name: a thing that is called as its home's server is would be taken for it. What is no label of DNS in
    lower case (RFC 1123) stands hashed. Raises `Fault` (malformed) for what cannot name a thing.
    """
    if _HOST_LABEL.fullmatch(parse_thing_name(thing)):
        return f"{thing}.{THINGS_DOMAIN}"
    return f"{hashlib.sha256(thing.encode('ascii')).hexdigest()[:_HASHED_CHARS]}.{_HASHED}.{THINGS_DOMAIN}"


def common_names_of(name: x509.Name) -> frozenset[str | bytes]:
    """Return all common names in a name."""
    return frozenset(part.value for part in name.get_attributes_for_oid(NameOID.COMMON_NAME))


def thing_of(subject: x509.Name) -> str | None:
    """Return the thing name that `subject` consists of; None when it is anything but what `thing_subject` makes."""
    parts = list(subject)
    if len(parts) != 1 or not isinstance(parts[0].value, str):
        return None
    try:
        return parts[0].value if thing_subject(parts[0].value) == subject else None
    except Fault:
        return None


def named_subject(name: str) -> x509.Name:
    """Return a subject with `name` as its CN: a server or an operator.

    Raises `Fault` (malformed) unless it has 1 to 64 printable characters.
    """
    if not 1 <= len(name) <= COMMON_NAME_CHARS_MAX or not name.isprintable():
        raise Fault(
            Kind.MALFORMED,
            f"{name[:40]!r} cannot be a certificate's name",
            hint=f"use 1 to {COMMON_NAME_CHARS_MAX} printable characters",
        )
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def issuer_subject(site: str, purpose: str, generation: int) -> x509.Name:
    """Return an issuer's subject, ``home.example devices CA 1``: no two of one site are the same.

    A verifier that finds several issuers of one name must try the keys in turn; some give up. `generation` counts from
    1. Raises `Fault` (malformed) for a site name that is empty, unprintable or above `SITE_CHARS_MAX` characters.
    """
    if not 1 <= len(site) <= SITE_CHARS_MAX or not site.isprintable():
        raise Fault(
            Kind.MALFORMED,
            f"{site[:60]!r} cannot be a site's name",
            hint=f"use 1 to {SITE_CHARS_MAX} printable characters; it goes into the name of every CA",
        )
    return named_subject(f"{site} {purpose} CA {generation}")


def parse_alternative_name(text: str) -> x509.DNSName | x509.IPAddress:
    """Return an IP address or a DNS name in lower case (RFC 1123 labels; ``*`` may be the whole first one).

    Raises `Fault` (malformed).
    """
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        pass
    if len(text) > _DNS_NAME_CHARS_MAX or not _DNS_NAME.fullmatch(text):
        raise Fault(Kind.MALFORMED, f"{text[:60]!r} is neither a DNS name nor an IP address")
    return x509.DNSName(text.lower())


def parse_alternative_names(texts: Iterable[str]) -> tuple[x509.DNSName | x509.IPAddress, ...]:
    """Return each text as `parse_alternative_name` does, without repetition. Raises `Fault` (malformed, too large)."""
    names = tuple(dict.fromkeys(parse_alternative_name(text) for text in texts))
    if len(names) > ALTERNATIVE_NAMES_MAX:
        raise Fault(Kind.TOO_LARGE, f"more than {ALTERNATIVE_NAMES_MAX} names in one certificate")
    return names


def parse_bound(text: str) -> Bound:
    """Return a domain, for itself and all below it, or a network or address. Raises `Fault` (malformed)."""
    try:
        return ip_network(text)
    except ValueError:
        pass
    if "*" in text:
        raise Fault(
            Kind.MALFORMED, f"{text[:60]!r} is neither a domain nor a network", hint="a domain has all below it"
        )
    return str(parse_alternative_name(text).value)


def is_within(name: x509.GeneralName, bounds: Iterable[Bound]) -> bool:
    """Say whether a DNS name or an address lies in one of the domains and networks."""
    match name:
        case x509.DNSName():
            return any(
                name.value == bound or name.value.endswith(f".{bound}") for bound in bounds if isinstance(bound, str)
            )
        case x509.IPAddress() if isinstance(name.value, IPv4Address | IPv6Address):
            return any(name.value in bound for bound in bounds if not isinstance(bound, str))
        case _:
            return False


def permitted_at(site: str, names: Iterable[str] = ()) -> tuple[x509.GeneralName, ...]:
    """Return the name constraints of the CA that certifies a site's servers.

    The site with all below it (or its address), each of `names` likewise, ``localhost``, and the addresses of this
    machine and of private networks. Raises `Fault` (malformed) where the site's name is no DNS name and no address.
    """
    permitted: dict[x509.GeneralName, None] = {}
    for text in (site, *names, "localhost"):
        name = parse_alternative_name(text)
        if isinstance(name, x509.DNSName):
            permitted[name] = None
        else:
            permitted[x509.IPAddress(ip_network(str(name.value)))] = None
    for network in _OWN_NETWORKS:
        permitted[x509.IPAddress(network)] = None
    return tuple(permitted)
