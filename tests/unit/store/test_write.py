import threading

import pytest
from sqlalchemy import text

from troth.errors import Fault, Kind
from troth.store.connect import Database
from troth.store.read import read
from troth.store.write import write


def size(db: Database) -> int:
    with read(db) as connection:
        return int(connection.execute(text("SELECT size FROM journal_head")).scalar_one())


def test_all_is_committed_or_nothing(sqlite_db: Database) -> None:
    with write(sqlite_db) as connection:
        connection.execute(text("UPDATE journal_head SET size = 5"))
    with pytest.raises(ZeroDivisionError), write(sqlite_db) as connection:
        connection.execute(text("UPDATE journal_head SET size = 6"))
        _ = 1 / 0
    assert size(sqlite_db) == 5


def test_a_reader_goes_on_while_one_writes(sqlite_db: Database) -> None:
    with write(sqlite_db) as connection:
        connection.execute(text("UPDATE journal_head SET size = 5"))
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.append(size(sqlite_db)))
        reader.start()
        reader.join()
        assert seen == [0]
    assert size(sqlite_db) == 5


def test_a_broken_constraint_is_a_conflict(sqlite_db: Database) -> None:
    with pytest.raises(Fault) as caught, write(sqlite_db) as connection:
        connection.execute(text("INSERT INTO journal_head (id, size) VALUES (1, 0)"))
    assert caught.value.kind is Kind.CONFLICT


def test_a_full_disk_is_unavailable_and_leaves_what_was(sqlite_db: Database) -> None:
    with pytest.raises(Fault) as caught, write(sqlite_db) as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        connection.execute(text("UPDATE journal_head SET size = 5"))
        connection.execute(text("INSERT INTO thing_types VALUES (:name, 0)"), {"name": "x" * 1_000_000})
    assert caught.value.kind is Kind.UNAVAILABLE
    assert "full" in (caught.value.detail or "")
    assert size(sqlite_db) == 0
