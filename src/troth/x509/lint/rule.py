"""What a lint rule is given, is, and says."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509

from troth.errors import Fault
from troth.x509.algorithms import KeyAlgorithm, PublicKey, algorithm_of
from troth.x509.certificates import UNREADABLE
from troth.x509.profiles import Profile
from troth.x509.signed import EncodedParts, read_parts

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Case:
    """A certificate before the rules, and what several of them look at. Made by `open_case`."""

    certificate: x509.Certificate
    profile: Profile
    issuer: x509.Certificate
    """The certificate itself where it signs itself."""
    is_self_signed: bool
    parts: EncodedParts
    """The certificate's, as they are encoded."""
    public_key: PublicKey | None
    """The subject's; None for one that is not taken or cannot be read."""
    algorithm: KeyAlgorithm | None
    """Of that key."""
    _values: Mapping[type, x509.ExtensionType] | None

    def find(self, kind: type[_Extension]) -> _Extension | None:
        """Return the value of one kind of extension, or None. Raises `ValueError` when they cannot be read."""
        if self._values is None:
            raise ValueError("the extensions")
        found = self._values.get(kind)
        return found if isinstance(found, kind) else None


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold."""

    name: str
    clause: str
    """Where it is written: "RFC 5280, 4.2.1.9"."""
    check: Callable[[Case], Iterator[str]]
    """Yields a message for each way in which it does not hold."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which a certificate breaks a rule."""

    rule: str
    clause: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.message} ({self.clause})"


def open_case(certificate: x509.Certificate, profile: Profile, issuer: x509.Certificate | None) -> Case:
    """Return what rules are given."""
    public_key = _public_key(certificate)
    return Case(
        certificate=certificate,
        profile=profile,
        issuer=issuer or certificate,
        is_self_signed=issuer is None,
        parts=read_parts(certificate),
        public_key=public_key,
        algorithm=None if public_key is None else algorithm_of(public_key),
        _values=_values(certificate),
    )


def _public_key(certificate: x509.Certificate) -> PublicKey | None:
    try:
        public_key = certificate.public_key()
        algorithm_of(public_key)
    except (Fault, *UNREADABLE):
        return None
    assert isinstance(public_key, PublicKey)  # algorithm_of has just said so
    return public_key


def _values(certificate: x509.Certificate) -> Mapping[type, x509.ExtensionType] | None:
    try:
        return {type(extension.value): extension.value for extension in certificate.extensions}
    except UNREADABLE:
        return None
