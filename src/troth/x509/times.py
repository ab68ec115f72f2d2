"""When a certificate is in its time: RFC 5280, 4.1.2.5. Both ends belong to it, and it ends with a whole second.

OpenSSL 3.6 and later say the same of the last second, so that TLS and whoever looks again after it agree.
"""

from datetime import datetime


def has_ended(not_after: datetime, at: datetime) -> bool:
    """Say whether a certificate that is valid to `not_after` is no longer so `at` a time."""
    return at.replace(microsecond=0) > not_after


def is_in_time(not_before: datetime, not_after: datetime, at: datetime) -> bool:
    """Say whether a certificate is valid `at` a time, as far as time goes."""
    return not_before <= at and not has_ended(not_after, at)
