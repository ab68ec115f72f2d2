from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.unit.policy.samples import CERTIFICATE, CERTIFICATE_ID, CONTEXT, THING

from troth.limits import CERTIFICATE_ATTRIBUTE_VALUES_MAX
from troth.policy.actions import Action
from troth.policy.context import (
    ConnectionContext,
    RequestKeys,
    Thing,
    connection_keys,
    keys_at,
    request_keys,
    resolve_thing,
)
from troth.policy.pattern import fold


def values(context: ConnectionContext, name: str, action: Action = Action.PUBLISH) -> tuple[str, ...]:
    return keys(context, action).values(fold(name))


def keys(context: ConnectionContext, action: Action = Action.PUBLISH) -> RequestKeys:
    return request_keys(connection_keys(context), context, action)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("iot:ClientId", ("lamp-9",)),
        ("aws:SourceIp", ("192.0.2.7",)),
        ("iot:DomainName", ("home.example",)),
        ("iot:Connection.Thing.ThingName", ("lamp-9",)),
        ("iot:Connection.Thing.ThingTypeName", ("Lamp",)),
        ("iot:Connection.Thing.Attributes[room]", ("a",)),
        ("iot:Connection.Thing.Attributes[hall]", ()),
        ("iot:Connection.Thing.IsAttached", ("true",)),
        ("iot:CertificateId", (CERTIFICATE_ID,)),
        ("iot:Certificate.SerialNumber", ("1007",)),
        ("iot:Certificate.Subject.CommonName", ("lamp-9",)),
        ("iot:Certificate.Subject.OrganizationalUnit", ("ops",)),
        ("iot:Certificate.Subject.OrganizationalUnit.0", ()),
        ("iot:Certificate.Subject.OrganizationalUnit.1", ("admin",)),
        ("iot:Certificate.Subject.OrganizationalUnit.2", ()),
        ("iot:Certificate.Subject.OrganizationalUnit.List", ("ops", "admin")),
        ("iot:Certificate.Subject.Country", ()),
        ("iot:Certificate.Subject.Country.List", ()),
        ("iot:Certificate.Issuer.CommonName", ("Home devices CA 1",)),
        ("iot:Certificate.Subject.AlternativeName.DNSName", ("lamp-9.home.example",)),
        ("iot:Certificate.Issuer.AlternativeName.DNSName", ()),
        ("iot:Thing.ThingName", ()),
        ("troth:TlsVersion", ("1.3",)),
        ("troth:EnrollmentMethod", ("token",)),
        ("troth:KeyProtection", ("tpm",)),
        ("troth:CertificateAgeDays", ()),
        ("troth:CertificateDaysLeft", ()),
        ("troth:MessageSigned", ("false",)),
        ("troth:Consent", ()),
        ("aws:CurrentTime", ()),
        ("iot:ConnectAttributes", ()),
        ("iot:LastWillTopic", ()),
    ],
)
def test_the_catalogue(name: str, expected: tuple[str, ...]) -> None:
    context = replace(
        CONTEXT, domain_name="home.example", tls_version="1.3", enrollment_method="token", key_protection="tpm"
    )
    assert values(context, name) == expected
    assert values(context, name.swapcase().replace("ROOM", "room").replace("HALL", "hall")) == expected


def test_keys_of_several_values_are_not_variables() -> None:
    context = replace(CONTEXT, connect_attributes=("LastWill",))
    found = keys(context, Action.CONNECT)
    assert found.variable("iot:connectattributes") is None
    assert found.variable("iot:certificate.subject.commonname.list") is None


def test_the_connect_is_seen_by_connect_alone() -> None:
    context = replace(CONTEXT, connect_attributes=("PersistentConnect", "LastWill"), last_will_topic="w/x")
    will = ("arn:aws:iot:local:000000000000:topic/w/x",)
    assert values(context, "iot:ConnectAttributes", Action.CONNECT) == ("PersistentConnect", "LastWill")
    assert values(context, "iot:LastWillTopic", Action.CONNECT) == will
    assert values(context, "iot:ConnectAttributes") == ()
    assert values(context, "iot:LastWillTopic") == ()


def test_client_id_and_thing_are_known_over_mqtt_only() -> None:
    context = replace(CONTEXT, protocol="https")
    for name in ("iot:ClientId", "iot:Connection.Thing.ThingName", "iot:Connection.Thing.IsAttached"):
        assert values(context, name) == ()
    assert values(context, "iot:CertificateId") == (CERTIFICATE_ID,)


def test_without_a_thing() -> None:
    context = replace(CONTEXT, thing=None)
    assert values(context, "iot:Connection.Thing.IsAttached") == ("false",)
    assert values(context, "iot:Connection.Thing.ThingName") == ()


def test_case_counts_between_attributes_and_not_elsewhere() -> None:
    context = replace(CONTEXT, thing=Thing("t", None, {"Room": "A", "room": "b", "Floor": "1", "X": "1", "xX": "2"}))
    assert values(context, "IOT:Connection.thing.ATTRIBUTES[Room]") == ("A",)
    assert values(context, "iot:Connection.Thing.Attributes[room]") == ("b",)
    assert values(context, "iot:Connection.Thing.Attributes[FLOOR]") == ("1",)
    twins = replace(CONTEXT, thing=Thing("t", None, {"Room": "A", "ROOM": "b"}))
    assert values(twins, "iot:Connection.Thing.Attributes[rOOM]") == ()
    assert values(context, "iot:Connection.Thing.Attributes[ROOM]") == ()


