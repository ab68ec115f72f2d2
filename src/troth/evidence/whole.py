"""All that a journal says of some subjects, from an export of the whole of it, so that nothing is left out. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from troth.errors import Kind, PeerFault
from troth.evidence.audit import Audit, Witness
from troth.evidence.checkpoint import SignedCheckpoint, VerifierKey
from troth.evidence.entry import Entry
from troth.evidence.export import ReadLine, read_head, read_rows
from troth.limits import EVIDENCE_LINES_MAX


@dataclass(frozen=True, slots=True)
class Told:
    """What a whole journal says of some subjects."""

    entries: tuple[Entry, ...]
    until: datetime
    """The time of its last entry that is signed for: nothing else was said of them until then."""


def read_whole(read_line: ReadLine, key: VerifierKey, known: SignedCheckpoint, subjects: Collection[str]) -> Told:
    """Go through an export of a journal that continues the one of the checkpoint `known`, and pick out what is said.

    Raises `PeerFault`: rejected for a journal that does not hold, or is not signed by `key`; malformed, too large.
    """
    head, line = read_head(read_line)
    own = [Witness(each, kept_outside=False, source="the export") for each in head.checkpoints]
    auditing = Audit(key, [*own, Witness(known, kept_outside=True, source="the bundle's checkpoint")])
    signed = max((each.checkpoint.size for each in (known, *head.checkpoints)), default=0)
    entries: list[Entry] = []
    until: datetime | None = None
    for body, leaf in read_rows(read_line, line):
        entry = auditing.take(body, leaf)
        if entry is None or entry.number > signed:
            continue
        until = entry.at
        if entry.subject in subjects:
            entries.append(entry)
            if len(entries) > EVIDENCE_LINES_MAX:
                raise PeerFault(Kind.TOO_LARGE, f"the journal has more than {EVIDENCE_LINES_MAX} entries about them")
    report = auditing.finish()
    if report.findings:
        raise PeerFault(Kind.REJECTED, f"the journal does not hold: {report.findings[0].text}")
    if until is None:
        raise PeerFault(Kind.REJECTED, "the journal has no entry that is signed for")
    return Told(tuple(entries), until)
