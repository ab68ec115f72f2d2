"""Who may come, how they prove it and what they get: an enrollment's document, read from TOML and checked.

Knows neither database nor transport. The name of an enrollment is the label of its EST path (RFC 7030, 3.2.2).
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from string import Formatter
from typing import Final

from troth.enrollment.presented import DEFAULT_LABEL
from troth.errors import Fault, Kind
from troth.limits import ENROLLMENT_CHARS_MAX
from troth.names import parse_attribute, parse_policy_name, parse_thing_name, parse_type_name
from troth.x509.toml_table import TomlTable, require

_NAME: Final = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
_RESERVED: Final = frozenset(("cacerts", "simpleenroll", "simplereenroll", "serverkeygen", "csrattrs", "fullcmc"))
_DOCUMENT: Final = "enrollment"
_DOCUMENTS_KEPT: Final = 64

BUILT_IN: Final = f"""\
# What exists in every home: whoever holds a one-time token of a thing enrolls that thing.
name = "{DEFAULT_LABEL}"
profile = "device"
proofs = ["token"]
"""
"""The enrollment of the paths without a label, as long as no other text is applied under its name."""


class Way(StrEnum):
    """A way of proving who one is."""

    TOKEN = "token"  # noqa: S105 - the name of a way
    IDEVID = "idevid"
    CUSTOMER_CA = "customer-ca"
    CLAIM = "claim"
    CERTIFICATE = "certificate"
    APPROVAL = "approval"


class ServerKeys(StrEnum):
    """Whether keys are made here for those who ask (RFC 7030, 4.4)."""

    NONE = "none"
    ENCRYPTED = "encrypted"
    """For those alone whose request names a key to encrypt it to."""
    ANY = "any"


class KeyProtection(StrEnum):
    """What keeps the private keys of those who come."""

    TPM = "tpm"
    HSM = "hsm"


FOREIGN: Final = (Way.IDEVID, Way.CUSTOMER_CA)
"""The ways by a certificate of a registered CA of elsewhere."""
_BY_CERTIFICATE: Final = frozenset((*FOREIGN, Way.CLAIM, Way.CERTIFICATE))
_NAMING: Final = frozenset((Way.TOKEN, Way.CERTIFICATE))
"""The ways that are one thing's by themselves."""
_FACTS: Final = frozenset(("cn", "serial", "certificate", "request"))
"""What a name may be made of; all but the last are of the certificate that was shown."""


@dataclass(frozen=True, slots=True)
class ForeignRule:
    """Whose certificates count."""

    issuers: tuple[str, ...] = ()
    """Names of registered CAs; none: all of their purpose."""
    serials: frozenset[str] | None = None
    """The serialNumber attributes of subjects that may come (IEEE 802.1AR, 8.6); None: all."""


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """Which certificates of ours are shared by many devices to introduce themselves."""

    profile: str = "claim"
    certificates: frozenset[str] | None = None
    """Their ids; None: all of the profile."""


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """How a person is waited for."""

    lifetime: timedelta = timedelta(days=7)
    retry: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class ThingRule:
    """Which things may come, and what is made of those that are new."""

    name: str | None = None
    """What its name is made of, as ``cam-{serial}``; None: another proof names it."""
    create: bool = False
    type: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    policies: tuple[str, ...] = ()
    allowed: tuple[str, ...] | None = None
    """Names, and beginnings of names with a ``*`` behind; None: all."""

    def admits(self, thing: str) -> bool:
        """Say whether a thing of this name may come."""
        if self.allowed is None:
            return True
        return any(thing.startswith(each[:-1]) if each.endswith("*") else thing == each for each in self.allowed)


@dataclass(frozen=True, slots=True)
class LimitRule:
    """How many certificates it gives; None: no bound but the site's own."""

    per_thing: int = 50
    """Certificates of one thing in a day."""
    per_address: int | None = None
    """Certificates to one address in an hour."""
    total: int | None = None
    """Certificates in a day."""


@dataclass(frozen=True, slots=True)
class Definition:
    """An enrollment."""

    name: str
    profile: str
    proofs: tuple[Way, ...]
    """All must hold."""
    enabled: bool = True
    linked: bool = False
    """Whether a request must be made for the very connection that brings it (RFC 7030, 3.5)."""
    server_keys: ServerKeys = ServerKeys.NONE
    key_protection: KeyProtection | None = None
    """The operator's word for all who come by it, which policy reads as ``troth:KeyProtection``; nothing proves it."""
    thing: ThingRule = ThingRule()
    foreign: Mapping[Way, ForeignRule] = field(default_factory=dict)
    claim: ClaimRule = ClaimRule()
    approval: ApprovalRule = ApprovalRule()
    limits: LimitRule = LimitRule()


@lru_cache(_DOCUMENTS_KEPT)
def parse_definition(text: str) -> Definition:
    """Read an enrollment from TOML. Raises `Fault` (malformed, too large) that names the place: ``thing.name``."""
    if len(text) > ENROLLMENT_CHARS_MAX:
        raise Fault(Kind.TOO_LARGE, f"the enrollment has more than {ENROLLMENT_CHARS_MAX} characters")
    try:
        table = TomlTable(tomllib.loads(text), document=_DOCUMENT)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Fault(Kind.MALFORMED, "the enrollment is not TOML", hint=str(error)) from error
    described = [way for way in Way if way not in _NAMING and way in table]
    definition = Definition(
        name=table.text("name"),
        profile=parse_policy_name(table.text("profile")),
        proofs=table.words("proofs", Way),
        enabled=table.flag("enabled", default=True),
        linked=table.flag("linked", default=False),
        server_keys=table.word("server_keys", ServerKeys, ServerKeys.NONE),
        key_protection=table.word("key_protection", KeyProtection) if "key_protection" in table else None,
        thing=_thing(table.table("thing")),
        foreign={way: rule for way in FOREIGN if (rule := _foreign(table.table(way))) is not None},
        claim=_claim(table.table(Way.CLAIM)),
        approval=_approval(table.table(Way.APPROVAL)),
        limits=_limits(table.table("limits")),
    )
    _check_options(definition, described)
    table.finish()
    _check(definition)
    return definition