def test_special_characters_in_certificate_attributes_are_escaped() -> None:
    certificate = replace(
        CERTIFICATE,
        subject={"Organization": (',"\\+=<>;*',)},
        san={"DirectoryName": ("cn=a\\, b,c=US",), "DNSName": ("a=b",)},
    )
    context = replace(CONTEXT, certificate=certificate)
    assert values(context, "iot:Certificate.Subject.Organization") == ('\\,\\"\\\\\\+\\=\\<\\>\\;*',)
    assert values(context, "iot:Certificate.Subject.AlternativeName.DNSName") == ("a\\=b",)
    # This one is made of escaped parts already.
    assert values(context, "iot:Certificate.Subject.AlternativeName.DirectoryName") == ("cn=a\\, b,c=US",)


def test_so_many_values_of_an_attribute_are_kept() -> None:
    units = tuple(f"u{number}" for number in range(CERTIFICATE_ATTRIBUTE_VALUES_MAX + 1))
    context = replace(CONTEXT, certificate=replace(CERTIFICATE, subject={"OrganizationalUnit": units}))
    assert values(context, "iot:Certificate.Subject.OrganizationalUnit.List") == units[:-1]
    assert values(context, "iot:Certificate.Subject.OrganizationalUnit.4") == ("u4",)
    assert values(context, "iot:Certificate.Subject.OrganizationalUnit.5") == ()


def test_available_keys_are_the_names_of_certificate_variables_with_values() -> None:
    assert values(CONTEXT, "iot:Certificate.AvailableKeys") == (
        "iot:Certificate.SerialNumber",
        "iot:Certificate.Subject.CommonName",
        "iot:Certificate.Subject.OrganizationalUnit",
        "iot:Certificate.Issuer.CommonName",
        "iot:Certificate.Subject.AlternativeName.DNSName",
    )


def test_time() -> None:
    moment = datetime(2026, 1, 31, 13, 0, 1, 999, tzinfo=timezone(timedelta(hours=1)))
    context = replace(CONTEXT, current_time=moment)
    assert values(context, "aws:CurrentTime") == ("2026-01-31T12:00:01Z",)
    assert values(context, "aws:EpochTime") == ("1769860801",)
    later = keys_at(datetime(2027, 1, 1, tzinfo=UTC), keys(context), context)
    assert later.values("aws:currenttime") == ("2027-01-01T00:00:00Z",)
    assert later.values("iot:clientid") == ("lamp-9",)


NOT_BEFORE = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("after", "age", "left"),
    [
        (timedelta(0), "0", "90"),
        (timedelta(hours=1), "0", "89"),
        (timedelta(days=1), "1", "89"),
        (timedelta(days=89, hours=23), "89", "0"),
        (timedelta(days=90), "90", "0"),
        (timedelta(days=90, seconds=1), "90", "-1"),
        (timedelta(seconds=-1), "-1", "90"),
    ],
)
def test_days_of_the_certificate(after: timedelta, age: str, left: str) -> None:
    context = replace(CONTEXT, not_before=NOT_BEFORE, not_after=NOT_BEFORE + timedelta(days=90))
    now = replace(context, current_time=NOT_BEFORE + after)
    assert values(now, "troth:CertificateAgeDays") == (age,)
    assert values(now, "troth:CertificateDaysLeft") == (left,)
    later = keys_at(NOT_BEFORE + after, keys(replace(now, current_time=NOT_BEFORE)), context)
    assert later.values("troth:certificateagedays") == (age,)
    assert later.values("troth:certificatedaysleft") == (left,)


def test_a_certificate_without_dates_has_no_days() -> None:
    context = replace(CONTEXT, current_time=NOT_BEFORE)
    assert values(context, "troth:CertificateAgeDays") == ()
    assert values(context, "troth:CertificateDaysLeft") == ()


OTHER = Thing("fan-2")
EXCLUSIVE = Thing("box", exclusive=True)


@pytest.mark.parametrize(
    ("attached", "client_id", "expected"),
    [
        ((), "lamp-9", None),
        ((THING, OTHER), "lamp-9", THING),
        ((THING, OTHER), "fan-2", OTHER),
        ((THING,), "Lamp-9", None),
        ((THING,), "lamp", None),
        ((THING,), None, None),
        ((EXCLUSIVE,), "session-1", EXCLUSIVE),
        ((EXCLUSIVE,), None, EXCLUSIVE),
        ((EXCLUSIVE, THING), "lamp-9", EXCLUSIVE),
        ((EXCLUSIVE, Thing("box-2", exclusive=True)), "box", None),
    ],
)
def test_the_thing_that_a_connection_is(
    attached: tuple[Thing, ...], client_id: str | None, expected: Thing | None
) -> None:
    assert resolve_thing(attached, client_id) is expected
