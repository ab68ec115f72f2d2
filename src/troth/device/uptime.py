"""What a Linux machine counts since its start, asleep or awake: setting its clock does not change it."""

from datetime import timedelta
from pathlib import Path


class Uptime:
    """This machine's. Sources: proc(5), random(4)."""

    def boot(self) -> str:
        """Return the name of this start of the machine, that no other has."""
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()

    def passed(self) -> timedelta:
        """Return how long the machine has been up, to a hundredth of a second."""
        return timedelta(seconds=float(Path("/proc/uptime").read_text("ascii").split()[0]))
