"""Name constraints: which names in a certificate a CA above it may not certify. RFC 5280 section 4.2.1.10.

DNS names, IP addresses, mail addresses, URIs and directory names are compared. A name of any other kind is outside as
soon as its kind is constrained, since it cannot be told.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from troth.x509.certificates import find_extension
from troth.x509.distinguished_names import is_at_or_below


def names_outside(certificate: x509.Certificate, issuer: x509.Certificate) -> tuple[x509.GeneralName, ...]:
    """Return the names of `certificate` (its subject, too) that the constraints in `issuer` exclude or do not permit.

    Raises what `cryptography` raises on extensions that it cannot read.
    """
    constraints = find_extension(issuer, x509.NameConstraints)
    if constraints is None:
        return ()
    permitted = tuple(constraints.permitted_subtrees or ())
    excluded = tuple(constraints.excluded_subtrees or ())
    return tuple(name for name in _names(certificate) if not _is_free(name, permitted, excluded))


def _names(certificate: x509.Certificate) -> tuple[x509.GeneralName, ...]:
    alternative = find_extension(certificate, x509.SubjectAlternativeName)
    names: list[x509.GeneralName] = list(alternative or ())
    if certificate.subject.rdns:
        names.append(x509.DirectoryName(certificate.subject))
    if alternative is None:
        mail = certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
        names.extend(x509.RFC822Name(str(part.value)) for part in mail)
    return tuple(names)


def _is_free(
    name: x509.GeneralName, permitted: tuple[x509.GeneralName, ...], excluded: tuple[x509.GeneralName, ...]
) -> bool:
    # A kind of name that no permitted subtree mentions is not restricted by them.
    same_kind = [subtree for subtree in permitted if type(subtree) is type(name)]
    against = [subtree for subtree in excluded if type(subtree) is type(name)]
    if against and not _is_comparable(name):
        return False
    return not any(_is_within(name, subtree) for subtree in against) and (
        not same_kind or any(_is_within(name, subtree) for subtree in same_kind)
    )


def _is_comparable(name: x509.GeneralName) -> bool:
    match name:
        case x509.DNSName() | x509.IPAddress() | x509.RFC822Name() | x509.DirectoryName():
            return True
        case x509.UniformResourceIdentifier():
            return _host(name.value) is not None
        case _:
            return False


def _is_within(name: x509.GeneralName, subtree: x509.GeneralName) -> bool:
    match name, subtree:
        case x509.DNSName(), x509.DNSName():
            base = subtree.value.lower().removeprefix(".")
            return not base or _is_host_at_or_below(name.value.lower(), base)
        case x509.IPAddress(), x509.IPAddress():
            return _is_address_within(name.value, subtree.value)
        case x509.RFC822Name(), x509.RFC822Name():
            return _is_mailbox_within(name.value, subtree.value)
        case x509.UniformResourceIdentifier(), x509.UniformResourceIdentifier():
            host = _host(name.value)
            return host is not None and _is_host_within(host, subtree.value.lower())
        case x509.DirectoryName(), x509.DirectoryName():
            return is_at_or_below(name.value, subtree.value)
        case _:
            return False


def _is_host_at_or_below(host: str, base: str) -> bool:
    return host == base or host.endswith("." + base)


def _is_host_within(host: str, base: str) -> bool:
    """For mail and URIs: a base with a dot in front means all hosts below it, one without means that host alone."""
    return host.endswith(base) if base.startswith(".") else host == base


def _is_mailbox_within(mailbox: str, base: str) -> bool:
    local, at, host = mailbox.rpartition("@")
    if not at:
        return False
    own_local, base_at, base_host = base.rpartition("@")
    if base_at:
        return local == own_local and host.lower() == base_host.lower()
    return _is_host_within(host.lower(), base.lower())


def _host(uri: str) -> str | None:
    """Return the host that a URI names; None where it names none or an address, which no constraint can speak of."""
    try:
        host = urlsplit(uri).hostname
    except ValueError:
        return None
    if not host:
        return None
    try:
        ip_address(host)
    except ValueError:
        return host.lower()
    return None


def _is_address_within(
    address: IPv4Address | IPv6Address | IPv4Network | IPv6Network,
    network: IPv4Address | IPv6Address | IPv4Network | IPv6Network,
) -> bool:
    if isinstance(address, IPv4Address) and isinstance(network, IPv4Network):
        return address in network
    if isinstance(address, IPv6Address) and isinstance(network, IPv6Network):
        return address in network
    return False
