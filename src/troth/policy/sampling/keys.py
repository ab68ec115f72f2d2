"""A connection with another value for one key: the way back from a condition key to what makes it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from troth.policy.catalogue import ATTRIBUTES, CERTIFICATE, IS_ATTACHED, THING, find_key
from troth.policy.context import ConnectionContext, Thing
from troth.x509.certificates import CertificateAttributes

_Set = Callable[[ConnectionContext, str], ConnectionContext]

_SECTIONS: Final = (
    ("Subject.AlternativeName.", "san"),
    ("Issuer.AlternativeName.", "issuer_alternative_name"),
    ("Subject.", "subject"),
    ("Issuer.", "issuer"),
)
SAMPLE_THING: Final = "sample-thing"
"""The name of the thing that a made-up connection is."""
NOBODY: Final = "sample-client"
"""The client id of one that is none."""


def with_key(context: ConnectionContext, name: str, value: str) -> ConnectionContext | None:
    """Return the connection with `value` for the key with this folded name; None where it cannot have it."""
    try:
        if name.startswith(THING):
            return _with_thing(context, name, value)
        if name.startswith(CERTIFICATE):
            return _with_certificate(context, name, value)
        return _SETTERS[name](context, value) if name in _SETTERS else None
    except (ValueError, OverflowError):
        return None  # no such time, no such number


def _with_thing(context: ConnectionContext, name: str, value: str) -> ConnectionContext | None:
    thing = context.thing or Thing(SAMPLE_THING)
    if name == IS_ATTACHED:
        attached = value.lower() == "true"
        return replace(context, thing=thing if attached else None, client_id=thing.name if attached else NOBODY)
    if name == f"{THING}thingname":
        thing = replace(thing, name=value)
    elif name == f"{THING}thingtypename":
        thing = replace(thing, type=value)
    elif name.startswith(ATTRIBUTES):
        thing = replace(thing, attributes={**thing.attributes, name[len(ATTRIBUTES) : -1]: value})
    else:
        return None
    return replace(context, thing=thing, client_id=thing.name)


def _with_certificate(context: ConnectionContext, name: str, value: str) -> ConnectionContext | None:
    key = find_key(name)
    if key is None:
        return None
    if name == "iot:certificateid":
        return _certified(context, replace(context.certificate, certificate_id=value))
    if name == "iot:certificate.serialnumber":
        return _certified(context, replace(context.certificate, serial_number=value))
    attribute = key.name.removeprefix("iot:Certificate.")
    for prefix, section in _SECTIONS:
        if attribute.startswith(prefix):
            kind, _, place = attribute.removeprefix(prefix).partition(".")
            # A second value needs a first.
            made = (*("sample",) * int(place), value) if place.isdigit() else (value,)
            attributes: dict[str, Any] = {section: {**getattr(context.certificate, section), kind: made}}
            return _certified(context, replace(context.certificate, **attributes))
    return None


def _certified(context: ConnectionContext, certificate: CertificateAttributes) -> ConnectionContext:
    return replace(context, certificate=certificate)


def _with_client_id(context: ConnectionContext, value: str) -> ConnectionContext:
    same = context.thing is not None and context.thing.name == value
    return replace(context, client_id=value, thing=context.thing if same else None)


def _with_will(context: ConnectionContext, value: str) -> ConnectionContext:
    return replace(context, last_will_topic=value.split(":", 5)[-1].removeprefix("topic/"))


def _with_time(context: ConnectionContext, value: str) -> ConnectionContext:
    try:
        moment = datetime.fromtimestamp(float(value), UTC)
    except ValueError:
        moment = datetime.fromisoformat(value)
    return replace(context, current_time=moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _with_age(context: ConnectionContext, value: str) -> ConnectionContext:
    now = context.current_time
    return context if now is None else replace(context, not_before=now - timedelta(days=float(value)))


def _with_days_left(context: ConnectionContext, value: str) -> ConnectionContext:
    now = context.current_time
    return context if now is None else replace(context, not_after=now + timedelta(days=float(value)))


_SETTERS: Final[dict[str, _Set]] = {
    "aws:sourceip": lambda context, value: replace(context, source_ip=value),
    "aws:currenttime": _with_time,
    "aws:epochtime": _with_time,
    "iot:clientid": _with_client_id,
    "iot:domainname": lambda context, value: replace(context, domain_name=value),
    "iot:connectattributes": lambda context, value: replace(context, connect_attributes=(value,)),
    "iot:lastwilltopic": _with_will,
    "troth:tlsversion": lambda context, value: replace(context, tls_version=value),
    "troth:certificateagedays": _with_age,
    "troth:certificatedaysleft": _with_days_left,
    "troth:enrollmentmethod": lambda context, value: replace(context, enrollment_method=value),
    "troth:keyprotection": lambda context, value: replace(context, key_protection=value),
}
