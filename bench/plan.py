"""What one run measures, and in which order: every server under every load, in turns, several rounds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from bench.client import Unexpected
from bench.connects import measure_connects
from bench.messages import PAYLOAD_BYTES, Pace, measure_messages
from bench.peers.peer import Peer
from bench.sample import Sample
from bench.site import Site


@dataclass(frozen=True, slots=True)
class Load:
    """One benchmark. `measure` puts it to one server; `unit` is what its figures are counted in."""

    name: str
    what: str
    unit: str
    asked: int
    measure: Callable[[Site, Peer], Sample]


@dataclass(frozen=True, slots=True)
class Plan:
    """How often, and which benchmarks in which order."""

    rounds: int
    loads: tuple[Load, ...]


def connects(count: int) -> Load:
    """Return the benchmark of so many connects."""
    what = "mutual TLS 1.3 with P-256, the device's leaf alone; CONNECT, CONNACK, DISCONNECT"
    return Load("connects", what, "connect", count, partial(measure_connects, count=count))


def messages(name: str, count: int, pace: Pace) -> Load:
    """Return the benchmark of so many messages sent at a pace."""
    what = f"QoS 0, {PAYLOAD_BYTES} bytes, {pace.per_write} in a write, at most {pace.window} on their way"
    return Load(name, what, "message", count, partial(measure_messages, count=count, pace=pace))


def _plan(rounds: int, *, connecting: int, singly: int, batched: int) -> Plan:
    return Plan(
        rounds,
        (
            connects(connecting),
            messages("messages singly", singly, Pace(per_write=1, writes=20)),
            messages("messages in batches", batched, Pace(per_write=20, writes=10)),
        ),
    )


FULL: Final = _plan(9, connecting=400, singly=40_000, batched=200_000)
QUICK: Final = _plan(1, connecting=40, singly=2000, batched=4000)

Samples = Mapping[str, Sequence[Sample]]
"""By the name of the server."""


def measure(site: Site, peers: Sequence[Peer], plan: Plan, told: Callable[[str], None]) -> dict[str, Samples]:
    """Return what every server did under every load, by the load's name; `told` hears what is under way."""
    found: dict[str, dict[str, list[Sample]]] = {load.name: {peer.name: [] for peer in peers} for load in plan.loads}
    for number in range(plan.rounds):
        # Whoever goes first meets a cooler machine: take turns at that too.
        turn = number % len(peers)
        for load in plan.loads:
            for peer in (*peers[turn:], *peers[:turn]):
                told(f"round {number + 1} of {plan.rounds}: {load.name}: {peer.name}")
                found[load.name][peer.name].append(_measured(load, site, peer))
    return dict(found)


def _measured(load: Load, site: Site, peer: Peer) -> Sample:
    try:
        return load.measure(site, peer)
    except (OSError, Unexpected) as error:
        return Sample(load.asked, 0, dict.fromkeys(peer.processes, 0.0), 0.0, errors=(str(error),))
