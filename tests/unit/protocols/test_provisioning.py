"""Fleet provisioning's topics, requests and answers: each reads what it writes, and any other bytes are a fault."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Fault, Kind, PeerFault
from troth.limits import (
    PROVISIONING_BYTES_MAX,
    PROVISIONING_PARAMETER_CHARS_MAX,
    PROVISIONING_PARAMETERS_MAX,
    TOKEN_CHARS_MAX,
)
from troth.protocols.cbor import render_cbor
from troth.protocols.provisioning import (
    PREFIXES,
    REJECTIONS,
    Created,
    Format,
    Operation,
    Registered,
    Registration,
    Rejection,
    Topic,
    parse_create,
    parse_create_from_csr,
    parse_created,
    parse_registered,
    parse_registration,
    parse_rejection,
    parse_topic,
    rejection,
    render_answer,
    render_create_from_csr,
    render_registration,
)

texts = st.text(max_size=50)
maps = st.dictionaries(texts, texts, max_size=5)
forms = pytest.mark.parametrize("form", list(Format))
PARSERS = [parse_create, parse_create_from_csr, parse_registration, parse_created, parse_registered, parse_rejection]


def payload(form: Format, value: dict[str, object]) -> bytes:
    return json.dumps(value).encode() if form is Format.JSON else render_cbor(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("$aws/certificates/create/json", Topic(Operation.CREATE, Format.JSON, None, False)),
        ("$aws/certificates/create/cbor/accepted", Topic(Operation.CREATE, Format.CBOR, None, True)),
        ("$aws/certificates/create-from-csr/json/rejected", Topic(Operation.CREATE_FROM_CSR, Format.JSON, None, True)),
        ("$aws/provisioning-templates/T_1/provision/json", Topic(Operation.PROVISION, Format.JSON, "T_1", False)),
    ],
)
def test_topics(name: str, topic: Topic) -> None:
    assert parse_topic(name) == topic
    assert name.startswith(PREFIXES)


@pytest.mark.parametrize(
    "name",
    [
        "aws/certificates/create/json",
        "$aws/certificates/create/xml",
        "$aws/certificates/create/json/",
        "$aws/certificates/create/json\n",
        "$aws/certificates/create",
        "$aws/provisioning-templates//provision/json",
        "$aws/provisioning-templates/a/b/provision/json",
        f"$aws/provisioning-templates/{'x' * 37}/provision/json",
        "$aws/provisioning-templates/T/provision/json/other",
        "$aws/things/lamp/shadow/get",
        "",
    ],
)
def test_other_topics_are_none_of_these(name: str) -> None:
    assert parse_topic(name) is None


@forms
def test_a_request_for_a_key_is_empty(form: Format) -> None:
    parse_create(form, b"")
    parse_create(form, payload(form, {}))
    with pytest.raises(PeerFault):
        parse_create(form, payload(form, {"certificateSigningRequest": "x"}))


@forms
def test_requests_are_read_as_they_are_written(form: Format) -> None:
    assert parse_create_from_csr(form, render_create_from_csr(form, "PEM")) == b"PEM"
    asked = Registration("token", {"SerialNumber": "1", "ü": "水"})
    assert parse_registration(form, render_registration(form, asked)) == asked
    only_token = payload(form, {"certificateOwnershipToken": "t"})
    assert parse_registration(form, only_token) == Registration("t", {})


@given(texts, texts, texts, texts | st.none(), maps, st.integers(100, 599))
def test_answers_are_read_as_they_are_written(
    one: str, two: str, three: str, key: str | None, configuration: dict[str, str], status: int
) -> None:
    for form in Format:
        created = Created(one, two, three, key)
        assert parse_created(form, render_answer(form, created)) == created
        registered = Registered(one, configuration)
        assert parse_registered(form, render_answer(form, registered)) == registered
        rejected = Rejection(status, one, two)
        assert parse_rejection(form, render_answer(form, rejected)) == rejected


def test_answers_have_the_members_that_aws_gives_them() -> None:
    said = json.loads(render_answer(Format.JSON, Created("id", "pem", "token", "key")))
    assert said == {
        "certificateId": "id",
        "certificatePem": "pem",
        "certificateOwnershipToken": "token",
        "privateKey": "key",
    }
    assert "privateKey" not in json.loads(render_answer(Format.JSON, Created("id", "pem", "token")))
    said = json.loads(render_answer(Format.JSON, Registered("lamp", {"a": "b"})))
    assert said == {"deviceConfiguration": {"a": "b"}, "thingName": "lamp"}
    said = json.loads(render_answer(Format.JSON, Rejection(403, "AccessDenied", "no")))
    assert said == {"statusCode": 403, "errorCode": "AccessDenied", "errorMessage": "no"}


def test_secrets_are_not_shown() -> None:
    shown = repr((Created("id", "pem", "secret-token", "secret-key"), Registration("secret-token", {})))
    assert "secret" not in shown


@forms
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({}, Kind.MALFORMED),
        ({"certificateOwnershipToken": 1}, Kind.MALFORMED),
        ({"certificateOwnershipToken": "t", "parameters": "p"}, Kind.MALFORMED),
        ({"certificateOwnershipToken": "t", "parameters": {"a": 1}}, Kind.MALFORMED),
        ({"certificateOwnershipToken": "t", "parameters": {"a": {"b": "c"}}}, Kind.MALFORMED),
        ({"certificateOwnershipToken": "t", "parameters": {}, "more": "x"}, Kind.MALFORMED),
        ({"certificateOwnershipToken": "t" * (TOKEN_CHARS_MAX + 1)}, Kind.TOO_LARGE),
        (
            {"certificateOwnershipToken": "t", "parameters": {"a": "x" * (PROVISIONING_PARAMETER_CHARS_MAX + 1)}},
            Kind.TOO_LARGE,
        ),
        (
            {
                "certificateOwnershipToken": "t",
                "parameters": {str(at): "" for at in range(PROVISIONING_PARAMETERS_MAX + 1)},
            },
            Kind.TOO_LARGE,
        ),
    ],
)
def test_what_is_missing_too_much_or_of_another_type_is_refused(
    form: Format, value: dict[str, object], kind: Kind
) -> None:
    with pytest.raises(PeerFault) as refused:
        parse_registration(form, payload(form, value))
    assert refused.value.kind is kind


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b'"x"',
        b'{"certificateOwnershipToken":"a","certificateOwnershipToken":"b"}',
        b'{"certificateOwnershipToken":"\\ud800"}',
        b'{"certificateOwnershipToken":"t","parameters":{"\\ud800":"x"}}',
        b'{"certificateOwnershipToken":NaN}',
        b"[" * 60_000,
        b'\xff{"certificateOwnershipToken":"a"}',
        b'{"certificateOwnershipToken":"t"} ' + b" " * PROVISIONING_BYTES_MAX,
        b'{"certificateOwnershipToken":' + b"9" * 5000 + b"}",
    ],
)
def test_json_that_is_not_one_good_object_is_refused(text: bytes) -> None:
    with pytest.raises(PeerFault):
        parse_registration(Format.JSON, text)


@forms
def test_cut_at_every_byte_and_changed_at_every_byte(form: Format) -> None:
    whole = render_registration(form, Registration("token", {"a": "b"}))
    for at in range(len(whole)):
        with pytest.raises(PeerFault):
            parse_registration(form, whole[:at])
        for other in (0x00, 0x22, 0x7F, 0xFF):
            with suppress(PeerFault):
                parse_registration(form, whole[:at] + bytes((other,)) + whole[at + 1 :])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_fault(data: bytes) -> None:
    for form in Format:
        for parse in PARSERS:
            with suppress(PeerFault):
                parse(form, data)


def test_every_kind_of_fault_has_its_rejection() -> None:
    assert set(REJECTIONS) == set(Kind)
    said = rejection(Fault(Kind.FORBIDDEN, "no", detail="secret", hint="x"))
    assert said == Rejection(403, "AccessDenied", "no")
