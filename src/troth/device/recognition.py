"""Whether who shows a certificate is a neighbour: a thing of the same home, good for this, at a time that is trusted.

Asks nobody: a certificate between neighbours lives so briefly that its end does what a revocation would. Looks at what
OpenSSL has verified once more, by its own steps (`troth.x509.verify`). Knows no socket and no clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from troth.errors import Fault, Kind
from troth.limits import NEIGHBOUR_LIFE_S_MAX
from troth.x509.certificates import find_extension
from troth.x509.profiles import ExtendedUse
from troth.x509.subjects import thing_host, thing_of
from troth.x509.times import has_ended
from troth.x509.verify import find_path

LIFE_MAX: Final = timedelta(seconds=NEIGHBOUR_LIFE_S_MAX)
_BOTH_USES: Final = frozenset((ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH))


class Objection(StrEnum):
    """What is held against one who has shown a certificate of this home."""

    NO_NEIGHBOUR = "no-neighbour"
    """The certificate, or the CA that signed it, is not for things towards each other."""
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    LIVES_TOO_LONG = "lives-too-long"
    NOT_EXPECTED = "not-expected"
    """It is a neighbour, and not the one who was called, or none of those who are let in."""
    TIME_UNKNOWN = "time-unknown"
    """Nobody can tell this device the time."""


class NotRecognised(Fault):
    """Who has shown a certificate is not taken for a neighbour; `objection` says why in one word."""

    def __init__(self, objection: Objection, kind: Kind, message: str, detail: str | None = None) -> None:
        super().__init__(kind, message, detail=detail)
        self.objection = objection


@dataclass(frozen=True, slots=True)
class Expected:
    """Who is gone on with."""

    things: tuple[str, ...]
    """Names, and beginnings of names with ``*`` behind."""
    life_max: timedelta = LIFE_MAX
    """The longest life of a certificate, from its beginning to its end."""

    def admits(self, thing: str) -> bool:
        """Say whether a thing is among them."""
        return any(
            thing.startswith(each.removesuffix("*")) if each.endswith("*") else thing == each for each in self.things
        )


def recognise(
    shown: Sequence[x509.Certificate],
    trust: Sequence[x509.Certificate],
    expected: Expected,
    *,
    use: ExtendedUse,
    at: datetime,
) -> str:
    """Return the thing that has shown these certificates, its own first, in the part of `use`.

    Raises `NotRecognised`.
    """
    thing = _thing(shown, trust, use, at)
    own = shown[0]
    life = own.not_valid_after_utc - own.not_valid_before_utc
    if life > expected.life_max:
        message = f"its certificate lives for {life}, which is longer than {expected.life_max}"
        raise NotRecognised(Objection.LIVES_TOO_LONG, Kind.REJECTED, message)
    if not expected.admits(thing):
        raise NotRecognised(Objection.NOT_EXPECTED, Kind.FORBIDDEN, f"it is {thing!r}, which is not expected here")
    return thing


def _thing(shown: Sequence[x509.Certificate], trust: Sequence[x509.Certificate], use: ExtendedUse, at: datetime) -> str:
    own, *others = shown
    try:
        issuer = find_path(own, others, trust, at=at, use=use)[1]
    except Fault as fault:
        if fault.kind is not Kind.EXPIRED:
            raise _no_neighbour(fault.message, fault.detail) from fault
        is_over = any(has_ended(each.not_valid_after_utc, at) for each in shown)
        objection = Objection.EXPIRED if is_over else Objection.NOT_YET_VALID
        message = "its certificate has expired" if is_over else "its certificate is not yet valid"
        raise NotRecognised(objection, Kind.EXPIRED, message, f"at {at.isoformat(timespec='seconds')}") from fault
    for certificate in (own, issuer):
        # A CA that names no uses may certify any; it was not made for this.
        if not set(find_extension(certificate, x509.ExtendedKeyUsage) or ()) >= _BOTH_USES:
            raise _no_neighbour("its certificate, or the CA that signed it, is not one for neighbours")
    thing = thing_of(own.subject)
    named = find_extension(own, x509.SubjectAlternativeName)
    if thing is None or list(named or ()) != [x509.DNSName(thing_host(thing))]:
        raise _no_neighbour("its certificate does not name one thing")
    return thing


def _no_neighbour(message: str, detail: str | None = None) -> NotRecognised:
    return NotRecognised(Objection.NO_NEIGHBOUR, Kind.UNAUTHENTICATED, message, detail)
