"""A generation of an issuer: what its names are made of. Recorded as the proof in the intent to certify it.

Knows no key and no database.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509

from troth.errors import Fault, Kind
from troth.x509.profiles import Purpose
from troth.x509.subjects import issuer_subject, permitted_at


@dataclass(frozen=True, slots=True)
class Generation:
    """The `number`-th issuer for `purpose` of the site `site`. No two have the same subject, name or key."""

    site: str
    purpose: Purpose
    number: int
    """From 1."""
    names: tuple[str, ...] = ()
    """DNS names and addresses of the site's servers beside those below its own name."""

    @property
    def name(self) -> str:
        """The issuer's name in the registry: ``devices-1``."""
        return f"{self.purpose.value}-{self.number}"

    @property
    def key_name(self) -> str:
        """Under which name its key is kept: ``keys/devices-1.key``; the root's apart, so that it can be taken away."""
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
        return issuer_subject(self.site, self.purpose.value, self.number)

    @property
    def permitted(self) -> tuple[x509.GeneralName, ...]:
        """The names that it may certify, where its profile holds it to some. Raises `Fault` (malformed)."""
        return permitted_at(self.site, self.names)

    def to_proof(self) -> dict[str, object]:
        """Return the generation as an intent records it."""
        return {"site": self.site, "purpose": self.purpose.value, "number": self.number, "names": list(self.names)}

    @classmethod
    def from_proof(cls, proof: Mapping[str, object]) -> "Generation":
        """Return the generation that `to_proof` recorded. Raises `Fault` (rejected) for anything else."""
        match dict(proof):
            case {"site": str(site), "purpose": str(purpose), "number": int(number), "names": list(names)} if (
                purpose in set(Purpose) and number > 0 and all(isinstance(name, str) for name in names)
            ):
                return cls(site, Purpose(purpose), number, tuple(names))
        raise Fault(Kind.REJECTED, "the intent does not say whose certificate it is for")
