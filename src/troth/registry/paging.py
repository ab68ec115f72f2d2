"""How far one page of a list may go."""

from typing import Final

from troth.limits import LIST_ROWS_MAX

PAGE_ROWS: Final = 100
"""Rows of a page whose size nobody named."""


def page_rows(limit: int) -> int:
    """Return how many rows to read: `limit`, within 1 and `LIST_ROWS_MAX`."""
    return max(1, min(limit, LIST_ROWS_MAX))
