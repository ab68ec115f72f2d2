"""Policies, connections and requests by hypothesis: nearly all valid, and of few words, so that they often meet.

Documents and connections are made as JSON in the schema of the decided cases: what hypothesis shrinks a disagreement to
is a case for ``vectors/`` as it stands.
"""

import json
import re
from typing import Any, TypeVar

from hypothesis import strategies as st

from troth.names import Realm
from troth.policy.actions import Action
from troth.policy.attachment import NamedPolicy
from troth.policy.context import ConnectionContext, connection_keys
from troth.policy.document import parse_document
from troth.policy.elements import parse_json
from troth.policy.pattern import fold
from troth.policy.situation import context_members, read_context

Json = dict[str, Any]
T = TypeVar("T")

HOT = ("iot:Publish", "iot:RetainPublish", "iot:Subscribe", "iot:Receive", "iot:Connect")
BEFORE, NEW_YEAR, AFTER = "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"
NEW_YEAR_S = "1767225600"


def mix(*choices: tuple[int, st.SearchStrategy[T]]) -> st.SearchStrategy[T]:
    """Choose among strategies, each as often as its weight says: ``|`` takes a strategy that is given twice once."""
    weighted = [strategy for weight, strategy in choices for _ in range(weight)]
    return st.integers(0, len(weighted) - 1).flatmap(weighted.__getitem__)


# What is asked.

_COMMON = st.sampled_from(["a", "b", "a/b", "lamp-9", "lamp-9/a"])
NAMES = mix(
    (3, _COMMON),
    (1, st.text("ab/:*", max_size=4)),
    (1, st.sampled_from(["a/lamp-9", "?", "+/#", "${iot:ClientId}", "x:topic/a", "a\u00e9", NEW_YEAR_S])),
)
REQUESTS = st.tuples(st.sampled_from((*HOT, *HOT, *Action)), NAMES)

# Patterns.

_VARIABLES = (
    "${iot:ClientId}",
    "${iot:ClientId}",
    "${IOT:CLIENTID}",
    "${iot:Connection.Thing.ThingName}",
    "${iot:Connection.Thing.ThingName}",
    "${iot:Connection.Thing.ThingTypeName}",
    "${iot:Connection.Thing.Attributes[room]}",
    "${iot:Certificate.Subject.CommonName}",
    "${iot:Certificate.Subject.CommonName}",
    "${iot:Certificate.Subject.OrganizationalUnit.1}",
    "${iot:Certificate.Subject.OrganizationalUnit.List}",
    "${aws:EpochTime}",
    "${no:Such}",
    "${*}",
    "${?}",
    "${$}",
)
_CHARACTERS = st.sampled_from(("a", "b", "/", ":", "lamp-9", "$", "+", "*", "*", "?"))
_PIECES = mix((2, _CHARACTERS), (1, st.sampled_from(_VARIABLES)))
_PATTERNS = mix((2, st.lists(_PIECES, min_size=1, max_size=4).map("".join)), (1, st.sampled_from(_VARIABLES)))
_LITERALS = NAMES.filter(lambda name: "${" not in name)
_ARN_STARTS = st.sampled_from(
    ["arn:aws:iot:local:000000000000:"] * 6
    + ["arn:aws:iot:*:*:", "arn:aws:iot:local:*:", "arn:*:iot:loc?l:000000000000:", "arn:aws:iot:other:000000000000:"]
)
_TYPES = st.sampled_from(["topic/"] * 4 + ["topicfilter/", "client/", "thing/", "topic", "*", ""])
ARNS = st.builds("{}{}{}".format, _ARN_STARTS, _TYPES, mix((4, _PATTERNS), (2, _LITERALS), (1, st.just("*"))))
RESOURCES = mix((8, ARNS), (1, st.sampled_from(["*", "arn:aws:iot:*"])))

# Conditions: for each kind of value the operators, the policies' values and the keys that have such values.

