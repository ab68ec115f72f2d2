"""``troth evidence export``: a consumer's signed readings, with all that it takes to prove them to a stranger."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from troth.cli.evidence_verify import ReportOption, reported, tell, text_of, value_of
from troth.cli.journal_carry import written
from troth.cli.output import answer
from troth.cli.server import HOME, HomeOption, JsonOption, opened
from troth.errors import Fault, Kind, PeerFault
from troth.evidence.bundle import Writer, reading_lines
from troth.evidence.examination import Examination
from troth.evidence.raw import parse_raw
from troth.evidence.reading import looks_signed, parse_reading
from troth.evidence.status import prove, roots_of
from troth.limits import EVIDENCE_CERTIFICATES_MAX, READING_LINE_BYTES_MAX


def export(
    readings: Annotated[
        Path, typer.Argument(help="The readings as they came, one a line, as `troth device subscribe --json` has them.")
    ],
    bundle: Annotated[Path, typer.Argument(help="Where to write the bundle.")],
    report: ReportOption = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Bundle signed readings with the certificates, what became of them, and the journal's proofs.

    `troth evidence verify` checks the bundle anywhere, with the root certificate, also when all others have expired.
    """
    from troth.app.wiring.signer import read_verifier_key
    from troth.authority.history import bundle_head
    from troth.store.read import read

    try:
        file = readings.open("rb")
    except OSError as error:
        raise Fault(Kind.NOT_FOUND, f"{readings} cannot be read: {error.strerror}") from error
    with file, opened(home) as here:
        signers = _signers(file)
        key = read_verifier_key(here.home)
        with read(here.db) as connection:
            head = bundle_head(connection, key, signers)
        proven = prove(head, roots_of(head), key)
        examination = Examination(proven)
        file.seek(0)
        with written(bundle) as write, reported(report) as write_report:
            writer = Writer(write)
            writer.head(head)
            for examined in examination.take(_copied(writer, file)):
                write_report(examined)
                tell(examination)
            writer.end()
    value = {"file": str(bundle), **value_of(examination, proven, [])}
    text = f"wrote {examination.count} readings to {bundle}\n{text_of(examination, proven, [])}"
    answer(value, text, as_json=as_json)


def _signers(file: BinaryIO) -> set[str]:
    """Return the ids of the certificates that readings name, true or not."""
    found: set[str] = set()
    for line in reading_lines(_lines(file)):
        try:
            raw = parse_raw(line)
            if looks_signed(raw.payload):
                found.add(parse_reading(raw.payload).reading.certificate_id)
        except PeerFault:
            continue
        if len(found) > EVIDENCE_CERTIFICATES_MAX:
            raise Fault(
                Kind.TOO_LARGE,
                f"a bundle holds readings of at most {EVIDENCE_CERTIFICATES_MAX} certificates",
                hint="make several",
            )
    return found


def _copied(writer: Writer, file: BinaryIO) -> Iterator[bytes]:
    for line in reading_lines(_lines(file)):
        writer.reading(line)
        yield line


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(READING_LINE_BYTES_MAX):
        yield line
