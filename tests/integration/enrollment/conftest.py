"""The site that these tests work on: on SQLite, and on each kind of database in turn."""

from pathlib import Path

import pytest
from tests.fixtures.issuance import authority, born_site, clock

from troth.store.connect import Database
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock

__all__ = ["authority", "born_site", "clock"]


@pytest.fixture
def any_authority(db: Database, tmp_path: Path, clock: FakeClock) -> TestAuthority:
    """A site with its hierarchy, born on SQLite and on PostgreSQL."""
    return TestAuthority(tmp_path, db=db, clock=clock)
