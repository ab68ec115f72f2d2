"""Someone who can write the whole database and the whole home, and knows how the journal is made."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from troth.evidence.base64 import render_base64
from troth.evidence.checkpoint import Checkpoint, sign_checkpoint
from troth.evidence.merkle import Frontier, leaf_hash
from troth.keys.file import read_key

ORIGIN = "localhost/journal"


class Attacker:
    """Works with plain SQL on the SQLite file of a home, and with the files in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.database = home / "data" / "troth.db"

    @contextmanager
    def sql(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection; what was done on it is committed at the end."""
        connection = sqlite3.connect(self.database)
        try:
            yield connection
            connection.commit()
        finally:
            connection.close()

    def body(self, number: int) -> bytes:
        """Return an entry's bytes."""
        with self.sql() as sql:
            (body,) = sql.execute("SELECT body FROM journal_entries WHERE number = ?", (number,)).fetchone()
            return bytes(body)

    def edit(self, number: int) -> None:
        """Have an entry say that somebody else did it."""
        with self.sql() as sql:
            sql.execute(
                "UPDATE journal_entries SET body = ?, actor = 'operator:eve' WHERE number = ?",
                (self._as_eve(self.body(number)), number),
            )

    def edit_with_hash(self, number: int) -> None:
        """Edit an entry, and its stored hash to go with it."""
        self.edit(number)
        with self.sql() as sql:
            sql.execute(
                "UPDATE journal_entries SET nodes = ? || substr(nodes, 33) WHERE number = ?",
                (leaf_hash(self.body(number)), number),
            )

    def rewrite(self, number: int) -> None:
        """Edit an entry, and make every hash anew that depends on it."""
        self.edit(number)
        frontier = Frontier()
        with self.sql() as sql:
            for each, body in sql.execute("SELECT number, body FROM journal_entries ORDER BY number").fetchall():
                value = json.loads(body)
                value["head"] = render_base64(frontier.root())
                body = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
                row = (body, frontier.append(leaf_hash(body)), each)
                sql.execute("UPDATE journal_entries SET body = ?, nodes = ? WHERE number = ?", row)
            self._leave(sql, frontier)

    def cut_off(self, size: int) -> None:
        """Take away all entries after `size`, and every later checkpoint."""
        frontier = Frontier()
        with self.sql() as sql:
            sql.execute("DELETE FROM journal_entries WHERE number > ?", (size,))
            sql.execute("DELETE FROM journal_checkpoints WHERE size > ?", (size,))
            for (body,) in sql.execute("SELECT body FROM journal_entries ORDER BY number"):
                frontier.append(leaf_hash(body))
            self._leave(sql, frontier)
            (note,) = sql.execute("SELECT note FROM journal_checkpoints ORDER BY size DESC").fetchone()
        (self.home / "data" / "checkpoint").write_bytes(note)

    def sign(self) -> None:
        """Sign the log as it is now with the stolen key, in place of all that was signed."""
        with self.sql() as sql:
            size, stored = sql.execute("SELECT size, frontier FROM journal_head").fetchone()
            frontier = Frontier(size, [stored[at : at + 32] for at in range(0, len(stored), 32)])
            key = read_key(self.home / "keys" / "checkpoint.key", None)
            note = sign_checkpoint(Checkpoint(ORIGIN, size, frontier.root()), key)
            sql.execute("DELETE FROM journal_checkpoints")
            sql.execute("INSERT INTO journal_checkpoints (size, note, signed_at) VALUES (?, ?, 0)", (size, note))
        (self.home / "data" / "checkpoint").write_bytes(note)

    def _leave(self, sql: sqlite3.Connection, frontier: Frontier) -> None:
        sql.execute("UPDATE journal_head SET size = ?, frontier = ?", (frontier.size, frontier.render()))

    def _as_eve(self, body: bytes) -> bytes:
        value = json.loads(body)
        assert value["actor"] != "operator:eve"
        value["actor"] = "operator:eve"
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
