"""The connection that a request comes from, written as JSON: for questions that people put, and for decided cases.

Knows no policy and no file. Every member may be left out or be ``null``; a ``clientId`` that is left out is the name of
the thing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Literal

from troth.names import Realm
from troth.policy.context import ConnectionContext, Thing, resolve_thing
from troth.policy.elements import inside, items, known_members, members, refuse, shown, string
from troth.policy.statement import Document
from troth.x509.certificates import CertificateAttributes

NO_CERTIFICATE: Final = "0" * 64
"""The id of a certificate of which nothing is said."""
SOURCE_IP: Final = "127.0.0.1"
"""Where a connection comes from of which nothing is said."""

_MEMBERS: Final = (
    "partition",
    "region",
    "account",
    "protocol",
    "clientId",
    "thing",
    "certificate",
    "sourceIp",
    "domainName",
    "connectAttributes",
    "lastWillTopic",
    "currentTime",
    "tlsVersion",
    "notBefore",
    "notAfter",
    "enrollmentMethod",
    "keyProtection",
    "messageSigned",
)
_THING_MEMBERS: Final = ("name", "type", "attributes", "attached", "exclusive", "groups")
_CERTIFICATE_MEMBERS: Final = ("id", "serialNumber", "subject", "issuer", "san", "issuerAlternativeName")


def realm_of(documents: Iterable[Document]) -> Realm:
    """Return where the resources of documents are: each part of the ARN as the first of them says it that says it."""
    default = Realm()
    parts = {"partition": 1, "region": 3, "account": 4}
    found: dict[str, str] = {}
    for document in documents:
        for statement in document.statements:
            for word in statement.written.resources:
                arn = word.text.split(":", 5)
                for name, place in parts.items():
                    if len(arn) > place and arn[place] and not frozenset("*?").intersection(arn[place]):
                        found.setdefault(name, arn[place])
    return replace(default, **found)


def context_members(value: object, place: str) -> dict[str, object]:
    """Return the members of the object that describes a connection. Raises `Fault` (malformed)."""
    return known_members(value, place, _MEMBERS, {}, "known of a connection")


def read_context(
    described: Mapping[str, object], place: str, realm: Realm, groups: frozenset[str] = frozenset()
) -> ConnectionContext:
    """Return the connection that the members of an object, by `context_members`, describe.

    `realm` stands in for what it does not say of ARNs; `groups` are further groups of its thing. Raises `Fault`
    (malformed) with the place.
    """
    text = _Texts(described, place)
    things = [] if described.get("thing") is None else _things(described["thing"], inside(place, "thing"), groups)
    client_id = text.get("clientId")
    if "clientId" not in described and things and text.get("protocol") != "https":
        client_id = things[0].name
    return ConnectionContext(
        realm=Realm(
            text.get("partition") or realm.partition,
            text.get("region") or realm.region,
            text.get("account") or realm.account,
        ),
        certificate=_certificate(described.get("certificate"), inside(place, "certificate")),
        source_ip=text.get("sourceIp") or SOURCE_IP,
        protocol=_protocol(text.get("protocol"), inside(place, "protocol")),
        client_id=client_id,
        thing=resolve_thing(things, client_id),
        domain_name=text.get("domainName"),
        connect_attributes=_strings(described.get("connectAttributes"), inside(place, "connectAttributes")),
        last_will_topic=text.get("lastWillTopic"),
        current_time=text.get_time("currentTime"),
        tls_version=text.get("tlsVersion"),
        not_before=text.get_time("notBefore"),
        not_after=text.get_time("notAfter"),
        enrollment_method=text.get("enrollmentMethod"),
        key_protection=text.get("keyProtection"),
        message_signed=_bool(described.get("messageSigned"), inside(place, "messageSigned"), default=False),
    )


class _Texts:
    """Those members of an object that are texts, or null."""

    def __init__(self, given: Mapping[str, object], place: str) -> None:
        self._given = given
        self._place = place

    def get(self, name: str) -> str | None:
        """Return a text; None where it is null or left out."""
        value = self._given.get(name)
        return None if value is None else string(value, inside(self._place, name))

    def get_time(self, name: str) -> datetime | None:
        """Return a time; one without a zone is UTC."""
        text = self.get(name)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            refuse(inside(self._place, name), f"{shown(text)} is not a time", "write it as 2026-01-31T12:00:00Z")


def _protocol(text: str | None, place: str) -> Literal["mqtt", "https"]:
    if text == "https":
        return "https"
    if text not in {None, "mqtt"}:
        refuse(place, f"{shown(text or '')} is not a protocol", 'write "mqtt" or "https"')
    return "mqtt"


def _things(value: object, place: str, groups: frozenset[str]) -> list[Thing]:
    """Return the thing that the certificate is attached to, if it is."""
    given = known_members(value, place, _THING_MEMBERS, {}, "known of a thing")
    text = _Texts(given, place)
    name = text.get("name")
    if name is None:
        refuse(inside(place, "name"), "is missing", "give the thing's name")
    attributes = given.get("attributes")
    thing = Thing(
        name=name,
        type=text.get("type"),
        attributes={} if attributes is None else _texts(attributes, inside(place, "attributes")),
        exclusive=_bool(given.get("exclusive"), inside(place, "exclusive"), default=False),
        groups=groups | frozenset(_strings(given.get("groups"), inside(place, "groups"))),
    )
    return [thing] if _bool(given.get("attached"), inside(place, "attached"), default=True) else []


def _certificate(value: object, place: str) -> CertificateAttributes:
    if value is None:
        return CertificateAttributes(NO_CERTIFICATE, "", {}, {}, {}, {})
    given = known_members(value, place, _CERTIFICATE_MEMBERS, {}, "known of a certificate")
    text = _Texts(given, place)
    subject, issuer, san, issuer_alternative_name = (
        {} if given.get(name) is None else _lists(given[name], inside(place, name)) for name in _CERTIFICATE_MEMBERS[2:]
    )
    return CertificateAttributes(
        certificate_id=text.get("id") or NO_CERTIFICATE,
        serial_number=text.get("serialNumber") or "",
        subject=subject,
        issuer=issuer,
        san=san,
        issuer_alternative_name=issuer_alternative_name,
    )


def _texts(value: object, place: str) -> dict[str, str]:
    return {name: string(text, inside(place, name)) for name, text in members(value, place).items()}


def _lists(value: object, place: str) -> dict[str, tuple[str, ...]]:
    return {name: _strings(texts, inside(place, name)) for name, texts in members(value, place).items()}


def _strings(value: object, place: str) -> tuple[str, ...]:
    return () if value is None else tuple(string(item, where) for item, where in items(value, place))


def _bool(value: object, place: str, *, default: bool) -> bool:
    if value is None:
        return default
    if not isinstance(value, bool):
        refuse(place, "is neither true nor false", "write true or false, without quotes")
    return value
