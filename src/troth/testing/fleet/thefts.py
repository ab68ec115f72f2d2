"""Devices that fall into other hands, and keys that were let go of: withdrawn, replaced, and tried at every door."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from troth.testing.fleet.device import DAY_S, Device
from troth.testing.fleet.handshake import Shown
from troth.testing.fleet.home import Home, HomeDown
from troth.testing.fleet.operator import Operator
from troth.testing.fleet.thief import try_key
from troth.testing.fleet.watcher import Watcher
from troth.testing.fleet.wire import Place

LOOSE_MAX: Final = 64
"""Credentials at a time in the hands of somebody who should not have them."""
STOLEN_AFTER_DAYS: Final = 8 * 365.0
"""How long a device stays with its owner, in the middle."""
HOUR_S: Final = 3600.0


class Thefts:
    """All of them, of one fleet."""

    def __init__(
        self,
        place: Place,
        devices: Sequence[Device],
        operator: Operator,
        watcher: Watcher,
        random: Callable[[str], Random],
    ) -> None:
        self._place, self._devices, self._operator, self._watcher = place, devices, operator, watcher
        self._theft, self._thief = random("theft"), random("thief")
        self._loose: list[Shown] = []
        self.tried = 0

    def let_go(self, device: Device, credential: Shown) -> None:
        """Take note that a device has removed a credential: whoever finds what is left of it may have it."""
        self._lose(device, credential, "removed from the device")

    async def steal(self) -> None:
        """Now and then steal a device; it is withdrawn, and replaced by a new one. For ever."""
        random = self._theft
        while True:
            await asyncio.sleep(random.uniform(0.2, 1.8) * STOLEN_AFTER_DAYS / len(self._devices) * DAY_S)
            device = random.choice(self._devices)
            if not device.is_enrolled or device.is_awake:
                continue
            device.is_withdrawn = True
            while not self._withdraw(device):  # noqa: ASYNC110 - somebody tries again every hour
                await asyncio.sleep(HOUR_S)
            await asyncio.sleep(random.uniform(0.1, 20.0) * DAY_S)
            device.reset()
            self._watcher.forget_readings(device.name)
            device.is_withdrawn = False

    async def try_keys(self) -> None:
        """Try what was lost, for ever."""
        random = self._thief
        while True:
            await asyncio.sleep(random.uniform(1.0, 20.0) * DAY_S)
            home: Home | None = self._place.home
            if self._loose and home is not None:
                self.tried += 1
                try_key(self._place, home, random.choice(self._loose), random)

    def _withdraw(self, device: Device) -> bool:
        """Have it withdrawn; False when the home is not there, or dies over it: whether that is done nobody knows."""
        home = self._place.home
        if home is None:
            return False
        try:
            self._operator.withdraw(home, device)
        except HomeDown:
            return False
        for credential in device.credentials():
            self._lose(device, credential, "withdrawn")
        return True

    def _lose(self, device: Device, credential: Shown, why: str) -> None:
        self._watcher.let_go(device.name, credential.key, why)
        self._loose.append(credential)
        del self._loose[:-LOOSE_MAX]
