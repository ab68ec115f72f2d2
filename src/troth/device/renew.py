"""Renewal: a new key in the spare slot, certified for what the credential in use proves; tried, then gone over to.

A device that is cut short anywhere has the credential that it had, or the new one, and the same request to go on with:
the home takes both until the new one is used at its MQTT door. RFC 7030 section 4.2.2.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from cryptography import x509

from troth.clock import Clock
from troth.device.connection import ConnectionFault
from troth.device.enroll import Enrolled, Wanted, enroll_by
from troth.device.est import ESTServer, Hint
from troth.device.home_time import HomeTime
from troth.device.identity import Identity, open_identity, read_chain
from troth.device.network import INTERNET, Network
from troth.device.schedule import due_at, life_of
from troth.device.slot_keys import open_key, place_of
from troth.device.slots import Slot, Slots, holding
from troth.errors import Fault, Kind
from troth.points import DevicePoint, reached
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import find_extension


def renew(path: Path, clock: Clock, algorithm: KeyAlgorithm | None = None, network: Network = INTERNET) -> Enrolled:
    """Get a new key and a certificate for it, and make them the ones in use; the kind of key stays unless one is given.

    Raises `Fault`, with the folder as usable as before: not found without an identity, and as `enroll` does.
    """
    # The new key takes the place of the credential before, which may be the only one that the home takes.
    fall_back(path, clock, network)
    identity = open_identity(path)
    time = _time(identity, clock, network)
    server = _server(identity, time, network)

    def ask(request: bytes) -> Sequence[x509.Certificate]:
        # Looked up now that the folder is held: another process may have gone over to the other slot before.
        own = Slots(path).current()
        if own is None:
            raise Fault(Kind.NOT_FOUND, f"{path} holds no identity any more")
        return (*server.simple_reenroll(request, own), *server.ca_certificates())

    def attempt(slot: Slot) -> None:
        # At the HTTPS door, which counts as no use of it: whatever happens next, the old one is still good.
        server.renewal_info(slot)

    wanted = Wanted(
        identity.thing,
        identity.endpoint,
        identity.trust,
        algorithm or open_key(identity.slot).algorithm,
        _names(identity.certificate),
        place_of(identity.slot),
        identity.time_servers,
    )
    return replace(enroll_by(path, wanted, ask, time, attempt), clock_ahead=time.ahead)


def ask_hint(path: Path, clock: Clock, network: Network = INTERNET) -> Hint:
    """Ask the home when the certificate in use is to be renewed. Raises `Fault` as `ESTServer` does; not found."""
    fall_back(path, clock, network)
    identity = open_identity(path)
    return _server(identity, _time(identity, clock, network), network).renewal_info(identity.slot)


def find_due(path: Path, clock: Clock) -> datetime:
    """Return when the certificate in use is to be renewed: now where that was begun, else by the home's word.

    A home that cannot be asked does not keep a device from renewing in time. Raises `Fault` (not found).
    """
    identity = open_identity(path)
    if Slots(path).spare().request_file.exists():
        return _time(identity, clock, INTERNET).now()
    try:
        window = ask_hint(path, clock).window
    except Fault:
        window = None
    return due_at(life_of(identity.certificate), window)


def fall_back(path: Path, clock: Clock, network: Network = INTERNET) -> bool:
    """Go back to the credential before where the home takes that one and not the one in use; say whether.

    It puts a new one out of force that was not used for too long, and the one before may have expired meanwhile: then
    it is good for nothing but the next renewal. Raises `Fault`: what the home has against the one in use where it takes
    neither, and as `ESTServer` does.
    """
    previous = Slots(path).previous()
    if previous is None:
        return False
    identity = open_identity(path)
    server = _server(identity, _time(identity, clock, network), network)
    refusal = _refusal(server, identity.slot)
    if refusal is None:
        return False
    if _refusal(server, previous) is not None:
        raise refusal
    go_back(path, previous, identity.certificate)
    return True


def go_back(path: Path, to: Slot, refused: x509.Certificate) -> None:
    """Make `to` the credential in use, which was so before, in the place of the `refused` one.

    Raises `Fault` (not found) when it is not kept any more, or another is in use by now: that was renewed meanwhile.
    """
    with holding(path) as slots:
        current = slots.current()
        if slots.previous() != to or current is None or read_chain(current.chain_file)[0] != refused:
            raise Fault(Kind.NOT_FOUND, f"{path} does not keep that earlier credential")
        slots.switch(to)


def retire_previous(path: Path, proven: Slot) -> bool:
    """Remove the credential that was in use before, now that `proven` has worked; say whether there was one.

    Nothing is removed when another one than `proven` is in use by now: that one has yet to work.
    """
    with holding(path) as slots:
        previous = slots.previous()
        if previous is None or slots.current() != proven:
            return False
        reached(DevicePoint.PROVEN)
        previous.clear()
        reached(DevicePoint.RETIRED)
        return True


def _time(identity: Identity, clock: Clock, network: Network) -> HomeTime:
    return HomeTime(network.judge_of(identity.time_servers) or clock, (*identity.trust, identity.certificate))


def _refusal(server: ESTServer, slot: Slot) -> Fault | None:
    """Return why the home does not take a credential; None when it does. Raises `Fault` where that is not known."""
    try:
        server.renewal_info(slot)
    except ConnectionFault as fault:
        if fault.refusal.alert is None:
            raise
        return fault
    except Fault as fault:
        if fault.kind is not Kind.UNAUTHENTICATED:
            raise
        return fault
    return None


def _server(identity: Identity, time: HomeTime, network: Network) -> ESTServer:
    endpoint = identity.endpoint
    judge = network.judge_of(identity.time_servers)
    return ESTServer(endpoint.est, endpoint.name_of(endpoint.est), identity.trust, time, judge, network)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    named = find_extension(certificate, x509.SubjectAlternativeName)
    return tuple(str(name.value) for name in named) if named is not None else ()
