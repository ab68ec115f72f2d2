"""The evidence for a cross certificate: the certificate by which a root has certified itself, whose name and key count.

Recorded as the proof in the intent. Knows no key and no database. RFC 4210 section 4.4.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from troth.errors import Fault, Kind
from troth.limits import CERTIFICATE_BYTES_MAX
from troth.x509.certificates import UNREADABLE, parse_certificate

CROSS_PROFILE: Final = "cross"


@dataclass(frozen=True, slots=True)
class Crossing:
    """A root that is to be certified by another."""

    root: x509.Certificate
    """Signed by itself."""

    @property
    def profile(self) -> str:
        """The name of the profile of cross certificates."""
        return CROSS_PROFILE

    @property
    def subject(self) -> x509.Name:
        """The root's own name, as it stands in its certificate."""
        return self.root.subject

    def within(self, window: tuple[datetime, datetime]) -> tuple[datetime, datetime]:
        """Return `window`, cut where the root's own validity ends."""
        return window[0], min(window[1], self.root.not_valid_after_utc)

    def to_proof(self) -> dict[str, object]:
        """Return the evidence as an intent records it."""
        return {"root": base64.b64encode(self.root.public_bytes(Encoding.DER)).decode()}

    @classmethod
    def from_proof(cls, proof: Mapping[str, object]) -> "Crossing":
        """Return what `to_proof` recorded. Raises `Fault` (rejected) for all else."""
        text = proof.get("root")
        if proof.keys() != {"root"} or not isinstance(text, str) or len(text) > 2 * CERTIFICATE_BYTES_MAX:
            raise Fault(Kind.REJECTED, "the intent does not say which root is to be certified")
        try:
            root = parse_certificate(base64.b64decode(text, validate=True))
            root.verify_directly_issued_by(root)
        except (*UNREADABLE, binascii.Error, InvalidSignature, Fault) as error:
            raise Fault(Kind.REJECTED, "the intent's root has not signed itself", detail=str(error)) from error
        return cls(root)
