"""`python -m bench.readings [--quick] [--readings N] [--json FILE]`: CPU times, since others use the machine too."""

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench import machine
from bench.readings.site import Site
from troth.evidence.bundle import Reader
from troth.evidence.examination import Examination
from troth.evidence.outcome import Outcome
from troth.evidence.reading import parse_reading
from troth.evidence.status import prove

MILLION: Final = 1_000_000
ROUNDS: Final = 7
BATCH: Final = 2_000
_Result = TypeVar("_Result")
_ECDSA: Final = ec.ECDSA(hashes.SHA256())


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.readings", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works; no figures to quote")
    parser.add_argument("--readings", type=int, default=MILLION, help="how many readings the bundle has")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to FILE")
    options = parser.parse_args()
    count, rounds, batch = (1_000, 1, 200) if options.quick else (options.readings, ROUNDS, BATCH)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    here = machine.describe()
    print(f"{here['cores']} cores, {here['cpu']}, Python {here['python']}; CPU time of one core, P-256")
    with tempfile.TemporaryDirectory(prefix="troth-bench-") as name, Site(Path(name)) as site:
        figures = {**single(site, rounds, batch), **evidence(site, Path(name) / "bundle", count)}
    for what, figure in figures.items():
        print(f"  {what:<58}{figure:>14,.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": here, "figures": figures}, indent=1) + "\n")
    return 0


def single(site: Site, rounds: int, batch: int) -> dict[str, float]:
    """Return what signing and verifying cost beside the bare signature, in turn in the same run."""
    found: dict[str, list[float]] = {"bare sign": [], "sign": [], "bare verify": [], "verify": []}
    key = site.meter.key.servable_key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    public = key.public_key()
    said = parse_reading(site.reading(1)).sign1.payload
    bare = key.sign(said, _ECDSA)
    for turn in range(rounds):
        numbers = range(1 + turn * batch, 1 + (turn + 1) * batch)
        found["bare sign"].append(timed(key.sign, [(said, _ECDSA)] * batch)[0])
        us_of_signing, signed = timed(site.reading, [(number,) for number in numbers])
        found["sign"].append(us_of_signing)
        found["bare verify"].append(timed(public.verify, [(bare, said, _ECDSA)] * batch)[0])
        us_of_verifying, allowed = timed(site.allows, [(site.packet(each),) for each in signed])
        found["verify"].append(us_of_verifying)
        assert all(allowed)
    us = {what: statistics.median(times) for what, times in found.items()}
    length = len(site.reading(1)) - len(site.topic) - len(site.thing) - len(site.payload)
    return {
        "a bare signature, us": us["bare sign"],
        "a reading signed, us": us["sign"],
        "readings signed per second": 1e6 / us["sign"],
        "signed / bare": us["bare sign"] / us["sign"],
        "a bare verification, us": us["bare verify"],
        "a reading verified in the gateway and allowed, us": us["verify"],
        "readings verified in the gateway per second": 1e6 / us["verify"],
        "verified / bare": us["bare verify"] / us["verify"],
        "bytes of a reading beside payload, topic and thing": float(length),
    }


def evidence(site: Site, file: Path, count: int) -> dict[str, float]:
    """Return what it takes to make a bundle of `count` readings, and to verify it."""
    site.write_bundle(file, count)
    before = peak_mib()
    began = time.process_time()
    outcomes = verify(site, file)
    took = time.process_time() - began
    assert outcomes == {Outcome.VERIFIED: count}, outcomes
    return {
        "readings of the bundle": float(count),
        "bytes of the bundle for each": file.stat().st_size / count,
        "readings verified by a stranger per second": count / took,
        "the whole verified, s": took,
        "peak memory, grown by verifying, MiB": peak_mib() - before,
    }


def verify(site: Site, file: Path) -> dict[Outcome, int]:
    """Return what a stranger finds in a bundle."""
    with file.open("rb") as data:
        reader = Reader(data.readline)
        examination = Examination(prove(reader.head(), [site.root], site.key))
        for _ in examination.take(reader.readings()):
            pass
    return dict(examination.counts)


def timed(work: Callable[..., _Result], calls: Sequence[tuple[Any, ...]]) -> tuple[float, list[_Result]]:
    """Return the microseconds of CPU time that a call of `work` takes, and what all of them returned."""
    began = time.process_time()
    results = [work(*each) for each in calls]
    return (time.process_time() - began) / len(calls) * 1e6, results


def peak_mib() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    raise SystemExit(main())
