"""The time that a device says its readings are of, where its own clock is not to be trusted.

Asked of the time servers once a day at most, and kept on the disk beside what the machine has counted since its start,
which nobody sets: so readings have a true time while no server can be reached, and across restarts of the program, but
not across a restart of the machine. Knows no reading.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from troth.clock import Clock
from troth.device.identity import Identity
from troth.device.network import INTERNET, Network
from troth.device.uptime import Uptime
from troth.errors import Fault, Kind
from troth.keys.files import read_bounded, write_private
from troth.limits import DEVICE_SETTINGS_BYTES_MAX

AGE_MAX: Final = timedelta(days=1)
"""After so long the servers are asked again: a quartz that is off by 50 parts in a million is then 4 seconds wrong."""
_FILE: Final = "told.json"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ReadingTime:
    """A `troth.clock.Clock` for readings of one identity."""

    def __init__(self, folder: Path, judge: Clock | None, own: Clock, uptime: Uptime) -> None:
        """`judge` is what asks the time servers; None: there are none, and the device's `own` clock counts."""
        self._file = folder / _FILE
        self._judge = judge
        self._own = own
        self._uptime = uptime

    @classmethod
    def of(cls, identity: Identity, own: Clock, network: Network = INTERNET) -> Self:
        """Return the clock of a device with this identity."""
        return cls(identity.path, network.judge_of(identity.time_servers), own, Uptime())

    def find(self) -> datetime | None:
        """Return the time; None where it cannot be known."""
        try:
            return self.now()
        except Fault:
            return None

    def now(self) -> datetime:
        """Return the time.

        Raises `Fault`: what asking the time servers raises, where none has answered since the machine was started.
        """
        if self._judge is None:
            return self._own.now()
        boot, passed = self._uptime.boot(), self._uptime.passed()
        kept = _read(self._file, boot)
        if kept is not None and timedelta(0) <= passed - kept[1] <= AGE_MAX:
            return kept[0] + (passed - kept[1])
        try:
            told = self._judge.now()
        except Fault as fault:
            # Old, and still true but for what the quartz is off; who lies about the time is believed in nothing.
            if kept is None or passed < kept[1] or fault.kind is not Kind.UNAVAILABLE:
                raise
            return kept[0] + (passed - kept[1])
        _write(self._file, boot, told, self._uptime.passed())
        return told


def _read(file: Path, boot: str) -> tuple[datetime, timedelta] | None:
    """Return the time that was told last and when that was by the machine's count; None: not since its start."""
    try:
        kept = json.loads(read_bounded(file, DEVICE_SETTINGS_BYTES_MAX))
        if kept["boot"] != boot:
            return None
        return _EPOCH + timedelta(microseconds=kept["told_us"]), timedelta(microseconds=kept["passed_us"])
    except (Fault, ValueError, KeyError, TypeError, OverflowError):
        # It is made again.
        return None


def _write(file: Path, boot: str, told: datetime, passed: timedelta) -> None:
    microsecond = timedelta(microseconds=1)
    kept = {"boot": boot, "told_us": (told - _EPOCH) // microsecond, "passed_us": passed // microsecond}
    write_private(file, json.dumps(kept).encode(), overwrite=True)
