"""`python -m bench.revocation [--quick] [--json FILE]`: from a revocation to the closed connection, under `troth up`.

So many devices are connected to two gateway workers, each with one subscription at QoS 1. Their certificates are
revoked one by one, as a command would; then the whole CA. The time runs from before the change is begun until the
device sees its connection closed. What an idle connection takes of the gateways' memory, and of the broker's, stands
beside it.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench import machine
from bench.fleet import Identity, Member, Office, certify, join_all, raise_open_files
from bench.peers.peer import Peer
from bench.peers.troth import troth
from bench.site import NAME, PUBLIC_URL, Site, keys_of, make_site
from troth.app import logs
from troth.app.home import open_home
from troth.app.wiring.database import open_database
from troth.app.wiring.door import open_door
from troth.authority.revoke import revoke_issuer
from troth.clock import Clock, SystemClock
from troth.journal.change import change
from troth.names import Realm
from troth.registry.issuers import get_issuer
from troth.registry.policies import create_policy
from troth.registry.states import revoke
from troth.store.connect import Database
from troth.x509.crl import Reason
from troth.x509.profiles import Purpose

ACTOR: Final = "operator:bench"
WORKERS: Final = 2
P99_MS_GOAL: Final = 250.0
MEMORY_KIB_GOAL: Final = 45.0
_PAUSE_S: Final = 0.02
_SETTLE_S: Final = 2.0
_PATIENCE_S: Final = 30.0
_PAGE_KIB: Final = os.sysconf("SC_PAGE_SIZE") / 1024


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a run."""

    sessions: int
    revoked: int
    p50_ms: float
    p99_ms: float
    most_ms: float
    ca_first_ms: float
    """The whole CA: until the first of the rest was closed."""
    ca_last_ms: float
    gateway_kib: float
    """Resident memory of both workers for each idle connection."""
    broker_kib: float
    connects_per_s: float


def fleet_of(site: Site, db: Database, clock: Clock, folder: Path, count: int) -> list[Identity]:
    """Return so many devices that may connect under their own name and listen below it."""
    thing = "${iot:Connection.Thing.ThingName}"
    allowed = (
        ("iot:Connect", "client", thing),
        ("iot:Subscribe", "topicfilter", f"fleet/{thing}/in"),
        ("iot:Receive", "topic", f"fleet/{thing}/in"),
    )
    statements = [
        {"Effect": "Allow", "Action": action, "Resource": Realm().arn(kind, name)} for action, kind, name in allowed
    ]
    with change(db, clock, ACTOR) as changing:
        create_policy(changing, "fleet", json.dumps({"Version": "2012-10-17", "Statement": statements}))
    door = open_door(db, keys_of(site.home, db), PUBLIC_URL)
    names = [f"fleet-{number:05}" for number in range(count)]
    return certify(Office(db, clock, door, PUBLIC_URL, site.root_file.read_bytes()), folder, names, "fleet")


async def measure(peer: Peer, db: Database, clock: Clock, identities: list[Identity], revoked: int) -> Figures:
    """Connect all, measure what they take, and revoke."""
    loop = asyncio.get_running_loop()
    before = {part: _resident_kib(peer, part) for part in ("gateway", "broker")}
    members = [Member(identity, NAME, number) for number, identity in enumerate(identities)]
    began = loop.time()
    codes = await join_all(members, peer.port)
    joined_s = loop.time() - began
    assert codes == [0] * len(members), f"{sum(map(bool, codes))} were not let in"
    await asyncio.sleep(_SETTLE_S)
    grown = {part: (_resident_kib(peer, part) - before[part]) / len(members) for part in before}
    chosen, rest = members[:revoked], members[revoked:]
    took_ms = []
    for member in chosen:
        at = loop.time()
        await asyncio.to_thread(_revoke, db, clock, member.identity.certificate_id)
        took_ms.append((await _closed(member) - at) * 1000)
        await asyncio.sleep(_PAUSE_S)
    assert all(member.is_live for member in rest), "somebody was closed who was not revoked"
    at = loop.time()
    await asyncio.to_thread(_revoke_ca, db, clock)
    closed_ms = sorted([(await _closed(member) - at) * 1000 for member in rest])
    took_ms.sort()
    return Figures(
        sessions=len(members),
        revoked=revoked,
        p50_ms=_percentile(took_ms, 50),
        p99_ms=_percentile(took_ms, 99),
        most_ms=took_ms[-1],
        ca_first_ms=closed_ms[0],
        ca_last_ms=closed_ms[-1],
        gateway_kib=grown["gateway"],
        broker_kib=grown["broker"],
        connects_per_s=len(members) / joined_s,
    )


def _revoke(db: Database, clock: Clock, certificate_id: str) -> None:
    with change(db, clock, ACTOR) as changing:
        revoke(changing, certificate_id, Reason.KEY_COMPROMISE)


def _revoke_ca(db: Database, clock: Clock) -> None:
    with change(db, clock, ACTOR) as changing:
        revoke_issuer(changing, get_issuer(changing.connection, Purpose.DEVICES))


async def _closed(member: Member) -> float:
    deadline = time.monotonic() + _PATIENCE_S
    while member.lost_at is None:
        assert time.monotonic() < deadline, f"{member.identity.name} stays connected"
        await asyncio.sleep(0.001)
    return member.lost_at


def _percentile(ordered: list[float], share: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)]


def _resident_kib(peer: Peer, part: str) -> float:
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_KIB for pid in peer.processes[part])


def run(folder: Path, sessions: int, revoked: int) -> Figures:
    """Make a home, certify the devices, start the platform and measure."""
    raise_open_files()
    site, clock = make_site(folder), SystemClock()
    home, settings = open_home(site.home, {})
    db = open_database(home, settings)
    try:
        identities = fleet_of(site, db, clock, folder, sessions)
        with troth(site, folder / "troth", workers=WORKERS) as peer:
            return asyncio.run(measure(peer, db, clock, identities, revoked))
    finally:
        db.dispose()


def main() -> int:
    """Read the options, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.revocation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works; no figures to quote")
    parser.add_argument("--sessions", type=int, default=5000, metavar="N", help="how many are connected")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to FILE")
    options = parser.parse_args()
    logs.configure("bench", "console", level=logging.WARNING)
    sessions, revoked = (60, 20) if options.quick else (options.sessions, min(500, options.sessions // 2))
    here = machine.describe()
    print(
        f"{here['cores']} cores, {here['cpu']}, Python {here['python']}; load {os.getloadavg()[0]:.2f}; "
        f"a P-256 signature takes {machine.signature_us():.0f} us just now"
    )
    with tempfile.TemporaryDirectory(prefix="troth-bench-") as folder:
        found = run(Path(folder), sessions, revoked)
    print(f"{found.sessions:,} sessions at {WORKERS} workers, connected at {found.connects_per_s:,.0f} a second")
    print(f"one certificate revoked, {found.revoked} times: p50 {found.p50_ms:.0f} ms, p99 {found.p99_ms:.0f} ms "
          f"(goal {P99_MS_GOAL:.0f}), most {found.most_ms:.0f} ms")  # fmt: skip
    print(
        f"the CA of all others revoked: first closed after {found.ca_first_ms:.0f} ms, last {found.ca_last_ms:.0f} ms"
    )
    print(f"memory for each idle connection: gateway {found.gateway_kib:.1f} KiB (goal {MEMORY_KIB_GOAL:.0f}), "
          f"broker {found.broker_kib:.1f} KiB")  # fmt: skip
    if options.json is not None:
        report = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": here, "figures": asdict(found)}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
