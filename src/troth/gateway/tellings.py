"""How many of those who are not let in are told of one by one: a flood is counted, and fills neither log nor list."""

import structlog

from troth.limits import REFUSALS_TOLD_AT_ONCE_MAX

log = structlog.get_logger()


class Tellings:
    """Those of one batch of a report."""

    def __init__(self) -> None:
        self._left = REFUSALS_TOLD_AT_ONCE_MAX
        self._untold = 0

    def take(self) -> bool:
        """Say whether one more is told of, or only counted."""
        if not self._left:
            self._untold += 1
            return False
        self._left -= 1
        return True

    def begin_anew(self) -> None:
        """Begin the next batch, and say how many were not told of."""
        self._left = REFUSALS_TOLD_AT_ONCE_MAX
        if self._untold:
            log.warning("refusals.untold", count=self._untold)
            self._untold = 0
