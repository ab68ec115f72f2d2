"""Enrollment: a key made here, a request, a certificate that is checked before it is used.

The credential itself is the business of `credential`; here it becomes an identity. Knows EST only through `est`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from cryptography import x509

from troth.clock import Clock
from troth.device.credential import Ask, Sought, obtain
from troth.device.endpoint import Endpoint
from troth.device.est import ESTServer
from troth.device.home_time import HomeTime
from troth.device.identity import (
    Identity,
    Settings,
    open_identity,
    read_settings,
    read_trust,
    write_settings,
    write_time,
    write_trust,
)
from troth.device.network import INTERNET, Network
from troth.device.slot_keys import TokenPlace
from troth.device.slots import Slot, Slots, holding
from troth.errors import Fault, Kind
from troth.names import parse_thing_name
from troth.points import DevicePoint, reached
from troth.protocols.roughtime.servers import TimeServer
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import certificate_id

Attempt = Callable[[Slot], None]
"""Uses a new credential as far as can be without a promise; raises `Fault` when the home does not take it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is enrolled for."""

    thing: str
    endpoint: Endpoint
    trust: tuple[x509.Certificate, ...]
    """The roots that the home is checked against."""
    algorithm: KeyAlgorithm = KeyAlgorithm.P256
    alternative_names: tuple[str, ...] = ()
    """What is to be named beside the thing."""
    place: TokenPlace | None = None
    """The token to make the key in; None: a file."""
    time_servers: tuple[TimeServer, ...] = ()
    """Who is asked for the time before a certificate is judged; none: the device's own clock counts."""

    @property
    def sought(self) -> Sought:
        """The credential of it."""
        return Sought(self.thing, self.trust, self.algorithm, self.alternative_names, self.place)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of it."""

    identity: Identity
    resumed: bool
    """Whether an enrollment that had been cut short was brought to its end."""
    clock_ahead: timedelta | None = None
    """How far the home's time is ahead of this device's, where this device's was too wrong to be gone by."""


def enroll(path: Path, wanted: Wanted, token: str, clock: Clock, network: Network = INTERNET) -> Enrolled:
    """Enroll with a one-time token over EST and make the new credential the one in use.

    In a folder that holds an identity, the same thing gets a new key and certificate in the other slot, and what was
    in use stays so until the new one is whole. Raises `Fault`, with the folder as usable as before: what `ESTServer`
    raises; conflict for an identity of another thing or root; unauthenticated for an answer that is not for this key,
    this thing and a client, or that `wanted.trust` does not lead to; expired where the clocks disagree.
    """
    endpoint, judge = wanted.endpoint, network.judge_of(wanted.time_servers)
    time = HomeTime(judge or clock, wanted.trust)
    server = ESTServer(endpoint.est, endpoint.name_of(endpoint.est), wanted.trust, time, judge, network)

    def ask(request: bytes) -> Sequence[x509.Certificate]:
        # The answer is the certificate alone (RFC 7030, 4.2.3); what leads to it is asked for (4.1).
        return (*server.simple_enroll(request, wanted.thing, token), *server.ca_certificates())

    return replace(enroll_by(path, wanted, ask, time), clock_ahead=time.ahead)


def enroll_by(path: Path, wanted: Wanted, ask: Ask, clock: Clock, attempt: Attempt | None = None) -> Enrolled:
    """Enroll by whatever `ask` is; see `enroll`.

    With an `attempt` the home is asked again for an answer that has come already, and the new credential is tried
    before it is gone over to: by then it may have been put out of force.
    """
    parse_thing_name(wanted.thing)
    with holding(path) as slots:
        _check_same(slots, wanted)
        slot = slots.spare()
        resumed = obtain(slot, wanted.sought, ask, clock, again=attempt is not None)
        if attempt is not None:
            attempt(slot)
            reached(DevicePoint.TRIED)
        write_trust(path, _together(path, wanted.trust))
        write_time(path, wanted.time_servers)
        write_settings(path, Settings(wanted.thing, wanted.endpoint))
        slots.switch(slot)
        reached(DevicePoint.SWITCHED)
        slot.settle()
        return Enrolled(open_identity(path), resumed)


def _check_same(slots: Slots, wanted: Wanted) -> None:
    """An identity keeps its thing and its roots; and a switch that was cut short right behind the renaming is ended."""
    current = slots.current()
    if current is None:
        return
    current.settle()
    found = read_settings(slots.path).thing
    if found != wanted.thing:
        raise Fault(
            Kind.CONFLICT,
            f"{slots.path} is the identity of {found!r}",
            hint="give each thing a folder of its own: --identity DIR",
        )
    # While roots are rolled over one of them is enough: they have certified each other.
    if not _ids(read_trust(slots.path)) & _ids(wanted.trust):
        raise Fault(
            Kind.CONFLICT,
            f"{slots.path} trusts another root than the one given",
            hint="enroll into a new folder, or remove this one if its home is gone",
        )


def _together(path: Path, given: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return the roots given, and those that the identity trusts already."""
    known = read_trust(path) if (path / "trust.pem").exists() else ()
    given_ids = _ids(given)
    return [*given, *(root for root in known if certificate_id(root) not in given_ids)]


def _ids(certificates: Sequence[x509.Certificate]) -> set[str]:
    return {certificate_id(certificate) for certificate in certificates}
