"""The site that these tests work on, at this machine's time."""

from tests.fixtures.issuance import born_now, live_authority, live_clock

__all__ = ["born_now", "live_authority", "live_clock"]
