"""Search the certificates: by thing, issuer, state, profile and expiry, page by page, at ten million rows as at ten.

Each search walks along one index and passes over what meets no other condition. What it finds by id or serial number
alone is `troth.registry.certificates`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, select, tuple_

from troth.limits import LIST_ROWS_MAX
from troth.registry import tables
from troth.registry.certificates import CertificateRow, CertificateState, certificate_row, get_certificate
from troth.registry.paging import PAGE_ROWS, page_rows

_COLUMNS: Final = tables.certificates.c


@dataclass(frozen=True, slots=True)
class Search:
    """What certificates must meet; None asks for nothing."""

    thing: str | None = None
    """The thing they were issued for."""
    issuer_id: str | None = None
    state: CertificateState | None = None
    profile: str | None = None
    expires_from: datetime | None = None
    """They expire at this time or later."""
    expires_before: datetime | None = None

    def walk(self) -> tuple[list[ColumnElement[bool]], tuple[Column[Any], ...]]:
        """Return the conditions, and the columns to order by: those of the index that the conditions leave to walk."""
        held, order = self._held()
        others = [
            _passed_over(column) == value
            for column, value in self._equal().items()
            if value is not None and column not in held
        ]
        return [*(column == self._equal()[column] for column in held), *self._window(), *others], order

    def _held(self) -> tuple[tuple[Column[Any], ...], tuple[Column[Any], ...]]:
        """Return which columns an index holds to one value, and the columns behind them in that index."""
        if self.thing is not None:
            return (_COLUMNS.thing,), (_COLUMNS.certificate_id,)
        if self._window():
            return (), (_COLUMNS.not_after, _COLUMNS.certificate_id)
        if self.state is not None and self.issuer_id is not None:
            return (_COLUMNS.state, _COLUMNS.issuer_id), (_COLUMNS.certificate_id,)
        if self.state is not None:
            return (_COLUMNS.state,), (_COLUMNS.issuer_id, _COLUMNS.certificate_id)
        if self.issuer_id is not None:
            return (_COLUMNS.issuer_id,), (_COLUMNS.serial,)
        return (), (_COLUMNS.certificate_id,)

    def _equal(self) -> dict[Column[Any], object]:
        return {
            _COLUMNS.thing: self.thing,
            _COLUMNS.issuer_id: self.issuer_id,
            _COLUMNS.state: self.state,
            _COLUMNS.profile: self.profile,
        }

    def _window(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.expires_from is not None:
            found.append(_COLUMNS.not_after >= self.expires_from)
        if self.expires_before is not None:
            found.append(_COLUMNS.not_after < self.expires_before)
        return found


def _passed_over(column: Column[Any]) -> ColumnElement[Any]:
    """Return the column so that no index on it is used: SQLite, which keeps no statistics, would take that one."""
    return column.concat("")


ALL: Final = Search()


def list_certificates(
    connection: Connection, search: Search = ALL, *, after: str | None = None, limit: int = PAGE_ROWS
) -> list[CertificateRow]:
    """Return the certificates that meet the search, after the one with the id `after`, at most `limit`.

    Those of an expiry window come in the order in which they expire; all others in an order of their own, always the
    same. Raises `Fault` (not found) when there is no certificate `after` and its place cannot be told from its id.
    """
    conditions, order = search.walk()
    statement = select(tables.certificates).where(*conditions).order_by(*order).limit(page_rows(limit))
    if after is not None:
        statement = statement.where(_is_behind(connection, order, after))
    return [certificate_row(row) for row in connection.execute(statement)]


def _is_behind(connection: Connection, order: tuple[Column[Any], ...], after: str) -> ColumnElement[bool]:
    if order == (_COLUMNS.certificate_id,):
        return _COLUMNS.certificate_id > after
    last = get_certificate(connection, after)
    return tuple_(*order) > tuple(getattr(last, column.name) for column in order)


def all_certificates(connection: Connection, search: Search = ALL) -> Iterator[CertificateRow]:
    """Yield every certificate that meets the search, in the order of `list_certificates`, reading page by page."""
    after: str | None = None
    while page := list_certificates(connection, search, after=after, limit=LIST_ROWS_MAX):
        yield from page
        if len(page) < LIST_ROWS_MAX:
            return
        after = page[-1].certificate_id
