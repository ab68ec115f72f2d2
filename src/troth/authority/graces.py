"""For how long a certificate that has expired may still be renewed: who holds one is away, and not lost.

So nothing that it takes to come back may be taken away before.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from troth.authority.derive import read_profile
from troth.authority.hierarchy import FOR_THINGS
from troth.registry.issuers import Issuer
from troth.registry.profiles import list_profiles
from troth.x509.profiles import Purpose


def longest_grace(connection: Connection) -> timedelta:
    """Return the longest grace of any profile."""
    longest, after = timedelta(0), None
    while page := list_profiles(connection, after):
        longest = max(longest, *(read_profile(each.document).grace for each in page))
        after = page[-1].name
    return longest


def counted_from(connection: Connection, issuer: Issuer, now: datetime) -> datetime:
    """Return since when a certificate must not have expired, to count when `issuer` is to go at `now`.

    Things alone have a grace; they are whom a root is for, and the CAs of things.
    """
    has_grace = issuer.purpose in (Purpose.ROOT, *FOR_THINGS)
    return now - longest_grace(connection) if has_grace else now
