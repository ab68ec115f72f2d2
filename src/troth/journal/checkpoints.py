"""The journal's signed checkpoints: made, kept, and refused where the journal is not what was signed before.

A checkpoint is no change of state and has no entry. Each commits to every entry before it; of one size there is one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, select

from troth.clock import Clock
from troth.errors import Fault, Kind, PeerFault
from troth.evidence.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    VerifierKey,
    parse_checkpoint,
    sign_checkpoint,
    verifier_key,
    verify_checkpoint,
)
from troth.evidence.entry import parse_entry
from troth.evidence.merkle import Frontier, leaf_hash, parse_frontier
from troth.journal import tables
from troth.journal.trees import frontier_at
from troth.keys.files import read_bounded, write_private
from troth.keys.signing import SigningKey
from troth.limits import CHECKPOINTS_KEPT_MAX, LIST_ROWS_MAX, NOTE_BYTES_MAX
from troth.store.connect import Database
from troth.store.read import read
from troth.store.write import write

_HINT: Final = "troth journal verify names what was changed; bring back a backup, and find out who could write here"
_NEWEST: Final = select(tables.checkpoints.c.note).order_by(tables.checkpoints.c.size.desc())
_AFTER: Final = select(tables.entries.c.number, tables.entries.c.body, tables.entries.c.nodes).order_by(
    tables.entries.c.number
)


def find_newest(connection: Connection) -> SignedCheckpoint | None:
    """Return the newest checkpoint that is stored, or None. Raises `PeerFault` for one that cannot be read."""
    note = connection.execute(_NEWEST.limit(1)).scalar_one_or_none()
    return None if note is None else parse_checkpoint(note)


def read_witness(path: Path) -> SignedCheckpoint | None:
    """Return the checkpoint in a file, or None where there is none. Raises `Fault` for one that cannot be read."""
    if not path.exists():
        return None
    return parse_checkpoint(read_bounded(path, NOTE_BYTES_MAX))


def examine(connection: Connection, signed: Sequence[Checkpoint]) -> None:
    """Return if the stored tree is, at its end and at each of these sizes, what was signed. Reads a few rows of each.

    Raises `Fault` (rejected), saying what is not.
    """
    size, stored = connection.execute(select(tables.head.c.size, tables.head.c.frontier)).one()
    for checkpoint in signed:
        if checkpoint.size > size:
            raise _changed(f"{checkpoint.size} entries were signed, and there are {size}: its end was cut off")
        if frontier_at(connection, checkpoint.size).root() != checkpoint.root:
            raise _changed(f"its first {checkpoint.size} entries are not those that were signed")
    if frontier_at(connection, size).render() != stored:
        raise _changed("its entries and its head do not fit together")


class Signer:
    """Signs the journal's head. One user at a time; several hosts may each have one, with the same key.

    `witness` is a file in which this host keeps the newest checkpoint that it has signed or seen: whoever can write to
    the database alone cannot take it back.
    """

    def __init__(self, db: Database, clock: Clock, key: SigningKey, origin: str, witness: Path) -> None:
        self.verifier: VerifierKey = verifier_key(origin, key)
        self._db = db
        self._clock = clock
        self._key = key
        self._witness = witness
        self._seen: Checkpoint | None = None

    def sign(self, *, first: bool = False) -> SignedCheckpoint | None:
        """Sign the head of all that is committed; None when the newest checkpoint is of that head already. Blocks.

        What was signed before is looked at first, and every entry since. Only with `first`, when the home is made, may
        there be entries and no checkpoint. Raises `Fault`: rejected, and nothing is signed, when the journal does not
        continue what was signed; unavailable.
        """
        with read(self._db) as connection:
            newest = self._trusted(connection, first=first)
            size, stored = connection.execute(select(tables.head.c.size, tables.head.c.frontier)).one()
            if newest is not None and newest.size == size:
                return None
            frontier = self._continued(connection, 0 if newest is None else newest.size, size)
            if frontier.render() != parse_frontier(size, stored).render():
                raise _changed("its entries and its head do not fit together")
        head = Checkpoint(self.verifier.name, size, frontier.root())
        signed = parse_checkpoint(sign_checkpoint(head, self._key))
        if self._store(signed):
            self._keep(signed)
        return signed

    def _trusted(self, connection: Connection, *, first: bool) -> Checkpoint | None:
        """Return the newest checkpoint, found to be ours and that of the stored tree."""
        found = find_newest(connection)
        stored = None if found is None else self._ours(found, "the database")
        if self._seen is None and (witness := read_witness(self._witness)) is not None:
            self._seen = self._ours(witness, str(self._witness))
        if self._seen is not None and self._seen.size > (0 if stored is None else stored.size):
            raise _changed("a newer checkpoint than those in the database is known: it was taken away there")
        if found is None or stored is None:
            if not first:
                raise _changed("there is no checkpoint in the database, and one was made with the home")
            return None
        examine(connection, [stored] if self._seen is None else [self._seen, stored])
        if self._seen is None or self._seen.size < stored.size:
            self._keep(found)
        return stored

    def _ours(self, signed: SignedCheckpoint, source: str) -> Checkpoint:
        try:
            return verify_checkpoint(signed, self.verifier)
        except PeerFault as fault:
            raise _changed(f"a checkpoint in {source} is not ours: {fault.message}") from fault

    def _continued(self, connection: Connection, begin: int, end: int) -> Frontier:
        """Return the frontier of `end` entries, made of that of `begin` and each entry's own bytes since."""
        frontier = frontier_at(connection, begin)
        while frontier.size < end:
            page = connection.execute(_AFTER.where(tables.entries.c.number > frontier.size).limit(LIST_ROWS_MAX)).all()
            if not page:
                raise _changed(f"entry {frontier.size + 1} is missing")
            for number, body, nodes in page:
                if number != frontier.size + 1:
                    raise _changed(f"entry {frontier.size + 1} is missing")
                # One entry's commitment stands for all before it, and reading each would take ten times as long.
                if number == page[-1].number and parse_entry(body).head != frontier.root():
                    raise _changed(f"entry {number} does not continue what is before it")
                if nodes != frontier.append(leaf_hash(body)):
                    raise _changed(f"entry {number} was edited")
        return frontier

    def _store(self, signed: SignedCheckpoint) -> bool:
        """Store a checkpoint; False when there is one of this size or a larger one by now."""
        head = signed.checkpoint
        with write(self._db) as connection:
            # Whoever signs waits here for whoever signs at the same time.
            connection.execute(select(tables.head.c.size).with_for_update())
            newest = find_newest(connection)
            if newest is not None and newest.checkpoint.size >= head.size:
                if newest.checkpoint.size == head.size and newest.checkpoint.root != head.root:
                    raise _changed(f"another head of {head.size} entries was signed meanwhile")
                return False
            row = {"size": head.size, "note": signed.note, "signed_at": self._clock.now()}
            connection.execute(tables.checkpoints.insert().values(row))
            sizes = select(tables.checkpoints.c.size).order_by(tables.checkpoints.c.size.desc())
            oldest = sizes.limit(1).offset(CHECKPOINTS_KEPT_MAX - 1).scalar_subquery()
            connection.execute(delete(tables.checkpoints).where(tables.checkpoints.c.size < oldest))
        return True

    def _keep(self, signed: SignedCheckpoint) -> None:
        self._seen = signed.checkpoint
        write_private(self._witness, signed.note, overwrite=True)


def _changed(what: str) -> Fault:
    return Fault(Kind.REJECTED, f"the journal is not what was signed before: {what}", hint=_HINT)
