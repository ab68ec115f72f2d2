"""What a device shows to its neighbours: a short-lived certificate that it gets from its home, with its home's one.

::

    IDENTITY/peer/     0700
    ├── a/  b/         as in the identity itself (`slots`): key, chain.pem
    └── current -> a

The home has an enrollment `LABEL` for it (docs/neighbours.md). Trust, time and place are the identity's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from troth.clock import Clock
from troth.device.credential import Sought, obtain
from troth.device.est import ESTServer
from troth.device.events import Event, reason
from troth.device.home_time import HomeTime
from troth.device.identity import Identity, open_identity, read_chain
from troth.device.network import INTERNET, Network
from troth.device.recognition import Expected, recognise
from troth.device.schedule import back_off_s, due_at, life_of
from troth.device.slot_keys import place_of
from troth.device.slots import Slot, Slots, holding
from troth.errors import Fault, Kind
from troth.limits import DEVICE_LOOK_S_MAX, DEVICE_RETRY_S_MAX
from troth.x509.profiles import ExtendedUse
from troth.x509.times import is_in_time

FOLDER: Final = "peer"
LABEL: Final = "peers"
"""What the home's enrollment for it is called."""


@dataclass(frozen=True, slots=True)
class Peer:
    """What is shown to neighbours, as it stood on disk when it was opened."""

    slot: Slot
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        """Its certificate."""
        return self.chain[0]


def find_peer(path: Path) -> Peer | None:
    """Return what the identity in `path` shows to its neighbours; None when it never got anything.

    Raises `Fault` as the readers of its files do.
    """
    slot = Slots(path / FOLDER).current()
    return Peer(slot, read_chain(slot.chain_file)) if slot is not None else None


def renew_peer(path: Path, clock: Clock, network: Network = INTERNET) -> Peer:
    """Get a key and a certificate to show to neighbours, the first or the next; what was shown before stays until then.

    Raises `Fault`, with the folder as usable as before: not found without an identity; what `ESTServer` raises (not
    found where the home has no enrollment for it); unauthenticated when what comes is not for neighbours; conflict
    while another process does the same.
    """
    identity = open_identity(path)
    judge = network.judge_of(identity.time_servers)
    time = HomeTime(judge or clock, (*identity.trust, identity.certificate))
    endpoint = identity.endpoint
    server = ESTServer(endpoint.est, endpoint.name_of(endpoint.est), identity.trust, time, judge, network)
    sought = Sought(identity.thing, identity.trust, place=place_of(identity.slot), shows_crosses=True)

    def ask(request: bytes) -> Sequence[x509.Certificate]:
        return (*server.further_enroll(request, identity.slot, LABEL), *server.ca_certificates())

    with holding(path / FOLDER) as slots:
        current = slots.current()
        if current is not None:
            # A switch that was cut short right behind the renaming is ended.
            current.settle()
        slot = slots.spare()
        try:
            obtain(slot, sought, ask, time, again=False)
            peer = Peer(slot, read_chain(slot.chain_file))
            _require_shown(peer, identity, time.now())
        except Fault as fault:
            if fault.kind is Kind.UNAUTHENTICATED:
                # The home would answer the same request alike for as long as that answer is valid.
                slot.settle()
            raise
        slots.switch(slot)
        slot.settle()
        return peer


def ready_peer(path: Path, clock: Clock, network: Network = INTERNET) -> Peer:
    """Return what to show now: got or renewed first where that is due, and else as it is; no home is needed then.

    What is still good is shown when the home cannot be asked. Raises `Fault` as `renew_peer`.
    """
    found = find_peer(path)
    if found is None:
        return renew_peer(path, clock, network)
    certificate, now = found.certificate, _now(open_identity(path), clock, network)
    if now < due_at(life_of(certificate), None):
        return found
    try:
        return renew_peer(path, clock, network)
    except Fault:
        if is_in_time(certificate.not_valid_before_utc, certificate.not_valid_after_utc, now):
            return found
        raise


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a look."""

    wait_s: float
    """How long to wait until the next."""
    event: Event | None = None
    fields: Mapping[str, object] = field(default_factory=dict)


class PeerKeeper:
    """Keeps good what an identity shows to its neighbours, once there is something, by looks at the right times."""

    def __init__(self, path: Path, clock: Clock, draw: Callable[[], float], network: Network = INTERNET) -> None:
        """`draw` gives numbers from 0 to below 1."""
        self._path, self._clock, self._draw, self._network = path, clock, draw, network
        self._failures = 0

    @property
    def is_needed(self) -> bool:
        """Whether this device shows anything to neighbours."""
        return (self._path / FOLDER).exists()

    def look(self) -> Looked:
        """Renew if that is due. Blocks."""
        try:
            renewed = self._renew_if_due()
        except Fault as fault:
            wait_s = back_off_s(self._failures, self._draw(), DEVICE_RETRY_S_MAX)
            self._failures += 1
            return Looked(wait_s, Event.PEER_NOT_RENEWED, {"again_in_s": round(wait_s, 1), **reason(fault)})
        self._failures = 0
        if renewed is None:
            return Looked(DEVICE_LOOK_S_MAX)
        return Looked(DEVICE_LOOK_S_MAX, Event.PEER_RENEWED, {"until": renewed.certificate.not_valid_after_utc})

    def _renew_if_due(self) -> Peer | None:
        found = find_peer(self._path)
        if found is None:
            return None
        now = _now(open_identity(self._path), self._clock, self._network)
        if now < due_at(life_of(found.certificate), None):
            return None
        return renew_peer(self._path, self._clock, self._network)


def _now(identity: Identity, clock: Clock, network: Network) -> datetime:
    return (network.judge_of(identity.time_servers) or clock).now()


def _require_shown(peer: Peer, identity: Identity, at: datetime) -> None:
    """Return if neighbours will take it: a home whose enrollment gives something else is told of here, not by them."""
    expected = Expected((identity.thing,), timedelta.max)
    try:
        recognise(peer.chain, identity.trust, expected, use=ExtendedUse.SERVER_AUTH, at=at)
    except Fault as fault:
        raise Fault(
            Kind.UNAUTHENTICATED,
            f"what the home gives under the label {LABEL!r} is not for neighbours: {fault.message}",
            hint=f"at home, the enrollment {LABEL!r} must give profile peer",
            detail=fault.detail,
        ) from fault
