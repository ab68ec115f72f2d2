"""What connections may do, made ready: once for a principal whose policies ask of nothing else, and so for who returns.

Knows neither states nor reasons; whether there may be a connection at all is `troth.gateway.admission`'s.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Final

from troth.clock import Clock
from troth.gateway.principals import Known
from troth.names import Realm
from troth.policy.attachment import NamedPolicy, effective
from troth.policy.compiled import Compiler
from troth.policy.context import VOLATILE_KEYS, ConnectionContext, Thing
from troth.policy.engine import Grant
from troth.protocols.mqtt import Connect

KEPT_EACH_MAX: Final = 4
"""Grants kept ready for one principal."""

# What a policy reads that begins so, or is one of these, is the principal's or the moment's. All else may be another at
# the next connection, also what is not known here.
_LASTING_BEGINNINGS: Final = ("iot:connection.thing.", "iot:certificate.")
_LASTING: Final = VOLATILE_KEYS | {"iot:certificateid", "troth:enrollmentmethod", "troth:keyprotection"}


@dataclass(frozen=True, slots=True)
class Peer:
    """The far end of a connection whose handshake has succeeded."""

    certificate_id: str
    host: str
    port: int
    server_name: str | None
    """The name that it asked for, unverified."""
    tls_version: str
    """``1.2`` or ``1.3``."""

    @property
    def address(self) -> str:
        """``host:port``, or ``[host]:port`` for IPv6."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Grants:
    """Grants of the principals that connected last, `kept_max` of them. None remembers a topic that anybody named."""

    def __init__(self, clock: Clock, realm: Realm, kept_max: int) -> None:
        self._clock = clock
        self._realm = realm
        self._kept_max = kept_max
        self._compiler = Compiler()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def grant(self, known: Known, peer: Peer, connect: Connect, thing: Thing | None) -> Grant | None:
        """Return what a connection of `thing`, as which `known` resolved, may do; None when a policy is unreadable."""
        if known.policies is None:
            return None
        kept = self._kept.get(known.certificate_id)
        if kept is None or kept.known is not known:
            kept = self._keep(known, known.policies)
        key = _key(kept, peer, connect, thing)
        ready = kept.ready.get(key)
        if ready is None:
            if len(kept.ready) >= KEPT_EACH_MAX:
                kept.ready.clear()
            policies = effective(known.policies, known.certificate_id, thing, connect.client_id)
            context = _context(self._realm, known, peer, connect, thing)
            ready = kept.ready[key] = Grant(self._compiler.compile(policies), context, self._clock.now)
        return ready.fresh()

    def visit(self, known: Known, peer: Peer, thing: Thing | None) -> Grant | None:
        """Return what one request may do that is no connection, and so has no client id; None as `grant`."""
        if known.policies is None:
            return None
        # No client id could contradict it: who is one thing's and nobody else's has the policies of its groups.
        policies = effective(known.policies, known.certificate_id, thing, thing.name if thing else None)
        context = replace(_context(self._realm, known, peer, Connect(""), thing), client_id=None)
        return Grant(self._compiler.compile(policies), context, self._clock.now)

    def _keep(self, known: Known, policies: tuple[NamedPolicy, ...]) -> "_Kept":
        self._kept.pop(known.certificate_id, None)
        kept = self._kept[known.certificate_id] = _Kept(known, all(map(_lasts, policies)), {})
        if len(self._kept) > self._kept_max:
            self._kept.popitem(last=False)
        return kept


@dataclass(frozen=True, slots=True)
class _Kept:
    known: Known
    """For whom; what has been looked up anew is another, and nothing kept counts for it."""
    lasts: bool
    """Its policies read nothing that may be another at the next connection."""
    ready: dict[Hashable, Grant]


def _key(kept: _Kept, peer: Peer, connect: Connect, thing: Thing | None) -> Hashable:
    """Return all that a grant depends on beside the principal."""
    client_id = connect.client_id
    # The policies of its groups count only for a thing whose name is the client id.
    which = None if thing is None else (thing.name, thing.name == client_id)
    if kept.lasts:
        return which
    will = connect.will.topic if connect.will else None
    return which, client_id, connect.clean_session, will, peer.host, peer.server_name, peer.tls_version


def _lasts(policy: NamedPolicy) -> bool:
    names = frozenset[str]().union(*(statement.names for statement in policy.document.statements))
    return all(name in _LASTING or name.startswith(_LASTING_BEGINNINGS) for name in names)


def _context(realm: Realm, known: Known, peer: Peer, connect: Connect, thing: Thing | None) -> ConnectionContext:
    return ConnectionContext(
        realm=realm,
        certificate=known.attributes,
        source_ip=peer.host,
        client_id=connect.client_id,
        thing=thing,
        domain_name=peer.server_name,
        connect_attributes=_attributes_of(connect),
        last_will_topic=connect.will.topic if connect.will else None,
        tls_version=peer.tls_version,
        not_before=known.not_before,
        not_after=known.not_after,
        enrollment_method=known.method,
        key_protection=known.key_protection,
    )


def _attributes_of(connect: Connect) -> tuple[str, ...]:
    persistent = () if connect.clean_session else ("PersistentConnect",)
    return (*persistent, "LastWill") if connect.will else persistent
