"""`python -m bench.latency [--quick] [--json FILE]`: how long a message takes, alone and beside OCSP, under `troth up`.

A device sends one message after another at an even pace, and a service notes when each has come: through TLS, policy,
the broker, policy and TLS. Then the same again while the public door answers OCSP requests in the same processes.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from bench import machine
from bench.client import connect, connect_packet, expect, leave, subscribe, tls_context
from bench.peers.peer import Peer
from bench.peers.troth import troth
from bench.site import Site, make_site, topic_of
from troth.app import logs
from troth.protocols.mqtt import build_publish, render

OCSP_PER_S: Final = 2000
MESSAGES_PER_S: Final = 200
PAYLOAD_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Delays:
    """How long messages took."""

    messages: int
    p50_ms: float
    p99_ms: float
    most_ms: float


def measure(site: Site, peer: Peer, count: int, name: str) -> Delays:
    """Send so many messages, each when the one before has come and its time is there."""
    device, service, topic = site.devices[0], site.service, topic_of(site.devices[0].name)
    took_ms = []
    with (
        connect(peer.port, tls_context(site, service), connect_packet(f"{service.name}-{name}")) as receiver,
        connect(peer.port, tls_context(site, device), connect_packet(f"{device.name}-{name}")) as sender,
    ):
        subscribe(receiver, topic)
        began = time.monotonic()
        for number in range(count):
            packet = render(build_publish(topic, f"{number:08}".encode().ljust(PAYLOAD_BYTES, b".")))
            time.sleep(max(0.0, began + number / MESSAGES_PER_S - time.monotonic()))
            at = time.perf_counter()
            sender.sendall(packet)
            expect(receiver, packet, "message")
            took_ms.append((time.perf_counter() - at) * 1000)
        leave(sender)
        leave(receiver)
    took_ms.sort()
    return Delays(count, took_ms[count // 2], took_ms[count * 99 // 100], took_ms[-1])


@contextmanager
def asking(port: int, folder: Path, found: dict[str, float]) -> Iterator[None]:
    """Have another process ask for OCSP answers meanwhile; `found` is then what came of it."""
    command = [sys.executable, "-m", "bench.latency.asking", str(port), str(OCSP_PER_S), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield
        found.update(json.loads(process.communicate()[0]))


def run(folder: Path, count: int) -> tuple[Delays, Delays, dict[str, float]]:
    """Measure alone, then beside OCSP."""
    site = make_site(folder)
    certificates = [x509.load_pem_x509_certificate(each.certificate_file.read_bytes()) for each in site.devices]
    (folder / "serials.json").write_text(json.dumps([each.serial_number for each in certificates]))
    (folder / "issuer.pem").write_bytes(site.issuer_file.read_bytes())
    found: dict[str, float] = {}
    with troth(site, folder / "troth") as peer:
        assert peer.public_port is not None
        measure(site, peer, MESSAGES_PER_S, "first")
        alone = measure(site, peer, count, "alone")
        with asking(peer.public_port, folder, found):
            measure(site, peer, MESSAGES_PER_S, "second")
            beside = measure(site, peer, count, "beside")
    return alone, beside, found


def main() -> int:
    """Read the options, measure and print. 0: every OCSP answer was good; 1: some were not."""
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works; no figures to quote")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to FILE")
    options = parser.parse_args()
    logs.configure("bench", "console", level=logging.WARNING)
    here = machine.describe()
    print(
        f"{here['cores']} cores, {here['cpu']}, Python {here['python']}; load {os.getloadavg()[0]:.2f}; "
        f"a P-256 signature takes {machine.signature_us():.0f} us just now"
    )
    with tempfile.TemporaryDirectory(prefix="troth-bench-") as folder:
        alone, beside, asked = run(Path(folder), 200 if options.quick else 4000)
    for name, each in (("alone", alone), (f"beside {asked['per_s']:,.0f} OCSP answers a second", beside)):
        print(f"{name:<40} p50 {each.p50_ms:.2f} ms, p99 {each.p99_ms:.2f} ms, most {each.most_ms:.1f} ms")
    if options.json is not None:
        report = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": here}
        report |= {"alone": asdict(alone), "beside": asdict(beside), "ocsp": asked}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if asked["answers"] == asked["good"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
