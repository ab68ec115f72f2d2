"""The site that these tests work on, at this machine's time, and its HTTP doors."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.doors import RunningDoors
from tests.fixtures.issuance import born_now, live_authority, live_clock

from troth.testing.authority import TestAuthority

__all__ = ["born_now", "live_authority", "live_clock"]


@pytest.fixture
def doors(live_authority: TestAuthority, tmp_path: Path) -> Iterator[RunningDoors]:
    """The site's HTTP doors, and its authority."""
    running = RunningDoors(live_authority, tmp_path / "bell")
    yield running
    running.close()
