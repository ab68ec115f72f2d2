"""Certificates of things that differ from one which every rule has passed in nothing but what is checked here.

Ten thousand devices' certificates share all but serial number, subject and key. So the rules run on one of each kind,
and the rest of its to-be-signed bytes, its frame, is remembered. Another with this very frame passes too when the few
octets outside of it are plainly what the rules want; in all other cases, and for every other kind of certificate, the
rules themselves decide. `learn` refuses whatever would make a rule depend on both (docs/decisions/0011).
"""

import hashlib
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography import x509

from troth.errors import Fault
from troth.names import parse_thing_name
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import UNREADABLE, find_extension
from troth.x509.profiles import ExtendedUse, Profile, SubjectRule
from troth.x509.public_keys import P256_INFO_BYTES, P256_INFO_HEAD, P256_POINT_AT, read_subject_key
from troth.x509.subjects import COMMON_NAME_CHARS_MAX, common_names_of

_KINDS_KEPT: Final = 64
_FRAMES_MAX: Final = 4096

_SIZE_AT: Final = 2
_VERSION_AT: Final = 4
_VERSION_AND_SERIAL: Final = bytes.fromhex("a003020102021001")
"""Version 3, and a serial number of 16 octets of which the first is 1: positive, and of 121 bits."""
_SHARD_AT: Final = _VERSION_AT + len(_VERSION_AND_SERIAL)
_ALGORITHM_AT: Final = _SHARD_AT + 15
_COMMON_NAME: Final = bytes.fromhex("0603550403")
_UTF8: Final = 0x0C
_IDENTIFIER_HEAD: Final = bytes.fromhex("0603551d0e04160414")
"""The beginning of a subject key identifier of 20 octets, which is not critical."""
_IDENTIFIER_BYTES: Final = 20


class _Parts(NamedTuple):
    """To-be-signed bytes, cut where certificates of one kind begin to differ."""

    frame: tuple[bytes, bytes, bytes, bytes]
    """The CRL shard in the serial number; algorithm and issuer; what comes before and after the key's identifier."""
    window: bytes
    subject: bytes
    key: bytes
    identifier: bytes


class Known:
    """The frames, and the windows of validity, of certificates that all rules have passed under one profile and issuer.

    Threads may share it.
    """

    def __init__(self, profile: Profile, issuer: x509.Certificate) -> None:
        self._reserved = common_names_of(issuer.subject)
        # The rules on servers' names and on name constraints look at subject and alternative names together.
        self._applies = (
            profile.subject is SubjectRule.THING
            and KeyAlgorithm.P256 in profile.algorithms
            and ExtendedUse.SERVER_AUTH not in profile.extended_key_usage
            and find_extension(issuer, x509.NameConstraints) is None
        )
        self._frames: set[tuple[bytes, bytes, bytes, bytes]] = set()
        self._windows: set[bytes] = set()

    def has(self, tbs: bytes) -> bool:
        """Say whether all rules would pass a certificate of these to-be-signed bytes; False where it is not known."""
        parts = _cut(tbs)
        return (
            parts is not None
            and parts.frame in self._frames
            and parts.window in self._windows
            and self._is_thing(parts.subject)
            and _is_key(parts.key)
            and parts.identifier == hashlib.sha256(parts.key[P256_POINT_AT:]).digest()[:_IDENTIFIER_BYTES]
        )

    def learn(self, tbs: bytes) -> None:
        """Remember the frame of to-be-signed bytes that every rule has just passed, where it may stand for others."""
        parts = _cut(tbs) if self._applies else None
        if parts is None or not _is_key(parts.key):
            return
        if len(self._frames) >= _FRAMES_MAX:
            self._frames.clear()
        if len(self._windows) >= _FRAMES_MAX:
            self._windows.clear()
        self._frames.add(parts.frame)
        self._windows.add(parts.window)

    def _is_thing(self, subject: bytes) -> bool:
        """Say whether this is a thing's name alone, as one common name in UTF-8, and not the issuer's own."""
        text = subject[13:]
        size = len(text)
        head = bytes((0x30, size + 11, 0x31, size + 9, 0x30, size + 7)) + _COMMON_NAME + bytes((_UTF8, size))
        if not 1 <= size <= COMMON_NAME_CHARS_MAX or subject[:13] != head:
            return False
        try:
            return parse_thing_name(text.decode("ascii")) not in self._reserved
        except (Fault, UnicodeDecodeError):
            return False


@lru_cache(_KINDS_KEPT)
def known(profile: Profile, issuer: x509.Certificate) -> Known:
    """Return what this process knows of the certificates of one profile and issuer."""
    return Known(profile, issuer)


def _cut(tbs: bytes) -> _Parts | None:
    """Return the parts; None where a certificate of a thing with a P-256 key would be cut otherwise."""
    if not tbs.startswith(b"\x30\x82") or int.from_bytes(tbs[_SIZE_AT:_VERSION_AT], "big") != len(tbs) - _VERSION_AT:
        return None
    if tbs[_VERSION_AT:_SHARD_AT] != _VERSION_AND_SERIAL:
        return None
    try:
        issuer_end = _end(tbs, _end(tbs, _ALGORITHM_AT))
        window_end = _end(tbs, issuer_end)
        subject_end = _end(tbs, window_end)
    except IndexError:
        return None
    key_end = subject_end + P256_INFO_BYTES
    before, head, after = tbs[key_end:].partition(_IDENTIFIER_HEAD)
    # Found twice, it might stand inside of another value.
    if not head or _IDENTIFIER_HEAD in after or len(after) < _IDENTIFIER_BYTES:
        return None
    return _Parts(
        (tbs[_SHARD_AT : _SHARD_AT + 2], tbs[_ALGORITHM_AT:issuer_end], before, after[_IDENTIFIER_BYTES:]),
        tbs[issuer_end:window_end],
        tbs[window_end:subject_end],
        tbs[subject_end:key_end],
        after[:_IDENTIFIER_BYTES],
    )


def _end(data: bytes, at: int) -> int:
    """Return where the DER value at `at` ends. Raises `IndexError` behind the end."""
    size = data[at + 1]
    if size < 0x80:
        return at + 2 + size
    if size == 0x81:
        return at + 3 + data[at + 2]
    return at + 4 + (data[at + 2] << 8 | data[at + 3])


def _is_key(info: bytes) -> bool:
    """Say whether this is a P-256 key that can be read, in the one form that we write."""
    if len(info) != P256_INFO_BYTES or not info.startswith(P256_INFO_HEAD):
        return False
    try:
        read_subject_key(info)
    except (Fault, *UNREADABLE):
        return False
    return True
