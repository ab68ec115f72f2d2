"""What a lint rule is given, is, and says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography import x509

from troth.x509.profiles import Profile


@dataclass(frozen=True, slots=True)
class Case:
    """A certificate before the rules."""

    certificate: x509.Certificate
    profile: Profile
    issuer: x509.Certificate
    """The certificate itself where it signs itself."""
    is_self_signed: bool


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
