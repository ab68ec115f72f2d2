"""When two distinguished names are the same, and when one lies below the other. RFC 5280 section 7.1.

Values are compared without regard to case, to how much white space they hold and to the kind of string they are
encoded as; where RFC 4518 prepares strings with tables of its own, Unicode's NFKC and case folding stand in.
"""

import unicodedata
from collections.abc import Hashable

from cryptography import x509

_Part = tuple[str, str | bytes]


def same_name(one: x509.Name, other: x509.Name) -> bool:
    """Say whether two names are the same name."""
    return one == other or _folded(one) == _folded(other)


def name_key(name: x509.Name) -> Hashable:
    """Return what two names have in common if, and only if, they are the same name."""
    return tuple(_folded(name))


def is_at_or_below(name: x509.Name, base: x509.Name) -> bool:
    """Say whether `name` begins with all the parts of `base`: the directory subtree of RFC 5280, 4.2.1.10."""
    own, above = _folded(name), _folded(base)
    return own[: len(above)] == above


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Say whether issuer and subject are one name, which RFC 5280 (3.2) calls self-issued; the keys may differ."""
    return same_name(certificate.subject, certificate.issuer)


def _folded(name: x509.Name) -> list[frozenset[_Part]]:
    return [frozenset((part.oid.dotted_string, _fold(part.value)) for part in rdn) for rdn in name.rdns]


def _fold(value: str | bytes) -> str | bytes:
    if isinstance(value, bytes):
        return value
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())
