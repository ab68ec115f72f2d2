"""What a decision may depend on beside action and resource: the connection, its thing and its certificate, as keys.

Knows no document. AWS IoT developer guide: "Basic", "Thing" and "X.509 certificate policy variables", "Exclusive
thing". Keys that begin with ``troth:`` are our own; of these, ``troth:Consent`` is reserved and never has a value.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from troth.limits import CERTIFICATE_ATTRIBUTE_VALUES_MAX
from troth.names import Realm
from troth.policy.actions import Action
from troth.x509.certificates import CertificateAttributes

_THING: Final = "iot:connection.thing."
_CERTIFICATE: Final = "iot:Certificate."
_CURRENT_TIME: Final = "aws:currenttime"
_EPOCH_TIME: Final = "aws:epochtime"
_AGE_DAYS: Final = "troth:certificateagedays"
_DAYS_LEFT: Final = "troth:certificatedaysleft"
MESSAGE_SIGNED: Final = "troth:messagesigned"
"""The folded name of the key that says whether the message is a signed reading and proven to be in its place."""
VOLATILE_KEYS: Final = frozenset({_CURRENT_TIME, _EPOCH_TIME, _AGE_DAYS, _DAYS_LEFT, MESSAGE_SIGNED})
"""Folded names of the keys whose values may change while a connection lasts: what reads them is decided for each
message. All others stay as they are until the connection ends or is admitted anew."""

_ESCAPED: Final = frozenset(',"\\+=<>;')
_RENDERED: Final = "DirectoryName"


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing that a certificate is attached to."""

    name: str
    type: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    exclusive: bool = False
    """Attached as EXCLUSIVE_THING: the certificate is this thing's whatever the client id."""
    groups: frozenset[str] = frozenset()
    """Its static groups and all their ancestors."""


def resolve_thing(attached: Iterable[Thing], client_id: str | None) -> Thing | None:
    """Return the thing that a connection is, of those its certificate is attached to; None if it is none of them.

    The exclusive one, or else the one whose name is the client id exactly. More than one exclusive thing is a
    contradiction and resolves to none.
    """
    things = tuple(attached)
    candidates = [thing for thing in things if thing.exclusive] or [t for t in things if t.name == client_id]
    return candidates[0] if len(candidates) == 1 else None


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """All that is known of a connection when a policy is asked."""

    realm: Realm
    certificate: CertificateAttributes
    source_ip: str
    protocol: Literal["mqtt", "https"] = "mqtt"
    client_id: str | None = None
    thing: Thing | None = None
    """The one that `resolve_thing` found; it is attached to the certificate, or it would not have been found."""
    domain_name: str | None = None
    """The server name that the TLS client asked for."""
    connect_attributes: tuple[str, ...] = ()
    """Of the CONNECT: ``PersistentConnect``, ``LastWill``."""
    last_will_topic: str | None = None
    """Of the CONNECT: the plain topic."""
    current_time: datetime | None = None
    tls_version: str | None = None
    """``1.2`` or ``1.3``: a number, so that it can be compared as one."""
    not_before: datetime | None = None
    """When the certificate became valid."""
    not_after: datetime | None = None
    """When it will be no more."""
    enrollment_method: str | None = None
    """How the certificate's holder proved who it is when the certificate was issued."""
    key_protection: str | None = None
    """What keeps the private key, such as ``tpm``: the word of whoever enrolled the device, never the device's own."""
    message_signed: bool = False
    """The request is to publish a message, which was verified as a signed reading; not known is no."""


@dataclass(frozen=True, slots=True)
class RequestKeys:
    """The condition keys and variables of one request. A key without values is absent."""

    single: Mapping[str, str]
    multiple: Mapping[str, tuple[str, ...]]
    any_case: Mapping[str, str] = field(default_factory=dict)
    """A thing's attributes by names in lower case, for whoever spells them otherwise than the thing does."""

    def variable(self, name: str) -> str | None:
        """Return the value of a variable by its folded name; keys of several values cannot be variables."""
        value = self.single.get(name)
        return self.any_case.get(name.lower()) if value is None else value

    def values(self, name: str) -> tuple[str, ...]:
        """Return the values of a key by its folded name; none where it is absent."""
        value = self.variable(name)
        return self.multiple.get(name, ()) if value is None else (value,)


