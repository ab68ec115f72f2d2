"""The journal while everything runs: signed within a second, and an attack on it is noticed and said at once."""

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.fixtures.platform import Platform, until

from troth.journal.entries import list_after
from troth.store.read import read

pytestmark = pytest.mark.e2e

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_PROCESS = {"TROTH_PROCESSES__GATEWAY": "1", "TROTH_PROCESSES__WEB": "0"}


@pytest.fixture
def running(born: Path, tmp_path: Path) -> Iterator[Platform]:
    """A platform of its own, since its journal is tampered with."""
    platform = Platform(Path(shutil.copytree(born, tmp_path / "home")), dict(ONE_PROCESS)).start()
    yield platform
    platform.stop()


def signed(platform: Platform) -> bool:
    journal = platform.run("status")["journal"]
    return journal["problem"] is None and journal["signed"] == journal["entries"]


def test_a_change_is_signed_within_a_second_and_an_attack_is_noticed(running: Platform) -> None:
    waits = []
    for number in range(3):
        done = running.run("thing", "create", f"lamp-{number}")
        assert done["name"] == f"lamp-{number}"
        until(lambda: signed(running), "a checkpoint")
        with running.database() as db, read(db) as connection:
            size, at = connection.execute(
                text("SELECT size, signed_at FROM journal_checkpoints ORDER BY size DESC LIMIT 1")
            ).one()
            (entry,) = list_after(connection, size - 1, 1)
            waits.append(timedelta(microseconds=at) - (entry.at - EPOCH))
    # The machine may be busy with something else once, but not always.
    assert min(waits) < timedelta(seconds=1), waits
    assert (running.home / "data" / "checkpoint").read_text().splitlines()[1] == str(size)

    with sqlite3.connect(running.home / "data" / "troth.db") as sql:
        another = "(SELECT nodes FROM journal_entries WHERE number = 1)"
        sql.execute(f"UPDATE journal_entries SET nodes = {another} WHERE number = ?", (size,))
    sql.close()
    running.wait_for("journal.not_signed")
    assert "journal" in running.run("status")["journal"]["problem"]
    before = running.run("status")["journal"]["signed"]
    running.run("thing", "create", "lamp-9")
    assert running.run("status")["journal"]["signed"] == before, "nothing is signed over it"
