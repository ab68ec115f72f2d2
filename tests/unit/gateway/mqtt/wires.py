"""Transports and listeners over nothing, that keep what they are given."""

import asyncio
from typing import Any

from troth.protocols.mqtt import Packet, StreamFault


class Wire(asyncio.Transport):
    """A transport over nothing, that says how full it is."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.waiting = 0
        self.reading = True
        self.closed = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


class Nobody:
    """Whom a link tells what happens."""

    def broker_sent(self, packets: list[Packet], fault: StreamFault | None) -> None: ...
    def broker_slow(self, slow: bool) -> None: ...
    def broker_gone(self) -> None: ...
