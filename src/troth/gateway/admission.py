"""Who is let in, and what they may do then: decided here once for every door.

A certificate must be registered, in force, in its time and of an issuer for devices; then the policies of the
certificate and of the thing that it is decide. Any doubt is a refusal. AWS IoT developer guide, "Authorization".
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from troth.clock import Clock
from troth.errors import Fault
from troth.gateway.first_connections import Stranger
from troth.gateway.first_use import FirstUses
from troth.gateway.grants import Grants, Peer
from troth.gateway.mqtt.names import Owner, upstream_client_id
from troth.gateway.principals import Known, Principals
from troth.gateway.refusal import Reason, Refusal
from troth.limits import Limits
from troth.names import Realm
from troth.policy.actions import Action, request_resource
from troth.policy.context import Thing, resolve_thing
from troth.policy.decision import Decision
from troth.policy.engine import Grant
from troth.protocols.mqtt import Connect
from troth.registry.certificates import CertificateState
from troth.x509.profiles import Purpose
from troth.x509.times import has_ended


@dataclass(frozen=True, slots=True)
class Admitted:
    """A CONNECT that may go ahead."""

    client_id: str
    thing: str | None
    is_exclusive: bool
    """The certificate stands for the thing whatever the client id is."""
    owner: Owner
    grant: Grant
    upstream_client_id: str = field(repr=False)


class Admission:
    """The one judge of certificates and of CONNECT in a worker."""

    def __init__(
        self,
        principals: Principals,
        clock: Clock,
        realm: Realm,
        limits: Limits,
        is_up_to_date: Callable[[], Awaitable[bool]],
        first_uses: FirstUses | None = None,
        greet: Callable[[Stranger], Awaitable[Refusal]] | None = None,
    ) -> None:
        """`first_uses` are told who was let in; `greet` meets those who come for the first time, else unknown."""
        self._principals = principals
        self._clock = clock
        self._grants = Grants(clock, realm, limits.principals_kept_max)
        self._client_id_bytes_max = limits.client_id_bytes_max
        self._is_up_to_date = is_up_to_date
        self._first_uses = first_uses
        self._greet = greet

    async def principal(self, certificate_id: str, stranger: Stranger | None = None) -> Known:
        """Return the principal of a certificate that is in force now, with every change committed before this call.

        `stranger` is given where TLS let it through without an issuer of ours. Raises `Refusal`: unauthenticated, or
        unavailable while nobody can know.
        """
        # What is kept lags behind the journal until it has been asked.
        if not await self._is_up_to_date():
            raise _refusal(Reason.STATE_UNKNOWN, certificate_id)
        known = self._principals.find(certificate_id)
        if known is None:
            try:
                known = await self._principals.get(certificate_id)
            except Fault as fault:
                raise _refusal(Reason.STATE_UNKNOWN, certificate_id, fault.detail or fault.message) from fault
        is_new = known is None or known.state is CertificateState.PENDING_ACTIVATION
        if is_new and stranger is not None and self._greet is not None:
            raise await self._greet(stranger)
        if known is None:
            raise _refusal(Reason.UNKNOWN_CERTIFICATE, certificate_id)
        require_in_force(known, self._clock.now())
        return known

    def allow(self, known: Known, peer: Peer) -> tuple[str | None, Grant]:
        """Return who one request comes from that is no connection, and what it may do; AWS IoT's HTTPS requests.

        Raises `Refusal`: unauthenticated when the certificate is not in force now; forbidden.
        """
        require_in_force(known, self._clock.now())
        thing = _sole(known.things)
        grant = self._grants.visit(known, peer, thing)
        if grant is None:
            raise _refusal(Reason.POLICY_UNREADABLE, known.certificate_id)
        if self._first_uses is not None:
            self._first_uses.notice(known)
        return thing.name if thing else None, grant

    def admit(self, known: Known, peer: Peer, connect: Connect) -> Admitted:
        """Decide a CONNECT whose client id is not empty, and what its connection may do.

        Raises `Refusal`: unauthenticated when the certificate is not in force now; rejected for a client id that
        cannot be; forbidden when policy does not allow the client id, the will, or the will's being retained.
        """
        now = self._clock.now()
        require_in_force(known, now)
        client_id = connect.client_id
        if client_id.startswith("$") or len(client_id.encode()) > self._client_id_bytes_max:
            raise _connect_refusal(Reason.CLIENT_ID_INVALID, client_id)
        thing = resolve_thing(known.things, client_id)
        grant = self._grants.grant(known, peer, connect, thing)
        if grant is None:
            raise _connect_refusal(Reason.POLICY_UNREADABLE, client_id)
        will = _first_denial(_will_decisions(grant, connect))
        _require(grant.decide(Action.CONNECT, client_id), Reason.CONNECT_DENIED, will)
        _require(will, Reason.WILL_DENIED, will)
        owner = Owner("thing", thing.name) if thing else Owner("certificate", known.certificate_id)
        name, is_exclusive = (thing.name, thing.exclusive) if thing else (None, False)
        return Admitted(client_id, name, is_exclusive, owner, grant, upstream_client_id(owner, client_id))

    async def settle(self, known: Known) -> None:
        """Return once it is on record that this certificate was used; before its holder hears that it was let in.

        Raises `Fault` (unavailable).
        """
        if self._first_uses is not None:
            await self._first_uses.settle(known)


def _sole(things: Iterable[Thing]) -> Thing | None:
    """Return the thing that a certificate is whatever it says: the exclusive one, or the only one."""
    attached = tuple(things)
    return resolve_thing(attached, attached[0].name if len(attached) == 1 else None)


def require_in_force(known: Known, now: datetime) -> None:
    """Return if a certificate lets its holder in at the time `now`. Raises `Refusal` (unauthenticated)."""
    reason = _objection(known, now)
    if reason is not None:
        raise _refusal(reason, known.certificate_id)


def remembered(connect: Connect) -> Connect:
    """Return what `admit` needs of a CONNECT to decide it again later: no secrets, no payload."""
    if connect.will is None and connect.username is None and connect.password is None:
        return connect
    will = replace(connect.will, payload=b"") if connect.will else None
    return Connect(connect.client_id, connect.clean_session, connect.keep_alive_s, will)


def _objection(known: Known, now: datetime) -> Reason | None:
    if known.state is CertificateState.REVOKED:
        return Reason.CERTIFICATE_REVOKED
    if known.state is not CertificateState.ACTIVE:
        return Reason.CERTIFICATE_INACTIVE
    if now < known.not_before:
        return Reason.CERTIFICATE_NOT_YET_VALID
    if has_ended(known.not_after, now):
        return Reason.CERTIFICATE_EXPIRED
    if known.purpose is not Purpose.DEVICES:
        return Reason.WRONG_ISSUER
    return None


def _will_decisions(grant: Grant, connect: Connect) -> Iterator[Decision]:
    """What a will needs: the right to publish it, and to have it retained where it asks for that."""
    if connect.will is not None:
        yield grant.decide(Action.PUBLISH, connect.will.topic)
        if connect.will.retain:
            yield grant.decide(Action.RETAIN_PUBLISH, connect.will.topic)


def _first_denial(decisions: Iterable[Decision]) -> Decision | None:
    return next((decision for decision in decisions if not decision.allowed), None)


def _require(decision: Decision | None, reason: Reason, will: Decision | None) -> None:
    if decision is not None and not decision.allowed:
        raise Refusal(
            reason,
            action=decision.action,
            resource=decision.resource,
            outcome=decision.outcome,
            detail=decision.reason,
            silences_will=will is not None,
        )


def _connect_refusal(reason: Reason, client_id: str) -> Refusal:
    return Refusal(reason, action=Action.CONNECT, resource=request_resource(Action.CONNECT, client_id))


def _refusal(reason: Reason, certificate_id: str, detail: str | None = None) -> Refusal:
    return Refusal(reason, action=Action.CONNECT, resource=f"certificate/{certificate_id}", detail=detail)
