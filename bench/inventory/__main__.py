"""`python -m bench.inventory [--quick] [--certificates N] [--json FILE]`: wall time of each query."""

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection

from bench import machine
from bench.million import MILLION, fill
from troth.app import logs
from troth.registry.certificates import CertificateRow, CertificateState, find_by_serial, get_certificate
from troth.registry.inventory import Search, list_certificates
from troth.store.read import read

GOAL_MS = 50
ROUNDS = 20
Query = Callable[[Connection], object]


def main() -> int:
    """Measure and print; 1 when a query is slower than the goal."""
    parser = argparse.ArgumentParser(prog="python -m bench.inventory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works; no figures to quote")
    parser.add_argument("--certificates", type=int, default=MILLION, help="how many there are")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to FILE")
    options = parser.parse_args()
    logs.configure("bench", "console", level=logging.WARNING)
    count = 2_000 if options.quick else options.certificates
    here = machine.describe()
    print(f"{here['cores']} cores, {here['cpu']}, Python {here['python']}; SQLite, {count:,} certificates")
    with tempfile.TemporaryDirectory(prefix="troth-bench-") as name:
        figures = measured(Path(name), count)
    for what, (median_ms, most_ms) in figures.items():
        print(f"  {what:<52}{median_ms:>9.2f} ms   at most {most_ms:>8.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": here, "figures": figures}, indent=1) + "\n")
    return 0 if all(median_ms < GOAL_MS for median_ms, _ in figures.values()) else 1


def measured(folder: Path, count: int) -> dict[str, tuple[float, float]]:
    """Return the median and the longest time of each query, in milliseconds."""
    filled = fill(folder, count)
    with read(filled.authority.db) as connection:
        some = list_certificates(connection, limit=ROUNDS)
        found = {what: timed(connection, some, make) for what, make in queries(filled.issuer_id).items()}
    filled.authority.close()
    return found


def queries(issuer_id: str) -> dict[str, Callable[[CertificateRow], Query]]:
    """Return a query for each way of asking, made for one certificate that is there."""
    month = timedelta(days=30)
    revoked, active = CertificateState.REVOKED, CertificateState.ACTIVE
    return {
        "one by its fingerprint": lambda row: lambda c: get_certificate(c, row.certificate_id),
        "one by how its fingerprint begins": lambda row: lambda c: get_certificate(c, row.certificate_id[:16]),
        "one by its serial number": lambda row: lambda c: find_by_serial(c, row.issuer_id, row.serial),
        "those of a thing": lambda row: lambda c: list_certificates(c, Search(thing=row.thing)),
        "100 of an issuer, from somewhere": lambda row: lambda c: page(c, row, issuer_id=issuer_id),
        "100 revoked": lambda row: lambda c: list_certificates(c, Search(state=revoked)),
        "100 of an issuer and revoked": lambda row: lambda c: page(c, row, issuer_id=issuer_id, state=revoked),
        "100 that were never there": lambda row: lambda c: list_certificates(c, Search(issuer_id="0" * 64)),
        "100 that expire within 30 days": lambda row: (
            lambda c: list_certificates(c, Search(expires_from=row.not_after - month, expires_before=row.not_after))
        ),
        "100 that expire within 30 days and are in force": lambda row: (
            lambda c: list_certificates(
                c, Search(state=active, expires_from=row.not_after - month, expires_before=row.not_after)
            )
        ),
        "100 that expire within 30 days and are revoked": lambda row: (
            lambda c: list_certificates(
                c, Search(state=revoked, expires_from=row.not_after - month, expires_before=row.not_after)
            )
        ),
        "100 from somewhere": lambda row: lambda c: list_certificates(c, after=row.certificate_id),
    }


def page(connection: Connection, row: CertificateRow, **search: object) -> object:
    """Return the page behind `row`."""
    return list_certificates(connection, Search(**search), after=row.certificate_id)  # type: ignore[arg-type]


def timed(
    connection: Connection, some: list[CertificateRow], make: Callable[[CertificateRow], Query]
) -> tuple[float, float]:
    """Return the median and the longest time of the query for each of some certificates."""
    times = []
    for row in some:
        query = make(row)
        begun = time.perf_counter()
        query(connection)
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times), max(times)


if __name__ == "__main__":
    sys.exit(main())
