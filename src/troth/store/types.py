"""How values stand in columns, the same on SQLite and PostgreSQL."""

import json
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from troth.errors import Bug

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# Made once: `json.dumps` with options makes an encoder each time.
_encode: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

NUMBER: Final[TypeEngine[int]] = BigInteger().with_variant(Integer(), "sqlite")
"""A 64-bit number that can be a primary key; on SQLite only ``INTEGER`` can be the row's own key."""


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as whole microseconds since 1970 in UTC and read back in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return microseconds. Raises `Bug` for a datetime without time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise Bug("a datetime without a time zone cannot be stored")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return the aware datetime, in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class JSONText(TypeDecorator[object]):
    """A JSON value, stored as text with sorted keys and no white space: equal values are equal texts."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        """Return the text. Python's None stays NULL."""
        if value is None:
            return None
        return _encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        """Return the value that was stored."""
        return None if value is None else json.loads(value)
