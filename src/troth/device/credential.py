"""A credential in a slot: a key made here, a request, and a certificate that is checked before anybody uses it.

Every step is on the disk before the next, so that one who is cut short goes on where it was: a request that was sent is
sent again as it was, and a server that had answered gives the same answer (RFC 7030 itself says nothing of that).
Knows no folder of an identity, and no network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from troth.clock import Clock
from troth.device.identity import read_chain
from troth.device.slot_keys import TokenPlace, discard_key, make_key, open_key, place_of
from troth.device.slots import Slot
from troth.errors import Fault, Kind
from troth.keys.files import read_bounded, write_private
from troth.keys.requests import build_request
from troth.limits import CHAIN_CERTIFICATES_MAX, CSR_BYTES_MAX
from troth.points import DevicePoint, reached
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import render_chain
from troth.x509.pem import render_pem
from troth.x509.profiles import ExtendedUse
from troth.x509.requests import Request, parse_request
from troth.x509.subjects import thing_of
from troth.x509.verify import verify_chain

Ask = Callable[[bytes], Sequence[x509.Certificate]]
"""Sends a request (DER) and returns the certificates that came back, in any order, trusted in nothing."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What a credential is to be."""

    thing: str
    trust: tuple[x509.Certificate, ...]
    """The roots that its certificate must lead to."""
    algorithm: KeyAlgorithm = KeyAlgorithm.P256
    alternative_names: tuple[str, ...] = ()
    """What is asked for beside the thing's name."""
    place: TokenPlace | None = None
    """The token to make the key in; None: a file."""
    shows_crosses: bool = False
    """Whether what leads to another root in force is shown, too: for who trusts only that one yet."""


def obtain(slot: Slot, sought: Sought, ask: Ask, clock: Clock, *, again: bool) -> bool:
    """Bring a whole credential into `slot`; say whether one that had been cut short was brought to its end.

    `again`: an answer that has come already is asked for once more. Raises `Fault`: what `ask` raises; unauthenticated
    for an answer that is not for this key, this thing and a client, or that the roots do not lead to; expired.
    """
    request = _unfinished(slot, sought)
    resumed = request is not None
    if request is None:
        request = _begin(slot, sought)
    if again or not _is_answered(slot, sought, clock.now()):
        chain = _arrange(ask(request.der), request, sought)
        reached(DevicePoint.ANSWERED)
        write_private(slot.chain_file, render_chain(chain), overwrite=True)
        _verify(slot, sought, clock.now())
        reached(DevicePoint.STORED)
    return resumed


def _unfinished(slot: Slot, sought: Sought) -> Request | None:
    """Return the request that is waiting in `slot`, if it is what is wanted now and its key is there."""
    try:
        request = parse_request(read_bounded(slot.request_file, 2 * CSR_BYTES_MAX))
        key = open_key(slot)
    except Fault:
        # Not there, or not whole: it is made anew.
        return None
    same = request.algorithm == sought.algorithm and thing_of(request.subject) == sought.thing
    same = same and place_of(slot) == sought.place
    return request if same and key.public_key == request.public_key else None


def _begin(slot: Slot, sought: Sought) -> Request:
    slot.make()
    discard_key(slot)
    slot.clear()
    key = make_key(slot, sought.algorithm, sought.place)
    reached(DevicePoint.KEY_MADE)
    der = build_request(key, sought.thing, sought.alternative_names)
    write_private(slot.request_file, render_pem("CERTIFICATE REQUEST", der))
    reached(DevicePoint.REQUESTED)
    return parse_request(der)


def _is_answered(slot: Slot, sought: Sought, at: datetime) -> bool:
    """Tell whether the answer is in `slot` already: cut short between its writing and the switch."""
    try:
        _verify(slot, sought, at)
    except Fault:
        return False
    return True


def _arrange(answer: Sequence[x509.Certificate], request: Request, sought: Sought) -> list[x509.Certificate]:
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
    roots = {root.subject for root in sought.trust}
    while len(chain) < CHAIN_CERTIFICATES_MAX and chain[-1].issuer not in roots:
        above = [each for each in answer if each.subject == chain[-1].issuer and each not in chain]
        # A root that is not trusted leads nowhere; the certificate of it by another may.
        above = [each for each in above if each.subject != each.issuer]
        if not above:
            break
        chain.append(above[0])
    if sought.shows_crosses:
        chain += [each for each in answer if each.subject == chain[-1].issuer and each.subject != each.issuer]
    return chain[:CHAIN_CERTIFICATES_MAX]


def _verify(slot: Slot, sought: Sought, at: datetime) -> None:
    """Return if the slot holds a credential: key, chain, thing, use and time belong together under the roots."""
    chain = read_chain(slot.chain_file)
    leaf = chain[0]
    if leaf.public_key() != open_key(slot).public_key:
        raise Fault(Kind.UNAUTHENTICATED, "the certificate is not for the key of this device")
    if thing_of(leaf.subject) != sought.thing:
        raise Fault(Kind.UNAUTHENTICATED, f"the certificate is not for {sought.thing!r}")
    try:
        verify_chain(chain, sought.trust, at=at, use=ExtendedUse.CLIENT_AUTH)
    except Fault as fault:
        raise Fault(
            fault.kind,
            f"the certificate that the home issued is not taken: {fault.message}",
            detail=fault.detail,
            hint=f"this device's clock says {at:%Y-%m-%d %H:%M} UTC" if fault.kind is Kind.EXPIRED else None,
        ) from fault
