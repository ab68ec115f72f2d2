"""A PKCS#11 module begun so that several threads may be in it at once: what python-pkcs11 does not ask it for.

OpenSSL's engine signs in whatever thread does TLS, through the same module, at any time. A module that was begun
without a word of threads takes no locks, and SoftHSM may crash then. PKCS#11 2.40, 5.4 (C_Initialize,
CKF_OS_LOCKING_OK).
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pkcs11

from troth.errors import Fault, Kind

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib

_OK: Final = 0
_CANNOT_LOCK: Final = 0x0A
_OS_LOCKING_OK: Final = 2
_Call: Final = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)


class _Arguments(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS."""

    _fields_ = (
        ("create", ctypes.c_void_p),
        ("destroy", ctypes.c_void_p),
        ("lock", ctypes.c_void_p),
        ("unlock", ctypes.c_void_p),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    )


class _Functions(ctypes.Structure):
    """The beginning of CK_FUNCTION_LIST."""

    _fields_ = (("version", ctypes.c_ubyte * 2), ("initialize", _Call), ("finalize", _Call))


@cache
def load_with_locks(module: Path) -> "lib":
    """Return the module, loaded and begun once for all of this process. Raises `Fault`, `pkcs11.PKCS11Error`."""
    library = pkcs11.lib(str(module))
    begin_with_locks(module)
    return library


def begin_with_locks(module: Path) -> None:
    """Begin anew with `module`, which this process has loaded; sessions that anybody has there are gone.

    One that cannot lock is begun without. Raises `Fault` (unavailable).
    """
    library = ctypes.CDLL(str(module))
    functions = ctypes.POINTER(_Functions)()
    library.C_GetFunctionList(ctypes.byref(functions))
    calls, arguments = functions.contents, _Arguments(flags=_OS_LOCKING_OK)
    calls.finalize(None)
    result = calls.initialize(ctypes.addressof(arguments))
    if result == _CANNOT_LOCK:
        result = calls.initialize(None)
    if result != _OK:
        raise Fault(Kind.UNAVAILABLE, f"the module {module} does not begin", detail=f"C_Initialize: {result:#x}")
