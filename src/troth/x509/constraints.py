"""Name constraints: which names in a certificate its issuer may not certify. RFC 5280 section 4.2.1.10.

DNS names and IP addresses are compared; an issuer constrained in any other kind of name is not understood and said so.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from cryptography import x509

from troth.errors import Kind, PeerFault
from troth.x509.certificates import find_extension


def names_outside(certificate: x509.Certificate, issuer: x509.Certificate) -> tuple[x509.GeneralName, ...]:
    """Return the alternative names of `certificate` that the issuer's constraints do not let it certify.

    Raises `PeerFault` (unsupported) for constraints on kinds of name other than DNS and IP.
    """
    constraints = find_extension(issuer, x509.NameConstraints)
    if constraints is None:
        return ()
    permitted = tuple(constraints.permitted_subtrees or ())
    excluded = tuple(constraints.excluded_subtrees or ())
    if not all(isinstance(name, x509.DNSName | x509.IPAddress) for name in (*permitted, *excluded)):
        raise PeerFault(Kind.UNSUPPORTED, "the issuer is held to kinds of name that are not compared here")
    names = find_extension(certificate, x509.SubjectAlternativeName) or ()
    return tuple(name for name in names if not _is_free(name, permitted, excluded))


def _is_free(
    name: x509.GeneralName, permitted: tuple[x509.GeneralName, ...], excluded: tuple[x509.GeneralName, ...]
) -> bool:
    # A kind of name that no permitted subtree mentions is not restricted by them.
    same_kind = [subtree for subtree in permitted if type(subtree) is type(name)]
    return not any(_is_within(name, subtree) for subtree in excluded) and (
        not same_kind or any(_is_within(name, subtree) for subtree in same_kind)
    )


def _is_within(name: x509.GeneralName, subtree: x509.GeneralName) -> bool:
    match name, subtree:
        case x509.DNSName(), x509.DNSName():
            own, base = name.value.lower(), subtree.value.lower().removeprefix(".")
            return not base or own == base or own.endswith("." + base)
        case x509.IPAddress(), x509.IPAddress():
            return _is_address_within(name.value, subtree.value)
        case _:
            return False


def _is_address_within(
    address: IPv4Address | IPv6Address | IPv4Network | IPv6Network,
    network: IPv4Address | IPv6Address | IPv4Network | IPv6Network,
) -> bool:
    if isinstance(address, IPv4Address) and isinstance(network, IPv4Network):
        return address in network
    if isinstance(address, IPv6Address) and isinstance(network, IPv6Network):
        return address in network
    return False
