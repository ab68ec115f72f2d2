"""Certificate profiles: what a kind of certificate may hold, as a value read from TOML (`builtin/` has Troth's own).

Knows neither database nor file: whoever calls brings the text. The words are those of RFC 5280 sections 4.2.1.3
(key usage), 4.2.1.6 (alternative names), 4.2.1.9 (path length), 4.2.1.10 (name constraints) and 4.2.1.12.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from cryptography import x509

from troth.clock import parse_duration
from troth.errors import Fault, Kind
from troth.limits import PROFILE_BACKDATE_S_MAX, PROFILE_CHARS_MAX, PROFILE_VALIDITY_S_MAX
from troth.x509.algorithms import KeyAlgorithm


class Purpose(StrEnum):
    """What an issuer certifies, and nothing else."""

    ROOT = "root"
    DEVICES = "devices"
    SERVERS = "servers"
    OPERATORS = "operators"


class KeyUse(StrEnum):
    """The bits of a certificate's key usage that Troth sets (RFC 5280, 4.2.1.3)."""

    DIGITAL_SIGNATURE = "digital-signature"
    KEY_ENCIPHERMENT = "key-encipherment"
    KEY_AGREEMENT = "key-agreement"
    KEY_CERT_SIGN = "key-cert-sign"
    CRL_SIGN = "crl-sign"


class ExtendedUse(StrEnum):
    """What a certificate may be shown for (RFC 5280, 4.2.1.12)."""

    CLIENT_AUTH = "client-auth"
    SERVER_AUTH = "server-auth"


class SubjectRule(StrEnum):
    """What the subject is made of."""

    THING = "thing"
    """The thing's name alone (`subjects.thing_subject`)."""
    NAMED = "named"
    """A common name that the issuing side gives: a server, an operator."""
    ISSUER = "issuer"
    """Site, purpose and generation of a CA (`subjects.issuer_subject`)."""


class NameKind(StrEnum):
    """The kinds of subject alternative name that a profile may allow."""

    DNS = "dns"
    IP = "ip"


@dataclass(frozen=True, slots=True)
class IssuerRule:
    """What makes a profile's certificates those of an issuer."""

    purpose: Purpose
    """What such an issuer certifies."""
    path_length: int
    """How many CAs may stand between it and the last certificate (RFC 5280, 4.2.1.9)."""
    name_constraints: bool
    """Whether it must be held to names that its template permits (RFC 5280, 4.2.1.10)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a kind of certificate may hold. Made by `parse_profile`, which checks that the parts fit together."""

    name: str
    issuer: Purpose
    """Which issuer signs it; a root signs itself."""
    subject: SubjectRule
    algorithms: tuple[KeyAlgorithm, ...]
    """Keys that are taken; the first is what Troth makes where it makes the key."""
    validity: timedelta
    backdate: timedelta
    key_usage: frozenset[KeyUse]
    extended_key_usage: tuple[ExtendedUse, ...]
    san_required: bool
    san_allowed: frozenset[NameKind]
    ca: IssuerRule | None


def validity_window(profile: Profile, now: datetime, issuer: x509.Certificate | None) -> tuple[datetime, datetime]:
    """Return (not before, not after) in whole seconds for a certificate made at `now`, within its issuer's own window.

    Raises `Fault` (expired) when the issuer is not valid at `now`.
    """
    now = now.replace(microsecond=0)
    begin, end = now - profile.backdate, now + profile.validity
    if issuer is None:
        return begin, end
    if not issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc:
        raise Fault(
            Kind.EXPIRED,
            f"the issuer is valid from {issuer.not_valid_before_utc:%Y-%m-%d %H:%M:%S} "
            f"to {issuer.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC, and it is {now:%Y-%m-%d %H:%M:%S}",
            hint="check this machine's clock, or roll the issuer over",
        )
    return max(begin, issuer.not_valid_before_utc), min(end, issuer.not_valid_after_utc)


def parse_profile(text: str) -> Profile:
    """Read a profile from TOML; the built-in ones show every key, with comments.

    Raises `Fault` (malformed, too large) that names the place: ``ca.path_length``. Unknown keys are refused.
    """
    if len(text) > PROFILE_CHARS_MAX:
        raise Fault(Kind.TOO_LARGE, f"the profile has more than {PROFILE_CHARS_MAX} characters")
    try:
        table = _Table(tomllib.loads(text), "")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Fault(Kind.MALFORMED, "the profile is not TOML", hint=str(error)) from error
    profile = _read(table)
    table.finish()
    _check(profile)
    return profile


def _read(table: "_Table") -> Profile:
    san = table.table("san")
    profile = Profile(
        name=table.text("name"),
        issuer=table.word("issuer", Purpose),
        subject=table.word("subject", SubjectRule),
        algorithms=table.words("algorithms", KeyAlgorithm),
        validity=table.duration("validity"),
        backdate=table.duration("backdate", "1h"),
        key_usage=frozenset(table.words("key_usage", KeyUse)),
        extended_key_usage=table.words("extended_key_usage", ExtendedUse, ()),
        san_required=san.flag("required", default=False) if san else False,
        san_allowed=frozenset(san.words("allowed", NameKind)) if san else frozenset(),
        ca=_read_ca(table),
    )
    if san:
        san.finish()
    return profile