_STRINGS = ("Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike")
_ORDERS = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
_ATTACHED = "${iot:Connection.Thing.IsAttached}"
_FLAG = "${iot:Connection.Thing.Attributes[flag]}"
_NUMBERS = ("7", "7.0", "8", "-1", "1.3", "90", NEW_YEAR_S)
_KINDS: dict[str, tuple[tuple[str, ...], st.SearchStrategy[str], tuple[str, ...]]] = {
    "text": (
        tuple(f"String{each}" for each in _STRINGS),
        _PATTERNS | st.sampled_from(["lamp-9", "LAMP-9", "a", "A", "ops", "OPS", "token"]),
        (
            "iot:ClientId",
            "iot:ClientId",
            "iot:clientID",
            "iot:Connection.Thing.ThingName",
            "iot:Connection.Thing.ThingTypeName",
            "iot:Connection.Thing.Attributes[room]",
            "iot:connection.thing.attributes[ROOM]",
            "iot:DomainName",
            "iot:CertificateId",
            "iot:Certificate.Subject.CommonName",
            "iot:Certificate.Subject.OrganizationalUnit",
            "iot:Certificate.Subject.OrganizationalUnit.1",
            "iot:Certificate.Subject.AlternativeName.DNSName",
            "troth:EnrollmentMethod",
            "troth:KeyProtection",
            "troth:Consent",
            "troth:MessageSigned",
            "no:Such",
        ),
    ),
    "list": (
        tuple(f"String{each}" for each in _STRINGS),
        _PATTERNS | st.sampled_from(["ops", "admin", "PersistentConnect", "LastWill"]),
        ("iot:ConnectAttributes", "iot:Certificate.Subject.OrganizationalUnit.List", "iot:Certificate.AvailableKeys"),
    ),
    "number": (
        tuple(f"Numeric{each}" for each in _ORDERS),
        st.sampled_from(_NUMBERS),
        (
            "iot:Connection.Thing.Attributes[level]",
            "iot:Certificate.SerialNumber",
            "troth:TlsVersion",
            "troth:CertificateAgeDays",
            "troth:CertificateDaysLeft",
            "aws:EpochTime",
        ),
    ),
    "date": (
        tuple(f"Date{each}" for each in _ORDERS),
        st.sampled_from([BEFORE, NEW_YEAR, AFTER, "2026", "2026-01", "2026-01-01T01:00:00+01:00", NEW_YEAR_S]),
        ("aws:CurrentTime", "aws:EpochTime"),
    ),
    "flag": (
        ("Bool",),
        st.sampled_from(["true", "false", "TRUE", _ATTACHED, _FLAG]),
        ("iot:Connection.Thing.IsAttached", "iot:Connection.Thing.Attributes[flag]"),
    ),
    "address": (
        ("IpAddress", "NotIpAddress"),
        st.sampled_from(["192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "::ffff:192.0.2.0/120", "198.51.100.0/24"]),
        ("aws:SourceIp",),
    ),
    "arn": (
        ("ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"),
        ARNS | st.sampled_from(["arn:aws:iot:*:*:topic/*", "arn:aws:iot:local:*:topic/${iot:ClientId}"]),
        ("iot:LastWillTopic",),
    ),
    "bytes": (
        ("BinaryEquals",),
        st.sampled_from(["aGk=", "aGl=", ""]),
        ("iot:Connection.Thing.Attributes[blob]",),
    ),
}
_ALL_KEYS = tuple(key for _, _, keys in _KINDS.values() for key in keys)


def _one_or_many(values: st.SearchStrategy[str], min_size: int) -> st.SearchStrategy[Any]:
    return mix((2, values), (1, st.lists(values, min_size=min_size, max_size=3)))


def _compared(keys: tuple[str, ...], values: st.SearchStrategy[str]) -> st.SearchStrategy[Json]:
    return st.dictionaries(st.sampled_from(keys), _one_or_many(values, 0), min_size=1, max_size=2)


def _condition(kind: str) -> st.SearchStrategy[Json]:
    """One operator that compares one or two keys, most of them with values of a kind that it can compare."""
    operators, values, keys = _KINDS[kind]
    names = st.builds(
        "{}{}{}".format,
        st.sampled_from(("", "", "", "ForAllValues:", "ForAnyValue:")),
        st.sampled_from(operators),
        st.sampled_from(("", "", "IfExists")),
    )
    fitting, any_keys = _compared(keys, values), _compared(_ALL_KEYS, values)
    return st.builds(lambda name, compared: {name: compared}, names, mix((4, fitting), (1, any_keys)))


_PRESENCE = st.builds(lambda compared: {"Null": compared}, _compared(_ALL_KEYS, st.sampled_from(["true", "false"])))
CONDITIONS = st.one_of(*map(_condition, _KINDS), _PRESENCE)
_ANY_CONDITIONS = mix((1, st.just([])), (1, st.lists(CONDITIONS, min_size=1, max_size=2)))
_OF_TIME = st.builds(
    lambda order, value: [{f"Date{order}": {"aws:CurrentTime": value}}],
    st.sampled_from(_ORDERS),
    st.sampled_from([BEFORE, NEW_YEAR, AFTER]),
)

# Statements and documents.

_ACTIONS = st.sampled_from(
    ["iot:Publish", "iot:*Publish", "iot:Receive", "iot:Subscribe", "iot:Connect", "*", "iot:*", "IOT:PUB*", "s3:*"]
)


def statements(*effects: str, conditions: st.SearchStrategy[list[Json]] = _ANY_CONDITIONS) -> st.SearchStrategy[Json]:
    """Return valid statements with one of the effects."""
    return st.builds(
        lambda effect, action, actions, resource, resources, conditions: {
            "Effect": effect,
            action: actions,
            resource: resources,
            "Condition": {name: compared for each in conditions for name, compared in each.items()},
        },
        st.sampled_from(effects),
        st.sampled_from(["Action"] * 6 + ["NotAction"]),
        mix((1, st.just("*")), (3, _one_or_many(_ACTIONS, 1))),
        st.sampled_from(["Resource"] * 4 + ["NotResource"]),
        _one_or_many(RESOURCES, 1),
        conditions,
    )


def _document(version: str | None, written: list[Json]) -> Json:
    if version == "2012-10-17":
        return {"Version": version, "Statement": written}
    # There a variable is text, and no text but two can be compared by Bool.
    plain = json.loads(json.dumps(written).replace(_ATTACHED, "true").replace(_FLAG, "false"))
    return {"Statement": plain} | ({} if version is None else {"Version": version})


DOCUMENTS = st.builds(
    _document,
    st.sampled_from(["2012-10-17"] * 5 + ["2008-10-17", None]),
    st.lists(statements("Allow", "Allow", "Deny"), min_size=1, max_size=4),
)
TIMELY = st.builds(
    _document,
    st.just("2012-10-17"),
    st.lists(statements("Allow", "Deny", conditions=mix((2, _OF_TIME), (1, _ANY_CONDITIONS))), min_size=1, max_size=4),
)
"""Documents that say otherwise at other times."""


# Connections.

_TEXTS = st.sampled_from(["lamp-9", "a", "b", "A", "a/b", "x"])
_ODD = st.sampled_from(["*", "?", "a*", "+", "#", "$", "${iot:ClientId}", "a=b,c", "a:b", "x" * 1024, "x" * 1025, ""])
_MOMENTS = st.sampled_from([BEFORE, NEW_YEAR, AFTER])
_OPTIONAL = {"certificate", "thing", "clientId"}


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return mix((1, st.none()), (4, values))


THINGS = st.fixed_dictionaries(
    {"name": st.sampled_from(["lamp-9", "lamp-9", "a"])},
    optional={
        "type": _maybe(_TEXTS),
        "attributes": st.fixed_dictionaries(
            {},
            optional={
                "room": _TEXTS | _ODD,
                "ROOM": _TEXTS,
                "level": st.sampled_from([*_NUMBERS, "many", "192.0.2.7"]),
                "flag": st.sampled_from(["true", "false", "yes"]),
                "blob": st.sampled_from(["aGk=", "aGl=", "?"]),
            },
        ),
        "attached": st.sampled_from([True, True, False]),
        "exclusive": st.booleans(),
    },
)
CERTIFICATES = st.fixed_dictionaries(
    {"id": st.just("9f" * 32)},
    optional={
        "serialNumber": st.sampled_from(["1007", "7"]),
        "subject": st.fixed_dictionaries(
            {},
            optional={
                "CommonName": st.lists(mix((1, _TEXTS), (1, _ODD)), min_size=1, max_size=2),
                "OrganizationalUnit": st.lists(st.sampled_from(["ops", "admin", "a", "*"]), max_size=6),
            },
        ),
        "san": st.fixed_dictionaries({}, optional={"DNSName": st.lists(_TEXTS, max_size=2)}),
    },
)
CONTEXTS = st.fixed_dictionaries(
    {
        "certificate": CERTIFICATES,
        "thing": _maybe(THINGS),
        "sourceIp": st.sampled_from(["192.0.2.7", "192.0.3.1", "2001:db8::1", "::ffff:192.0.2.7"]),
    },
    optional={
        "clientId": mix((3, st.just("lamp-9")), (1, st.none()), (2, _TEXTS | _ODD)),
        "protocol": st.sampled_from(["mqtt", "mqtt", "https"]),
        "domainName": _TEXTS,
        "connectAttributes": st.lists(st.sampled_from(["PersistentConnect", "LastWill"]), unique=True),
        "lastWillTopic": NAMES,
        "currentTime": _MOMENTS,
        "tlsVersion": st.sampled_from(["1.2", "1.3"]),
        "notBefore": st.sampled_from(["2025-12-31T00:00:00Z", "2025-10-03T00:00:00Z"]),
        "notAfter": st.sampled_from(["2026-01-08T00:00:00Z", "2026-03-31T00:00:00Z"]),
        "enrollmentMethod": st.sampled_from(["token", "ceremony"]),
        "keyProtection": st.sampled_from(["tpm", "hsm"]),
    },
)


def policies_of(written: list[Json]) -> list[NamedPolicy]:
    """The documents as policies, each under a name of its own."""
    return [NamedPolicy(f"p{number}", parse_document(json.dumps(each))) for number, each in enumerate(written)]


def context_of(described: Json) -> ConnectionContext:
    """The connection that the JSON describes."""
    return read_context(context_members(parse_json(json.dumps(described)), ""), "", Realm())


def likely_requests(written: list[Json], context: ConnectionContext) -> list[tuple[str, str]]:
    """Requests that the documents could be about: for each of their resources one with something for each wildcard."""
    keys = connection_keys(context)
    stands_for = {"*": "a/", "?": "b", "${*}": "*", "${?}": "?", "${$}": "$"}
    stands_for |= {each: keys.variable(fold(each[2:-1])) or "" for each in _VARIABLES if len(each) > len("${*}")}
    replaced = re.compile("|".join(re.escape(text) for text in sorted(stands_for, key=len, reverse=True)))
    found: dict[tuple[str, str], None] = {}
    for document in written:
        for statement in document["Statement"]:
            resources = statement.get("Resource", statement.get("NotResource"))
            for resource in [resources] if isinstance(resources, str) else resources:
                kind, _, name = resource.split(":", 5)[-1].partition("/")
                name = replaced.sub(lambda match: stands_for[match[0]], name)
                for action in {"topicfilter": HOT[2:3], "client": HOT[4:5]}.get(kind, HOT[:1] + HOT[3:4]):
                    found[action, name] = None
    return list(found)


def case_of(written: list[Json], described: Json, request: tuple[str, str], expect: str) -> str:
    """The same as a decided case, to be kept in ``vectors/``."""
    action, name = request
    realm = {"partition": "aws", "region": "local", "account": "000000000000"}
    case = {
        "policies": written,
        "context": realm | described,
        "request": {"action": action, "resource": name},
        "expect": expect,
    }
    return json.dumps(case)
