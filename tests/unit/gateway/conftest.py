"""The site that these tests work on."""

from tests.fixtures.issuance import authority, born_site, clock

__all__ = ["authority", "born_site", "clock"]
