"""Files that must be whole, private and there after a power cut: keys, chains, settings. Knows not what is in one.

A file is written beside its place under a name of its own, made durable, and only then put in place in one step: who
looks sees the old file, or none, or the new one, never a part.
"""

import errno
import os
from pathlib import Path
from typing import Final

from troth.errors import Fault, Kind
from troth.keys.randomness import random_id

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644

_MAY_PASS: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EINTR))


def write_private(path: Path, data: bytes, *, mode: int = PRIVATE, overwrite: bool = False) -> None:
    """Write `data` to `path` in one step, with `mode` from the moment there is anything to read.

    An existing file stays untouched unless `overwrite` is set, also when two writers come at once. Raises `Fault`:
    conflict (it exists), misconfigured (it cannot be written there), unavailable (disk full and the like).
    """
    beside = path.with_name(f".{path.name}.{random_id()}")
    try:
        _write_new(beside, data, mode)
        try:
            if overwrite:
                beside.replace(path)
            else:
                # unlike a rename, a link never replaces
                os.link(beside, path)
        finally:
            beside.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except FileExistsError as error:
        raise Fault(
            Kind.CONFLICT, f"{path} exists already", hint="it is not overwritten; move it away first"
        ) from error
    except OSError as error:
        raise _fault(path, "written", error) from error


def read_bounded(path: Path, bytes_max: int) -> bytes:
    """Return what is in a file, of which no more is read than the bound.

    Raises `Fault`: not found, too large (above `bytes_max`), misconfigured, unavailable.
    """
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except FileNotFoundError as error:
        raise Fault(Kind.NOT_FOUND, f"{path} does not exist") from error
    except OSError as error:
        raise _fault(path, "read", error) from error
    if len(data) > bytes_max:
        raise Fault(Kind.TOO_LARGE, f"{path} has more than {bytes_max} bytes")
    return data


def _write_new(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            # the process's umask has had its say in os.open; the mode asked for is the mode given
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fault(path: Path, done: str, error: OSError) -> Fault:
    kind = Kind.UNAVAILABLE if error.errno in _MAY_PASS else Kind.MISCONFIGURED
    return Fault(kind, f"{path} cannot be {done}: {error.strerror}", detail=str(error))
