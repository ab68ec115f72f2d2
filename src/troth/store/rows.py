"""Many rows at once, past SQLAlchemy's handling of each, which takes longer over a row than SQLite does to store it.

The table still says which columns there are, in which order, and how their values stand in them.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.types import TypeDecorator

_STATEMENTS_KEPT: Final = 64
_MARKS: Final = {"sqlite": "?", "postgresql": "%s"}

_Writers = Mapping[int, TypeDecorator[Any]]
"""By its place, each column in which a value does not stand as it is."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows that have a value for every column of `table`, in the order of its columns.

    Raises what SQLAlchemy raises where the database refuses one.
    """
    dialect = connection.dialect
    statement, writers = _insert(table, dialect)
    connection.exec_driver_sql(statement, [_written(row, writers, dialect) for row in rows])


def _written(row: Sequence[Any], writers: _Writers, dialect: Dialect) -> tuple[Any, ...]:
    values = list(row)
    for at, writer in writers.items():
        values[at] = writer.process_bind_param(values[at], dialect)
    return tuple(values)


@lru_cache(_STATEMENTS_KEPT)
def _insert(table: Table, dialect: Dialect) -> tuple[str, _Writers]:
    prepare = dialect.identifier_preparer
    names = ", ".join(prepare.format_column(column) for column in table.columns)
    marks = ", ".join(_MARKS[dialect.name] for _ in table.columns)
    writers = {at: column.type for at, column in enumerate(table.columns) if isinstance(column.type, TypeDecorator)}
    return f"INSERT INTO {prepare.format_table(table)} ({names}) VALUES ({marks})", writers  # noqa: S608 - our own names
