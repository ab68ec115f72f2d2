"""Enrollment: a key made here, a request, a certificate that is checked before it is used.

Every step is on the disk before the next, so that one who is cut short goes on where it was: a request that was sent is
sent again as it was, and a server that had answered gives the same answer (RFC 7030 itself says nothing of that).
Knows EST only through `est`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from troth.clock import Clock
from troth.device.endpoint import Endpoint
from troth.device.est import ESTServer
from troth.device.home_time import HomeTime
from troth.device.identity import (
    Identity,
    Settings,
    open_identity,
    read_chain,
    read_settings,
    read_trust,
    write_settings,
    write_time,
    write_trust,
)
from troth.device.slot_keys import TokenPlace, discard_key, make_key, open_key, place_of
from troth.device.slots import Slot, Slots, holding
from troth.device.trusted_time import judge_of
from troth.errors import Fault, Kind
from troth.keys.files import read_bounded, write_private
from troth.keys.requests import build_request
from troth.limits import CHAIN_CERTIFICATES_MAX, CSR_BYTES_MAX
from troth.names import parse_thing_name
from troth.points import DevicePoint, reached
from troth.protocols.roughtime.servers import TimeServer
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import certificate_id, render_chain
from troth.x509.pem import render_pem
from troth.x509.profiles import ExtendedUse
from troth.x509.requests import Request, parse_request
from troth.x509.subjects import thing_of
from troth.x509.verify import verify_chain

Ask = Callable[[bytes], Sequence[x509.Certificate]]
"""Sends a request (DER) and returns the certificates that came back, in any order, trusted in nothing."""


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


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of it."""

    identity: Identity
    resumed: bool
    """Whether an enrollment that had been cut short was brought to its end."""
    clock_ahead: timedelta | None = None
    """How far the home's time is ahead of this device's, where this device's was too wrong to be gone by."""


def enroll(path: Path, wanted: Wanted, token: str, clock: Clock) -> Enrolled:
    """Enroll with a one-time token over EST and make the new credential the one in use.

    In a folder that holds an identity, the same thing gets a new key and certificate in the other slot, and what was
    in use stays so until the new one is whole. Raises `Fault`, with the folder as usable as before: what `ESTServer`
    raises; conflict for an identity of another thing or root; unauthenticated for an answer that is not for this key,
    this thing and a client, or that `wanted.trust` does not lead to; expired where the clocks disagree.
    """
    endpoint, judge = wanted.endpoint, judge_of(wanted.time_servers)
    time = HomeTime(judge or clock, wanted.trust)
    server = ESTServer(endpoint.est, endpoint.name_of(endpoint.est), wanted.trust, time, judge)

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
        request = _unfinished(slot, wanted)
        resumed = request is not None
        if request is None:
            request = _begin(slot, wanted)
        if attempt is not None or not _is_answered(slot, wanted, clock.now()):
            chain = _arrange(ask(request.der), request, wanted.trust)
            reached(DevicePoint.ANSWERED)
            write_private(slot.chain_file, render_chain(chain), overwrite=True)
            _verify(slot, wanted, clock.now())
            reached(DevicePoint.STORED)
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


def _unfinished(slot: Slot, wanted: Wanted) -> Request | None:
    """Return the request that is waiting in `slot`, if it is what is wanted now and its key is there."""
    try:
        request = parse_request(read_bounded(slot.request_file, 2 * CSR_BYTES_MAX))
        key = open_key(slot)
    except Fault:
        # Not there, or not whole: it is made anew.
        return None
    same = request.algorithm == wanted.algorithm and thing_of(request.subject) == wanted.thing
    same = same and place_of(slot) == wanted.place
    return request if same and key.public_key == request.public_key else None


def _begin(slot: Slot, wanted: Wanted) -> Request:
    slot.make()
    discard_key(slot)
    slot.clear()
    key = make_key(slot, wanted.algorithm, wanted.place)
    reached(DevicePoint.KEY_MADE)
    der = build_request(key, wanted.thing, wanted.alternative_names)
    write_private(slot.request_file, render_pem("CERTIFICATE REQUEST", der))
    reached(DevicePoint.REQUESTED)
    return parse_request(der)


def _is_answered(slot: Slot, wanted: Wanted, at: datetime) -> bool:
    """Tell whether the answer is in `slot` already: cut short between its writing and the switch."""
    try:
        _verify(slot, wanted, at)
    except Fault:
        return False
    return True


def _arrange(
    answer: Sequence[x509.Certificate], request: Request, trust: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Return the certificate of our key and those above it, by name, up to the roots and without them.

    Proves nothing: `_verify` does.
    """
    chain = [each for each in answer if each.public_key() == request.public_key][:1]
    if not chain:
        raise Fault(
            Kind.UNAUTHENTICATED,
            "the home's answer holds no certificate for the key of this device",
            hint="ask whoever runs the home; the next try sends the same request again",
        )
    roots = {root.subject for root in trust}
    while len(chain) < CHAIN_CERTIFICATES_MAX and chain[-1].issuer not in roots:
        above = [each for each in answer if each.subject == chain[-1].issuer and each not in chain]
        # A root that is not trusted leads nowhere; the certificate of it by another may.
        above = [each for each in above if each.subject != each.issuer]
        if not above:
            break
        chain.append(above[0])
    return chain


def _verify(slot: Slot, wanted: Wanted, at: datetime) -> None:
    """Return if the slot holds a credential: key, chain, thing, use and time belong together under the roots."""
    chain = read_chain(slot.chain_file)
    leaf = chain[0]
    if leaf.public_key() != open_key(slot).public_key:
        raise Fault(Kind.UNAUTHENTICATED, "the certificate is not for the key of this device")
    if thing_of(leaf.subject) != wanted.thing:
        raise Fault(Kind.UNAUTHENTICATED, f"the certificate is not for {wanted.thing!r}")
    try:
        verify_chain(chain, wanted.trust, at=at, use=ExtendedUse.CLIENT_AUTH)
    except Fault as fault:
        raise Fault(
            fault.kind,
            f"the certificate that the home issued is not taken: {fault.message}",
            detail=fault.detail,
            hint=f"this device's clock says {at:%Y-%m-%d %H:%M} UTC" if fault.kind is Kind.EXPIRED else None,
        ) from fault


def _together(path: Path, given: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return the roots given, and those that the identity trusts already."""
    known = read_trust(path) if (path / "trust.pem").exists() else ()
    given_ids = _ids(given)
    return [*given, *(root for root in known if certificate_id(root) not in given_ids)]


def _ids(certificates: Sequence[x509.Certificate]) -> set[str]:
    return {certificate_id(certificate) for certificate in certificates}