def _read_ca(table: "_Table") -> IssuerRule | None:
    ca = table.table("ca")
    if ca is None:
        return None
    rule = IssuerRule(
        purpose=ca.word("purpose", Purpose),
        path_length=ca.number("path_length"),
        name_constraints=ca.flag("name_constraints", default=False),
    )
    ca.finish()
    return rule


def _check(profile: Profile) -> None:
    _require(bool(_NAME.fullmatch(profile.name)), "name", "must be 1 to 64 of 'a-z', '0-9' and '-'")
    _require(bool(profile.algorithms), "algorithms", "names no algorithm")
    _require(
        profile.validity <= timedelta(seconds=PROFILE_VALIDITY_S_MAX),
        "validity",
        f"must be at most {PROFILE_VALIDITY_S_MAX // 86_400}d",
    )
    _require(
        profile.backdate <= timedelta(seconds=PROFILE_BACKDATE_S_MAX),
        "backdate",
        f"must be at most {PROFILE_BACKDATE_S_MAX // 86_400}d",
    )
    signs = KeyUse.KEY_CERT_SIGN in profile.key_usage
    if profile.ca is None:
        _require(not signs, "key_usage", "key-cert-sign needs a [ca] table (RFC 5280, 4.2.1.3)")
        _require(bool(profile.key_usage), "key_usage", "names no use")
        _require(bool(profile.extended_key_usage), "extended_key_usage", "names no use")
        _require(profile.subject is not SubjectRule.ISSUER, "subject", "'issuer' needs a [ca] table")
        _require(profile.issuer is not Purpose.ROOT, "issuer", "a root certifies issuers only")
        return
    _require(signs, "key_usage", "a CA needs key-cert-sign (RFC 5280, 4.2.1.3)")
    _require(profile.subject is SubjectRule.ISSUER, "subject", "must be 'issuer' beside a [ca] table")
    _require(profile.issuer is Purpose.ROOT, "issuer", "must be 'root' beside a [ca] table")
    _require(0 <= profile.ca.path_length <= 1, "ca.path_length", "must be 0 or 1")
    _require(
        (profile.ca.purpose is Purpose.ROOT) == (profile.ca.path_length == 1),
        "ca.path_length",
        "must be 1 for a root and 0 for any other issuer",
    )


def _require(holds: bool, place: str, what: str) -> None:
    if not holds:
        raise Fault(Kind.MALFORMED, f"profile: {place}: {what}")


_NAME: Final = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
_Word = TypeVar("_Word", bound=StrEnum)
_T = TypeVar("_T")
_MISSING: Final = object()


class _Table:
    """A TOML table that is read key by key; what is left at the end was not known."""

    def __init__(self, content: Mapping[str, object], place: str) -> None:
        self._content = dict(content)
        self._place = place

    def text(self, key: str) -> str:
        return self._take(key, str, "text")

    def flag(self, key: str, *, default: bool) -> bool:
        return self._take(key, bool, "true or false", default)

    def number(self, key: str) -> int:
        return self._take(key, int, "a whole number")

    def table(self, key: str) -> "_Table | None":
        if key not in self._content:
            return None
        return _Table(self._take(key, dict, "a table"), f"{self._place}{key}.")

    def word(self, key: str, words: type[_Word]) -> _Word:
        return self._word(key, self.text(key), words)

    def words(self, key: str, words: type[_Word], default: object = _MISSING) -> tuple[_Word, ...]:
        texts: list[object] = list(self._take(key, list, "a list", default))
        found = tuple(self._word(key, text, words) for text in texts)
        _require(len(set(found)) == len(found), self._place + key, "repeats a word")
        return found

    def duration(self, key: str, default: object = _MISSING) -> timedelta:
        text = self._take(key, str, "a duration", default)
        try:
            return parse_duration(text)
        except Fault as fault:
            raise Fault(fault.kind, f"profile: {self._place}{key}: {fault.message}", hint=fault.hint) from fault

    def finish(self) -> None:
        """Refuse what has not been read."""
        for key in self._content:
            raise Fault(Kind.MALFORMED, f"profile: {self._place}{key[:40]}: unknown key")

    def _take(self, key: str, kind: type[_T], what: str, default: object = _MISSING) -> _T:
        value = self._content.pop(key, default)
        _require(value is not _MISSING, self._place + key, "is missing")
        if isinstance(value, tuple):
            value = list(value)
        # bool is an int to Python and not to TOML
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Fault(Kind.MALFORMED, f"profile: {self._place}{key}: must be {what}")
        return value

    def _word(self, key: str, text: object, words: type[_Word]) -> _Word:
        if not isinstance(text, str) or text not in set(words):
            raise Fault(
                Kind.MALFORMED,
                f"profile: {self._place}{key}: {str(text)[:40]!r} is not known",
                hint=f"use one of {', '.join(words)}",
            )
        return words(text)