def _thing(table: TomlTable | None) -> ThingRule:
    if table is None:
        return ThingRule()
    attributes = table.table("attributes")
    rule = ThingRule(
        name=table.text("name") if "name" in table else None,
        create=table.flag("create", default=False),
        type=parse_type_name(table.text("type")) if "type" in table else None,
        attributes=attributes.all_texts() if attributes is not None else {},
        policies=tuple(parse_policy_name(each) for each in table.texts("policies", ())),
        allowed=table.texts("allowed") if "allowed" in table else None,
    )
    table.finish()
    for pair in rule.attributes.items():
        parse_attribute(*pair)
    for each in rule.allowed or ():
        parse_thing_name(each.removesuffix("*") or "x")
    return rule


def _foreign(table: TomlTable | None) -> ForeignRule | None:
    if table is None:
        return None
    rule = ForeignRule(table.texts("issuers", ()), _optional(table, "serials"))
    table.finish()
    return rule


def _claim(table: TomlTable | None) -> ClaimRule:
    if table is None:
        return ClaimRule()
    rule = ClaimRule(table.text("profile", "claim"), _optional(table, "certificates"))
    table.finish()
    return rule


def _approval(table: TomlTable | None) -> ApprovalRule:
    if table is None:
        return ApprovalRule()
    rule = ApprovalRule(table.duration("lifetime", "7d"), table.duration("retry", "1m"))
    table.finish()
    return rule


def _limits(table: TomlTable | None) -> LimitRule:
    if table is None:
        return LimitRule()
    rule = LimitRule(
        per_thing=table.number("per_thing", LimitRule().per_thing),
        per_address=table.number("per_address") if "per_address" in table else None,
        total=table.number("total") if "total" in table else None,
    )
    table.finish()
    for place, bound in (("per_thing", rule.per_thing), ("per_address", rule.per_address), ("total", rule.total)):
        _require(bound is None or bound >= 1, f"limits.{place}", "must be 1 or more")
    return rule


def _optional(table: TomlTable, key: str) -> frozenset[str] | None:
    return frozenset(table.texts(key)) if key in table else None


def _check_options(definition: Definition, described: Sequence[Way]) -> None:
    """Refuse options of ways that are not asked for: who wrote them believes that they count."""
    for way in described:
        _require(way in definition.proofs, way, "is not among the proofs", f'add "{way}" to proofs')


def _check(definition: Definition) -> None:
    proofs, rule = definition.proofs, definition.thing
    _require(bool(_NAME.fullmatch(definition.name)), "name", "must be 1 to 64 of a-z, 0-9 and '-'")
    _require(definition.name not in _RESERVED, "name", "is a path of EST itself")
    _require(bool(proofs), "proofs", "nobody could come", "to close it, say enabled = false")
    _require(
        len(_BY_CERTIFICATE & set(proofs)) <= 1, "proofs", "one connection shows one certificate", "ask for one of them"
    )
    _require(
        definition.server_keys is ServerKeys.NONE or Way.APPROVAL not in proofs,
        "server_keys",
        "a key that is made here is kept by nobody while a person is waited for",
    )
    _require(
        definition.server_keys is ServerKeys.NONE or definition.key_protection is None,
        "key_protection",
        "keys that are made here are in no chip of the device",
        "leave out one of server_keys and key_protection",
    )
    if rule.name is not None:
        facts = _facts_of(rule.name)
        _require(
            facts <= _FACTS, "thing.name", "is made of something unknown", f"use {{{'}, {'.join(sorted(_FACTS))}}}"
        )
        needs = facts - {"request"}
        shown = not needs or not _BY_CERTIFICATE.isdisjoint(proofs)
        _require(shown, "thing.name", "is made of a certificate that no proof shows")
        _require(bool(facts), "thing.name", "is the same for all")
    _require(rule.name is not None or not _NAMING.isdisjoint(proofs), "thing.name", "is missing, and no proof names it")
    _require(
        rule.create or not (rule.type or rule.attributes or rule.policies), "thing", "says what no new thing will have"
    )


def _facts_of(rule: str) -> set[str]:
    try:
        parts = list(Formatter().parse(rule))
    except ValueError:
        raise _malformed("thing.name", "cannot be read", "write it as cam-{serial}") from None
    plain = all(not spec and conversion is None for _, fact, spec, conversion in parts if fact is not None)
    _require(plain, "thing.name", "cannot be read", "write it as cam-{serial}")
    parse_thing_name("".join(text for text, *_ in parts) or "x")
    return {fact for _, fact, *_ in parts if fact is not None}


def _require(holds: bool, place: str, what: str, hint: str | None = None) -> None:
    require(holds, place, what, hint, document=_DOCUMENT)


def _malformed(place: str, what: str, hint: str) -> Fault:
    return Fault(Kind.MALFORMED, f"{_DOCUMENT}: {place}: {what}", hint=hint)
