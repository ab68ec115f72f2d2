"""`python -m bench.journal [--quick] [--entries N] [--json FILE]`: CPU times, since others use the machine too."""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import machine
from bench.journal.appending import append, without_tree
from troth.clock import SystemClock
from troth.evidence.audit import Audit, Witness
from troth.evidence.checkpoint import SignedCheckpoint
from troth.evidence.export import read_head, read_rows
from troth.evidence.proof import InclusionProof, parse_proof, verify_inclusion_proof
from troth.journal.checkpoints import Signer
from troth.journal.proofs import prove_consistency, prove_inclusion
from troth.journal.reading import audit, export
from troth.keys.file import generate
from troth.store import migrate
from troth.store.connect import Database, connect
from troth.store.read import read
from troth.x509.algorithms import KeyAlgorithm

MILLION = 1_000_000
ROUNDS = 5
PER_CHANGE = 64
PROOFS = 200


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.journal", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works; no figures to quote")
    parser.add_argument("--entries", type=int, default=MILLION, help="size of the journal that is proven and verified")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to FILE")
    options = parser.parse_args()
    entries, rounds = (2_000, 1) if options.quick else (options.entries, ROUNDS)
    here = machine.describe()
    print(f"{here['cores']} cores, {here['cpu']}, Python {here['python']}; CPU time, SQLite")
    with tempfile.TemporaryDirectory(prefix="troth-bench-") as name:
        folder = Path(name)
        figures = {**appending(folder, rounds, 640 if options.quick else 20_000), **reading(folder, entries)}
    for what, figure in figures.items():
        print(f"  {what:<58}{figure:>12,.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": here, "figures": figures}, indent=1) + "\n")
    return 0


def appending(folder: Path, rounds: int, entries: int) -> dict[str, float]:
    """Return what an entry costs with the tree and without, the two in turn."""
    with_tree, without = database(folder, "with"), database(folder, "without")
    found: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(rounds):
        found["with"].append(append(with_tree, entries, PER_CHANGE))
        with without_tree():
            found["without"].append(append(without, entries, PER_CHANGE))
    with_us, without_us = statistics.median(found["with"]), statistics.median(found["without"])
    with_tree.dispose()
    without.dispose()
    return {
        f"an entry, {PER_CHANGE} in a change, us": with_us,
        "the same without the tree, us": without_us,
        "with the tree / without": with_us / without_us,
        "entries per second of one core": 1e6 / with_us,
    }


def reading(folder: Path, entries: int) -> dict[str, float]:
    """Return how long proofs take in a journal of `entries`, and how fast it is exported and verified."""
    db = database(folder, "large")
    signer = Signer(db, SystemClock(), generate(KeyAlgorithm.ED25519), "bench/journal", folder / "checkpoint")
    signer.sign(first=True)
    append(db, entries // 2, 1000)
    older = required(signer.sign())
    append(db, entries - entries // 2, 1000)
    newest = required(signer.sign())
    with read(db) as connection:
        one = timed(
            lambda: [prove_inclusion(connection, 1 + n * entries // PROOFS, signer.verifier) for n in range(PROOFS)]
        )
        two = timed(lambda: [prove_consistency(connection, older, signer.verifier) for _ in range(PROOFS)])
        proof = parse_proof(prove_inclusion(connection, entries // 3, signer.verifier))
    assert isinstance(proof, InclusionProof)
    three = timed(lambda: [verify_inclusion_proof(proof, signer.verifier) for _ in range(PROOFS)])
    file = folder / "export"
    with file.open("wb") as out:
        exporting = timed(lambda: export(db, signer.verifier, out.write, quiet))
    witness = Witness(older, kept_outside=True, source="older")
    before = peak_mib()
    auditing = timed(lambda: hold(audit(db, signer.verifier, [witness], quiet).findings))
    offline = timed(lambda: verify(file, signer, [witness, Witness(newest, kept_outside=True, source="newest")]))
    size = file.stat().st_size
    db.dispose()
    return {
        "entries of the journal that is read": float(entries),
        "an inclusion proof, made and verified, ms": one / PROOFS * 1e3,
        "a consistency proof from half, made and verified, ms": two / PROOFS * 1e3,
        "an inclusion proof verified by a stranger, ms": three / PROOFS * 1e3,
        "entries exported per second": entries / exporting,
        "bytes of an exported entry": size / entries,
        "entries verified per second, live": entries / auditing,
        "entries verified per second, from the export": entries / offline,
        "peak memory, grown by verifying, MiB": peak_mib() - before,
    }


def verify(file: Path, signer: Signer, witnesses: list[Witness]) -> None:
    """Verify an export that must hold."""
    with file.open("rb") as data:
        _, line = read_head(data.readline)
        auditing = Audit(signer.verifier, witnesses)
        for row in read_rows(data.readline, line):
            auditing.take(*row)
    hold(auditing.finish().findings)


def hold(findings: object) -> None:
    """Require that nothing was found."""
    if findings:
        raise SystemExit(f"no figures: {findings}")


def required(signed: SignedCheckpoint | None) -> SignedCheckpoint:
    """Return what must be there."""
    assert signed is not None
    return signed


def timed(work: Callable[[], object]) -> float:
    """Return the CPU time that `work` takes, in seconds."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def peak_mib() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def quiet(_done: int, _of: int) -> None:
    """Hear nothing of the progress."""


def database(folder: Path, name: str) -> Database:
    """Return a new database."""
    db = connect(f"sqlite:///{name}.db", folder)
    migrate.upgrade(db)
    return db


if __name__ == "__main__":
    sys.exit(main())
