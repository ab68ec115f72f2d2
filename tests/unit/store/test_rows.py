"""Rows stored many at once stand there as they do when SQLAlchemy stores each."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    exc,
)

from troth.errors import Bug
from troth.store.rows import insert_rows
from troth.store.types import NUMBER, Instant, JSONText

AT = datetime(2026, 11, 22, 1, 2, 3, 4, tzinfo=UTC)
TABLE = Table(
    "all_kinds",
    MetaData(),
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("order", String(8), nullable=False),
    Column("body", LargeBinary),
    Column("value", JSONText),
    Column("at", Instant),
    Column("holds", Boolean),
)
ROWS = [(1, "one", b"\x00\xff", {"b": [1, "ä"], "a": None}, AT, True), (2, "two", None, None, None, False)]


@pytest.fixture
def connection() -> Any:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        TABLE.create(connection)
        yield connection
    engine.dispose()


def stored(connection: Connection) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.exec_driver_sql("SELECT * FROM all_kinds ORDER BY number")]


def test_rows_stand_as_sqlalchemy_stores_them(connection: Connection) -> None:
    connection.execute(TABLE.insert(), [dict(zip(TABLE.columns.keys(), row, strict=True)) for row in ROWS])
    theirs = stored(connection)
    connection.execute(TABLE.delete())
    insert_rows(connection, TABLE, ROWS)
    assert stored(connection) == theirs
    assert [tuple(row) for row in connection.execute(TABLE.select().order_by(TABLE.c.number))] == ROWS


def test_what_the_database_refuses_is_raised_and_none_of_them_is_kept(connection: Connection) -> None:
    insert_rows(connection, TABLE, ROWS[:1])
    connection.commit()
    with pytest.raises(exc.IntegrityError):
        insert_rows(connection, TABLE, [ROWS[1], ROWS[0]])
    connection.rollback()
    assert len(stored(connection)) == 1


def test_a_value_that_the_column_does_not_take_is_a_bug(connection: Connection) -> None:
    with pytest.raises(Bug):
        insert_rows(connection, TABLE, [(1, "one", None, None, AT.replace(tzinfo=None), None)])