def connection_keys(context: ConnectionContext) -> RequestKeys:
    """Return the keys that every request of this connection has; the client id and all of the thing over MQTT only."""
    single = {"aws:sourceip": context.source_ip, **_message_keys(context.message_signed)}
    multiple: dict[str, tuple[str, ...]] = {}
    any_case: dict[str, str] = {}
    given = {
        "iot:domainname": context.domain_name,
        "troth:tlsversion": context.tls_version,
        "troth:enrollmentmethod": context.enrollment_method,
        "troth:keyprotection": context.key_protection,
    }
    single |= {name: value for name, value in given.items() if value is not None}
    if context.current_time is not None:
        single |= _time_keys(context, context.current_time)
    if context.protocol == "mqtt":
        if context.client_id is not None:
            single["iot:clientid"] = context.client_id
        single |= _thing_keys(context.thing)
        any_case = {} if context.thing is None else _attributes_in_any_case(context.thing)
    _add_certificate(context.certificate, single, multiple)
    return RequestKeys(single, multiple, any_case)


def request_keys(connection: RequestKeys, context: ConnectionContext, action: Action) -> RequestKeys:
    """Return the keys of one request, given those of its connection: what the CONNECT was, `iot:Connect` alone sees."""
    if action is not Action.CONNECT:
        return connection
    single, multiple = dict(connection.single), dict(connection.multiple)
    if context.connect_attributes:
        multiple["iot:connectattributes"] = context.connect_attributes
    if context.last_will_topic is not None:
        single["iot:lastwilltopic"] = context.realm.arn("topic", context.last_will_topic)
    return RequestKeys(single, multiple, connection.any_case)


def keys_at(
    moment: datetime, keys: RequestKeys, context: ConnectionContext, *, message_signed: bool = False
) -> RequestKeys:
    """Return the keys of a request of the connection `context` as they are at another time, for another message."""
    single = {**keys.single, **_time_keys(context, moment), **_message_keys(message_signed)}
    return RequestKeys(single, keys.multiple, keys.any_case)


def _message_keys(signed: bool) -> dict[str, str]:
    return {MESSAGE_SIGNED: "true" if signed else "false"}


def _time_keys(context: ConnectionContext, moment: datetime) -> dict[str, str]:
    utc = moment.astimezone(UTC)
    keys = {
        _CURRENT_TIME: f"{utc.replace(tzinfo=None).isoformat(timespec='seconds')}Z",
        _EPOCH_TIME: str(int(utc.timestamp())),
    }
    # Whole days, those of a day that has begun not counted.
    if context.not_before is not None:
        keys[_AGE_DAYS] = str((moment - context.not_before).days)
    if context.not_after is not None:
        keys[_DAYS_LEFT] = str((context.not_after - moment).days)
    return keys


def _thing_keys(thing: Thing | None) -> dict[str, str]:
    if thing is None:
        return {f"{_THING}isattached": "false"}
    keys = {f"{_THING}isattached": "true", f"{_THING}thingname": thing.name}
    if thing.type is not None:
        keys[f"{_THING}thingtypename"] = thing.type
    keys |= {f"{_THING}attributes[{name}]": value for name, value in thing.attributes.items()}
    return keys


def _attributes_in_any_case(thing: Thing) -> dict[str, str]:
    # Case does not count in the name of a key, and does in the name of an attribute: the exact spelling wins; any other
    # finds the attribute too, unless there are several that differ in case alone.
    lower = Counter(name.lower() for name in thing.attributes)
    return {
        f"{_THING}attributes[{name.lower()}]": value
        for name, value in thing.attributes.items()
        if lower[name.lower()] == 1
    }


def _add_certificate(
    certificate: CertificateAttributes, single: dict[str, str], multiple: dict[str, tuple[str, ...]]
) -> None:
    single["iot:certificateid"] = certificate.certificate_id
    available = []
    if certificate.serial_number:
        available.append(f"{_CERTIFICATE}SerialNumber")
        single[f"{_CERTIFICATE}SerialNumber".lower()] = certificate.serial_number
    for name, values in _certificate_attributes(certificate):
        available.append(name)
        key = name.lower()
        single[key] = values[0]
        single |= {f"{key}.{place}": value for place, value in enumerate(values) if place}
        multiple[f"{key}.list"] = values
    if available:
        multiple[f"{_CERTIFICATE}AvailableKeys".lower()] = tuple(available)


def _certificate_attributes(certificate: CertificateAttributes) -> Iterator[tuple[str, tuple[str, ...]]]:
    sections = (
        ("Subject.", certificate.subject),
        ("Issuer.", certificate.issuer),
        ("Subject.AlternativeName.", certificate.san),
        ("Issuer.AlternativeName.", certificate.issuer_alternative_name),
    )
    for section, attributes in sections:
        for name, values in attributes.items():
            kept = values[:CERTIFICATE_ATTRIBUTE_VALUES_MAX]
            if kept:
                yield f"{_CERTIFICATE}{section}{name}", kept if name == _RENDERED else tuple(map(_escape, kept))


def _escape(value: str) -> str:
    if _ESCAPED.isdisjoint(value):
        return value
    return "".join(f"\\{character}" if character in _ESCAPED else character for character in value)
