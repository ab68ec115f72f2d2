"""One run from beginning to end: servers up, loads in turns, figures out. Returns the exit code."""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from bench import machine
from bench.peers.mosquitto import mosquitto
from bench.peers.nats import nats
from bench.peers.peer import Peer, Start
from bench.peers.troth import troth
from bench.plan import Plan, Samples, measure
from bench.processes import NotStarted
from bench.report import compare, render, to_json
from bench.site import make_site

PEERS: Final[Mapping[str, Start]] = {"troth": troth, "mosquitto": mosquitto, "nats": nats}
REFUSED: Final = 1
NOT_STARTED: Final = 2


def run(plan: Plan, json_file: Path | None = None, peers: Mapping[str, Start] = PEERS) -> int:
    """Measure and print. 0: every ratio stands; 1: one was refused; 2: a server did not start."""
    with tempfile.TemporaryDirectory(prefix="troth-bench-") as folder, ExitStack() as stack:
        site = make_site(Path(folder))
        try:
            running = [stack.enter_context(start(site, Path(folder) / name)) for name, start in peers.items()]
        except NotStarted as error:
            _say(f"bench: {error}")
            return NOT_STARTED
        found = measure(site, running, plan, _say)
    here = machine.describe()
    print(f"{here['cores']} cores, {here['cpu']}; python {here['python']}")
    print(", ".join(f"{peer.name} {peer.version}" for peer in running))
    print(f"rounds: {plan.rounds}; {_conditions(found)}")
    for load in plan.loads:
        print(f"\n{render(load, found[load.name])}")
    if json_file is not None:
        json_file.write_text(json.dumps(_to_json(plan, running, found), indent=1) + "\n")
    refused = [each for samples in found.values() for each in compare(samples) if each.refusal]
    for each in refused:
        _say(f"bench: no ratio: {each.refusal}")
    return REFUSED if refused else 0


def _conditions(found: Mapping[str, Samples]) -> str:
    samples = [sample for by_peer in found.values() for each in by_peer.values() for sample in each]
    strangers = [sample.strangers for sample in samples]
    return (
        f"others used {median(strangers):.0%} of the machine meanwhile, {max(strangers):.0%} at worst; "
        f"a P-256 signature took {median(sample.signature_us for sample in samples):.0f} us"
    )


def _to_json(plan: Plan, peers: Sequence[Peer], found: Mapping[str, Samples]) -> dict[str, object]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "versions": {peer.name: peer.version for peer in peers},
        "rounds": plan.rounds,
        "loads": {name: to_json(samples) for name, samples in found.items()},
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
