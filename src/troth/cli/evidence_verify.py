"""``troth evidence verify``: what readings prove to a stranger, from files alone. Needs the base install only."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer

from troth.cli.journal_offline import read_key
from troth.cli.output import EXIT_CODES, answer, say
from troth.errors import Fault, Kind
from troth.evidence.bundle import BundleHead, Reader
from troth.evidence.checkpoint import VerifierKey
from troth.evidence.examination import Examination, Examined
from troth.evidence.outcome import MEANING, Outcome
from troth.evidence.status import Proven, ids_of, prove
from troth.evidence.whole import Told, read_whole
from troth.keys.files import read_bounded
from troth.limits import CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX
from troth.x509.certificates import parse_chain

PROGRESS_READINGS: Final = 100_000
_ROOTS_BYTES_MAX: Final = 2 * CERTIFICATE_BYTES_MAX * CHAIN_CERTIFICATES_MAX

ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Write to this file what each reading is, in JSON lines."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout; everything else goes to stderr.")]

OWN_KEY: Final = "note: the journal's key is the one that the bundle names itself (--key gives yours)"
UNTOLD: Final = (
    "note: {count} readings came after the CAs' lists were made, or after their certificates expired: that nothing was"
    " said against them later rests on the journal's entries in the bundle alone"
)

UNTOLD_BY_JOURNAL: Final = "note: {count} readings came after the last entry of the journal that was given"


def verify(
    bundle: Annotated[Path, typer.Argument(help="The bundle.")],
    root: Annotated[
        Path,
        typer.Option("--root", metavar="ROOT.pem", help="The roots that you trust."),
    ],
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="The journal's public key: journal.pub, kept elsewhere."),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option("--journal", metavar="FILE", help="An export of the whole journal, so that nothing is left out."),
    ] = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a bundle of evidence: who made each reading, when, and that nothing was changed since.

    Needs no home, no network and no clock. Exits with 15 when a reading is not proven, or the bundle does not hold.
    """
    roots = parse_chain(read_bounded(root, _ROOTS_BYTES_MAX))
    given = None if key is None else read_key(key)
    with _opened(bundle) as file, reported(report) as write:
        reader = Reader(file.readline)
        head = reader.head()
        whole = None if journal is None else _whole(journal, given or head.key, head)
        proven = prove(head, roots, given or head.key, whole)
        examination = Examination(proven)
        for examined in examination.take(reader.readings()):
            write(examined)
            tell(examination)
    untold = UNTOLD if journal is None else UNTOLD_BY_JOURNAL
    notes = [OWN_KEY] * (given is None) + [untold.format(count=examination.untold)] * bool(examination.untold)
    answer(value_of(examination, proven, notes), text_of(examination, proven, notes), as_json=as_json)
    if examination.refused:
        raise typer.Exit(EXIT_CODES[Kind.REJECTED])


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise Fault(Kind.NOT_FOUND, f"{path} cannot be read: {error.strerror}") from error


def _whole(path: Path, key: VerifierKey, head: BundleHead) -> Told:
    with _opened(path) as file:
        return read_whole(file.readline, key, head.checkpoint, ids_of(head))


@contextmanager
def reported(path: Path | None) -> Iterator[Callable[[Examined], object]]:
    """Yield what writes a line about each reading to a report, if one is wanted."""
    if path is None:
        yield lambda _: None
        return
    try:
        with path.open("w") as file:
            yield lambda examined: file.write(json.dumps(examined.value(), default=str) + "\n")
    except OSError as error:
        raise Fault(Kind.MISCONFIGURED, f"{path} cannot be written: {error.strerror}") from error


def tell(examination: Examination) -> None:
    """Say to people how far a passage has come."""
    if examination.count % PROGRESS_READINGS == 0:
        say(f"  {examination.count} readings")


def value_of(examination: Examination, proven: Proven, notes: list[str]) -> dict[str, Any]:
    """Return what came of it, for JSON."""
    return {
        "valid": not examination.refused,
        "readings": examination.count,
        "outcomes": {str(outcome): count for outcome, count in sorted(examination.counts.items())},
        "missing": examination.missing,
        "certificates": len(proven.signers),
        "entries": proven.entries,
        "findings": [each.value() for each in examination.told],
        "notes": notes,
    }


def text_of(examination: Examination, proven: Proven, notes: list[str]) -> str:
    """Return what came of it, for people."""
    proved = examination.count - examination.refused
    lines = [
        f"{proved} of {examination.count} readings are proven, by {len(proven.signers)} certificates and"
        f" {proven.entries} entries of the journal"
    ]
    if examination.missing:
        lines.append(f"  missing: {examination.missing} readings were never received")
    for each in examination.told:
        outcome = each.judgement.outcome
        lines.append(f"  reading {each.number}: {outcome}: {MEANING[outcome]}")
    more = examination.count - examination.counts[Outcome.VERIFIED] - len(examination.told)
    lines += [f"  and {more} more: --report FILE has them all"] if more else []
    return "\n".join([*lines, *notes])
