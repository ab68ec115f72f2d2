"""The doorbell: a Unix datagram socket at which the authority is told that an intent has been committed.

A ring carries nothing and may get lost: whoever answers looks into the database, and follows the journal besides.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from troth.errors import Fault, Kind

_ADDRESS_BYTES_MAX: Final = 107
"""What fits a Unix socket's address (unix(7)), without the zero at its end."""


@contextmanager
def hang(path: Path) -> Iterator[socket.socket]:
    """Yield a non-blocking socket bound at `path`, mode 0600, in place of whatever stood there; remove it at the end.

    Raises `Fault` (misconfigured) when it cannot be bound.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.setblocking(False)
        # On Linux the file gets the socket's own mode: at no moment is it open to others.
        os.fchmod(bell.fileno(), 0o600)
        try:
            path.unlink(missing_ok=True)
            with _address(path) as address:
                bell.bind(address)
        except OSError as error:
            raise Fault(
                Kind.MISCONFIGURED, f"the authority's doorbell {path} cannot be hung", detail=str(error)
            ) from error
        try:
            yield bell
        finally:
            path.unlink(missing_ok=True)


def silence(bell: socket.socket) -> None:
    """Take all rings that wait off the socket, so that it becomes readable again with the next one."""
    with suppress(BlockingIOError):
        while True:
            bell.recv(1)


def ring(path: Path) -> bool:
    """Ring the bell at `path`, without waiting; False when nobody can hear it, which loses nothing but time."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller, _address(path) as address:
            caller.setblocking(False)
            caller.sendto(b"\n", address)
    except BlockingIOError:
        return True  # rings enough are waiting there already
    except OSError:
        return False
    return True


def answers(path: Path) -> bool:
    """Say whether an authority listens at `path`, without ringing."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller, _address(path) as address:
            caller.connect(address)
    except OSError:
        return False
    return True


@contextmanager
def _address(path: Path) -> Iterator[str]:
    if len(os.fsencode(path)) <= _ADDRESS_BYTES_MAX:
        yield str(path)
        return
    # A home may stand deeper than an address is long: reach its folder by descriptor.
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
