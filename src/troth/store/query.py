"""A SELECT that is asked again and again, past SQLAlchemy's handling of each, which takes longer than SQLite to answer.

SQLAlchemy still writes the statement, once for each kind of database, and says how values stand in columns. What may
differ in length (``in_(bindparam(name, expanding=True))``) travels as one value, so that the statement stays the same.
"""

import json
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import Connection, Dialect, Row, Select, exc

_EXPANDING: Final = {
    "sqlite": ("IN (__[POSTCOMPILE_{name}])", "IN (SELECT value FROM json_each(?))"),
    "postgresql": ("IN (__[POSTCOMPILE_{name}])", "= ANY(%({name})s)"),
}

_Processor = Callable[[Any], Any]


class _Compiled(NamedTuple):
    text: str
    names: tuple[str, ...] | None
    """The parameters in their order; None where the driver takes them by name."""
    constants: Mapping[str, Any]
    """Parameters whose values stand in the statement itself."""
    writers: Mapping[str, _Processor]
    readers: tuple[tuple[int, _Processor], ...]
    """By its place, each column whose value does not stand as it is."""


class Query:
    """One statement. Threads may share it."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        self._make: Callable[[Sequence[Any]], Any] = _named(statement.selected_columns.keys())
        self._compiled: dict[str, _Compiled] = {}

    def all(self, connection: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the rows: named tuples, which serve as SQLAlchemy's own do. Raises what SQLAlchemy raises."""
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name) or self._compile(dialect)
        values = {**compiled.constants, **parameters}
        for name, writer in compiled.writers.items():
            values[name] = writer(values[name])
        bound = values if compiled.names is None else [values[name] for name in compiled.names]
        driver = connection.connection.driver_connection
        assert dialect.dbapi is not None
        assert driver is not None
        try:
            found = driver.execute(compiled.text, bound).fetchall()
        except dialect.dbapi.Error as error:
            raise exc.DBAPIError.instance(compiled.text, None, error, dialect.dbapi.Error) from error
        make, readers = self._make, compiled.readers
        if not readers:
            return [make(row) for row in found]
        return [make(_read(row, readers)) for row in found]

    def one_or_none(self, connection: Connection, parameters: Mapping[str, Any]) -> Row[Any] | None:
        """Return the one row; None when there is none. Raises as `all` does, and `MultipleResultsFound`."""
        found = self.all(connection, parameters)
        if len(found) > 1:
            raise exc.MultipleResultsFound("more than one row was found where one was asked for")
        return found[0] if found else None

    def _compile(self, dialect: Dialect) -> _Compiled:
        compiled = self._statement.compile(dialect=dialect)
        text = str(compiled)
        writers: dict[str, _Processor] = {}
        constants = {name: bind.effective_value for name, bind in compiled.binds.items() if not bind.required}
        for name, bind in compiled.binds.items():
            if bind.expanding:
                pattern, one = _EXPANDING[dialect.name]
                text = text.replace(pattern.format(name=name), one.format(name=name))
                if dialect.name == "sqlite":
                    writers[name] = json.dumps
            else:
                writer = bind.type.dialect_impl(dialect).bind_processor(dialect)
                if writer is not None:
                    writers[name] = writer
        readers = []
        for at, column in enumerate(self._statement.selected_columns):
            reader = column.type.dialect_impl(dialect).result_processor(dialect, None)
            if reader is not None:
                readers.append((at, reader))
        names = tuple(compiled.positiontup) if compiled.positiontup is not None else None
        made = _Compiled(text, names, constants, writers, tuple(readers))
        self._compiled[dialect.name] = made
        return made


def _named(columns: Iterable[str]) -> Callable[[Sequence[Any]], Any]:
    row: Any = namedtuple("Row", list(columns), rename=True)  # type: ignore[misc] # as wide as the statement
    return cast("Callable[[Sequence[Any]], Any]", row._make)


def _read(row: Sequence[Any], readers: tuple[tuple[int, _Processor], ...]) -> list[Any]:
    values = list(row)
    for at, reader in readers:
        values[at] = reader(values[at])
    return values
