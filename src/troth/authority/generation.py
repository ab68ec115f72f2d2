"""A generation of an issuer: what its names are made of. Recorded as the proof in the intent to certify it.

Knows no key and no database.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from troth.errors import Fault, Kind
from troth.x509.profiles import Purpose
from troth.x509.subjects import THINGS_DOMAIN, issuer_subject, permitted_at

LINE_CHARS_MAX: Final = 32
_LINE: Final = re.compile(rf"[a-z][a-z0-9-]{{0,{LINE_CHARS_MAX - 1}}}", re.ASCII)
_DEFAULT_LINES: Final = {purpose.value: purpose for purpose in Purpose}


@dataclass(frozen=True, slots=True)
class Generation:
    """The `number`-th issuer of one line of the site `site`. No two have the same subject, name or key."""

    site: str
    purpose: Purpose
    number: int
    """From 1."""
    names: tuple[str, ...] = ()
    """DNS names and addresses of the site's servers beside those below its own name."""
    called: str | None = None
    """The name of its line where that is not its purpose's: one of several issuers for that purpose."""
    key: str | None = None
    """Where its key is, when not in a file of its own name: a PKCS#11 URI (RFC 7512); empty when it is elsewhere."""

    @property
    def line(self) -> str:
        """What it is a generation of."""
        return self.called or self.purpose.value

    @property
    def name(self) -> str:
        """The issuer's name in the registry: ``devices-1``."""
        return f"{self.line}-{self.number}"

    @property
    def key_name(self) -> str:
        """Under which name its key is kept: ``keys/devices-1.key``; the root's apart, so that it can be taken away."""
        if self.key is not None:
            return self.key
        if self.purpose is Purpose.ROOT:
            return "root/root.key" if self.number == 1 else f"root/{self.name}.key"
        return f"keys/{self.name}.key"

    @property
    def profile(self) -> str:
        """The name of the profile of its own certificate."""
        return "root" if self.purpose is Purpose.ROOT else f"issuing-{self.purpose.value}"

    @property
    def subject(self) -> x509.Name:
        """Its subject. Raises `Fault` (malformed) for a site that cannot be named so."""
        return issuer_subject(self.site, self.line, self.number)

    @property
    def permitted(self) -> tuple[x509.GeneralName, ...]:
        """The names that it may certify, where its profile holds it to some. Raises `Fault` (malformed)."""
        if self.purpose is Purpose.PEERS:
            return (x509.DNSName(THINGS_DOMAIN),)
        return permitted_at(self.site, self.names)

    def to_proof(self) -> dict[str, object]:
        """Return the generation as an intent records it."""
        return {
            "site": self.site,
            "purpose": self.purpose.value,
            "number": self.number,
            "names": list(self.names),
            "called": self.called,
            "key": self.key,
        }

    @classmethod
    def from_proof(cls, proof: Mapping[str, object]) -> "Generation":
        """Return the generation that `to_proof` recorded. Raises `Fault` (rejected) for anything else."""
        match dict(proof):
            case {
                "site": str(site),
                "purpose": str(purpose),
                "number": int(number),
                "names": list(names),
                "called": str() | None as called,
                "key": str() | None as key,
            } if (
                purpose in set(Purpose)
                and number > 0
                and all(isinstance(name, str) for name in names)
                and (called is None or _is_line(called, Purpose(purpose)))
            ):
                return cls(site, Purpose(purpose), number, tuple(names), called, key)
        raise Fault(Kind.REJECTED, "the intent does not say whose certificate it is for")


def parse_line(text: str | None, purpose: Purpose) -> str | None:
    """Return what a generation of `purpose` is to be called for the line `text`: None for the purpose's own.

    Raises `Fault` (malformed) for a name that cannot be, or that is another purpose's own.
    """
    if text is None or text == purpose.value:
        return None
    if not _is_line(text, purpose):
        raise Fault(
            Kind.MALFORMED,
            f"{text[:40]!r} cannot be the name of a CA for {purpose.value}",
            hint=f"use 1 to {LINE_CHARS_MAX} of 'a-z', '0-9' and '-', beginning with a letter; a root is always 'root'",
        )
    return text


def _is_line(text: str, purpose: Purpose) -> bool:
    return bool(_LINE.fullmatch(text)) and text not in _DEFAULT_LINES and purpose is not Purpose.ROOT
