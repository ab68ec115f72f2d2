"""The condition keys and policy variables that exist, and why one of them has no value for a request.

Says what `troth.policy.context` can give; a test holds the two together. AWS IoT developer guide: "Basic", "Thing" and
"X.509 certificate policy variables". The keys that begin with ``troth:`` are our own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from troth.limits import CERTIFICATE_ATTRIBUTE_VALUES_MAX
from troth.policy.actions import Action
from troth.policy.context import ConnectionContext

ATTRIBUTES: Final = "iot:connection.thing.attributes["
"""How the folded name of the key of a thing's attribute begins."""
THING: Final = "iot:connection.thing."
"""How the folded names of all keys of the thing begin."""
CERTIFICATE: Final = "iot:certificate"
"""How the folded names of all keys of the certificate begin."""
CLIENT_ID: Final = "iot:clientid"
IS_ATTACHED: Final = "iot:connection.thing.isattached"
CONNECT_KEYS: Final = frozenset({"iot:connectattributes", "iot:lastwilltopic"})
"""Folded names of the keys that only a CONNECT has."""

_SUBJECT: Final = (
    "DistinguishedNameQualifier",
    "Country",
    "Organization",
    "OrganizationalUnit",
    "State",
    "CommonName",
    "SerialNumber",
    "Title",
    "Surname",
    "GivenName",
    "Initials",
    "Pseudonym",
    "GenerationQualifier",
)
_ALTERNATIVE: Final = ("RFC822Name", "DNSName", "DirectoryName", "UniformResourceIdentifier", "IPAddress")
_CERTIFICATE_NAMES: Final = tuple(
    f"iot:Certificate.{side}.{name}"
    for side in ("Subject", "Issuer")
    for name in (*_SUBJECT, *(f"AlternativeName.{each}" for each in _ALTERNATIVE))
)
_SINGLE: Final = (
    "aws:SourceIp",
    "aws:CurrentTime",
    "aws:EpochTime",
    "iot:ClientId",
    "iot:DomainName",
    "iot:LastWillTopic",
    "iot:Connection.Thing.ThingName",
    "iot:Connection.Thing.ThingTypeName",
    "iot:Connection.Thing.IsAttached",
    "iot:CertificateId",
    "iot:Certificate.SerialNumber",
    "troth:TlsVersion",
    "troth:CertificateAgeDays",
    "troth:CertificateDaysLeft",
    "troth:EnrollmentMethod",
    "troth:KeyProtection",
    "troth:Consent",
    "troth:MessageSigned",
    *_CERTIFICATE_NAMES,
    *(f"{name}.{place}" for name in _CERTIFICATE_NAMES for place in range(1, CERTIFICATE_ATTRIBUTE_VALUES_MAX)),
)
_MULTIPLE: Final = (
    "iot:ConnectAttributes",
    "iot:Certificate.AvailableKeys",
    *(f"{name}.List" for name in _CERTIFICATE_NAMES),
)
NEVER: Final[Mapping[str, str]] = {
    "troth:consent": "it is reserved and has no value yet",
}
"""The keys, by folded name, that exist and have no value yet, and why."""
_ABSENT: Final[Mapping[str, str]] = {
    **NEVER,
    "iot:domainname": "the client asked for no server name",
    "troth:enrollmentmethod": "it is not known how the certificate came to be",
    "troth:keyprotection": "nobody has asserted what protects the key",
}
_RENAMED: Final[Mapping[str, str]] = {
    "iot:thing.thingname": "iot:Connection.Thing.ThingName",
    "iot:thingname": "iot:Connection.Thing.ThingName",
    "thingname": "iot:Connection.Thing.ThingName",
    "iot:thing.isattached": "iot:Connection.Thing.IsAttached",
    "clientid": "iot:ClientId",
    "credentials-iot:thingname": "iot:Connection.Thing.ThingName",
    "credentials-iot:thingtypename": "iot:Connection.Thing.ThingTypeName",
    "credentials-iot:awscertificateid": "iot:CertificateId",
}
"""What people write for a key that exists, where spelling alone would not lead to it."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that a request can have."""

    name: str
    """As the documentation spells it."""
    multiple: bool
    """It can have several values, and is then no variable."""


_KEYS: Final[Mapping[str, Key]] = {
    **{name.lower(): Key(name, multiple=False) for name in _SINGLE},
    **{name.lower(): Key(name, multiple=True) for name in _MULTIPLE},
}


def find_key(name: str) -> Key | None:
    """Return the key with this folded name; None where no request ever has it."""
    if name.startswith(ATTRIBUTES) and name.endswith("]") and len(name) > len(ATTRIBUTES) + 1:
        return Key(f"iot:Connection.Thing.Attributes[{name[len(ATTRIBUTES) : -1]}]", multiple=False)
    return _KEYS.get(name)


def suggest_key(name: str) -> str | None:
    """Return the key that is probably meant by a folded name that is none."""
    if name in _RENAMED:
        return _RENAMED[name]
    near = get_close_matches(name.lower()[:80], _KEYS, n=1, cutoff=0.8)
    return _KEYS[near[0]].name if near else None


def why_absent(name: str, context: ConnectionContext, action: Action) -> str:
    """Return why the key with this folded name, which a request does not have, is absent."""
    key = find_key(name)
    if key is None:
        return "there is no such key"
    if name in CONNECT_KEYS:
        what = "the CONNECT asked for none of them" if key.multiple else "the CONNECT has no will"
        return what if action is Action.CONNECT else f"only {Action.CONNECT} has it"
    if name.startswith(THING):
        return _why_not_of_thing(name, key, context)
    if name == CLIENT_ID:
        return "there is no client id over HTTPS" if context.protocol == "https" else "there is no client id"
    if name.startswith(CERTIFICATE):
        return "the certificate does not have it"
    return _ABSENT.get(name, "it is not known for this request")


def why_not_variable(name: str, context: ConnectionContext, action: Action) -> str:
    """Return why the variable with this folded name has no value for a request."""
    key = find_key(name)
    if key is not None and key.multiple:
        return "a key of several values is no variable"
    return why_absent(name, context, action)


def _why_not_of_thing(name: str, key: Key, context: ConnectionContext) -> str:
    if context.protocol == "https":
        return "a thing is known over MQTT only"
    if context.thing is None:
        return "the client id is not the name of a thing that the certificate is attached to"
    if name.startswith(ATTRIBUTES):
        return f"thing {context.thing.name} has no attribute {key.name.partition('[')[2][:-1]}"
    return f"thing {context.thing.name} has no type"
