"""``troth journal verify``: whether the journal, an export of it or a proof holds, and what does not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from troth.cli.journal_offline import audit_export, read_key, read_outside, tell, verify_proof
from troth.cli.output import EXIT_CODES, answer
from troth.cli.server import HOME, HomeOption, JsonOption, opened
from troth.errors import Fault, Kind
from troth.evidence.audit import Report, Witness
from troth.evidence.checkpoint import VerifierKey

NOT_OUTSIDE = (
    "note: without a checkpoint that was kept elsewhere (--checkpoint), nobody can tell whether someone who has the"
    " checkpoint key rewrote all of this, or whether its end was cut off"
)
OWN_KEY = "note: the key is the one that the export names itself (--key gives yours)"


def verify(
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="An export instead of a home; - is stdin.")
    ] = None,
    proof: Annotated[Path | None, typer.Option("--proof", metavar="FILE", help="A proof instead of a home.")] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", metavar="FILE", help="A checkpoint kept elsewhere, or an anchor's file of them."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="The log's public key, kept elsewhere: journal.pub.")
    ] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Verify the journal, an export of it, or a proof, and name what does not hold.

    Exits with 15 when something does not. Exports and proofs need no home.
    """
    if export is not None and proof is not None:
        raise Fault(Kind.UNSUPPORTED, "--export and --proof do not go together", hint="leave one of them out")
    given = None if key is None else read_key(key)
    outside = read_outside(checkpoint or [])
    if proof is not None:
        if given is None:
            hint = "give the log's public key with --key journal.pub: a proof cannot vouch for itself"
            raise Fault(Kind.MALFORMED, "a proof is verified with the log's key", hint=hint)
        value, text = verify_proof(proof, given, outside)
        answer(value, text, as_json=as_json)
        return
    if export is not None:
        report, trusts_itself = audit_export(export, given, outside), given is None
    else:
        report, trusts_itself = _audit_home(home, given, outside), False
    notes = [OWN_KEY] * trusts_itself + [NOT_OUTSIDE] * (not outside)
    answer(_value(report, notes), _text(report, notes), as_json=as_json)
    if report.findings:
        raise typer.Exit(EXIT_CODES[Kind.REJECTED])


def _audit_home(path: Path, given: VerifierKey | None, outside: Sequence[Witness]) -> Report:
    from troth.app.wiring.signer import read_verifier_key
    from troth.journal.checkpoints import read_witness
    from troth.journal.reading import audit

    with opened(path) as here:
        own = read_witness(here.home.checkpoint)
        kept = [] if own is None else [Witness(own, kept_outside=False, source=str(here.home.checkpoint))]
        return audit(here.db, given or read_verifier_key(here.home), [*kept, *outside], tell)


def _value(report: Report, notes: Sequence[str]) -> dict[str, object]:
    return {
        "valid": not report.findings,
        "entries": report.entries,
        "signed": report.signed,
        "signed_outside": report.signed_outside,
        "findings": [
            {"flaw": each.flaw, "first": each.first, "last": each.last, "text": each.text} for each in report.findings
        ],
        "more_findings": report.more,
        "notes": list(notes),
    }


def _text(report: Report, notes: Sequence[str]) -> str:
    signed = f"signed up to entry {report.signed}"
    if report.signed_outside:
        signed += f", and up to entry {report.signed_outside} by a checkpoint kept elsewhere"
    if not report.findings:
        lines = [f"the journal holds: {report.entries} entries, {signed}"]
    else:
        lines = [f"the journal does not hold: {report.entries} entries, {signed}"]
        lines += [f"  {each.flaw}: {each.text}" for each in report.findings]
        lines += [f"  and {report.more} more"] if report.more else []
        if report.uncompared:
            lines.append(f"  {report.uncompared} checkpoints could not be compared: the tree is broken before them")
    return "\n".join([*lines, *notes])
