"""A statement asked past SQLAlchemy's handling of each is answered as SQLAlchemy answers it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Boolean, Column, Connection, LargeBinary, MetaData, String, Table, bindparam, exc, select
from sqlalchemy import create_engine as engine_of

from troth.store.query import Query
from troth.store.types import NUMBER, Instant, JSONText

AT = datetime(2026, 11, 22, 1, 2, 3, 4, tzinfo=UTC)
TABLE = Table(
    "all_kinds",
    MetaData(),
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("name", String(8), nullable=False),
    Column("body", LargeBinary),
    Column("value", JSONText),
    Column("at", Instant),
    Column("holds", Boolean),
)
ROWS: list[tuple[object, ...]] = [
    (1, "one", b"\x00\xff", {"b": [1, "ä"]}, AT, True),
    (2, "two", None, None, None, False),
    (3, "it's", b"", [], AT, None),
]


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = engine_of("sqlite://")
    with engine.connect() as connection:
        TABLE.create(connection)
        connection.execute(TABLE.insert(), [dict(zip(TABLE.columns.keys(), row, strict=True)) for row in ROWS])
        yield connection
    engine.dispose()


def test_rows_are_those_of_sqlalchemy(connection: Connection) -> None:
    statement = TABLE.select().order_by(TABLE.c.number)
    found = Query(statement).all(connection, {})
    assert [tuple(row) for row in found] == ROWS == [tuple(row) for row in connection.execute(statement)]
    assert found[0].at == AT


def test_parameters_stand_as_their_columns_have_them(connection: Connection) -> None:
    query = Query(
        select(TABLE.c.name).where(TABLE.c.at < bindparam("before"), TABLE.c.number < 3).limit(bindparam("most"))
    )
    assert query.all(connection, {"before": AT, "most": 9}) == []
    assert query.all(connection, {"before": AT + timedelta(microseconds=1), "most": 9}) == [("one",)]


@pytest.mark.parametrize("names", [[], ["one"], ["it's", "two", "none"], ["') OR 1 --"]])
def test_a_list_of_any_length_is_one_parameter(connection: Connection, names: list[str]) -> None:
    statement = select(TABLE.c.name).where(TABLE.c.name.in_(bindparam("names", expanding=True))).order_by(TABLE.c.name)
    theirs = [tuple(row) for row in connection.execute(statement, {"names": names})]
    assert Query(statement).all(connection, {"names": names}) == theirs


def test_one_row_or_none(connection: Connection) -> None:
    query = Query(TABLE.select().where(TABLE.c.number >= bindparam("least")))
    row = query.one_or_none(connection, {"least": 3})
    assert row is not None
    assert row.name == "it's"
    assert query.one_or_none(connection, {"least": 4}) is None
    with pytest.raises(exc.MultipleResultsFound):
        query.one_or_none(connection, {"least": 1})


def test_what_the_database_refuses_is_raised_as_sqlalchemy_raises_it(connection: Connection) -> None:
    TABLE.drop(connection)
    with pytest.raises(exc.OperationalError, match="no such table"):
        Query(TABLE.select()).all(connection, {})
