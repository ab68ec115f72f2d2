"""The language of provisioning templates: every function, and what is refused where and with what remedy."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.enrollment.template_plan import Plan, PolicyPlan, plan
from troth.enrollment.template_resources import CERTIFICATE_ID, Override, TemplateType
from troth.enrollment.template_text import parse_template
from troth.enrollment.template_values import Mappings, evaluate, parse_value, refs
from troth.errors import Fault, Kind
from troth.limits import TEMPLATE_CHARS_MAX, TEMPLATE_DEPTH_MAX
from troth.policy.elements import parse_json

OWN = {CERTIFICATE_ID: "c" * 64}
DOCUMENT = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:local:000000000000:client/*"}],
}


def whole() -> dict[str, Any]:
    """Return a template that uses all there is; each call makes a new one."""
    return {
        "Parameters": {
            "ThingName": {"Type": "String"},
            "SerialNumber": {"Type": "String"},
            "DeviceLocation": {"Type": "String", "Default": "Seattle"},
            CERTIFICATE_ID: {"Type": "String"},
        },
        "Mappings": {"LocationTable": {"Seattle": {"LocationUrl": "https://example.aws"}}},
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {
                    "AttributePayload": {"version": "v1", "serialNumber": {"Ref": "SerialNumber"}},
                    "ThingName": {"Ref": "ThingName"},
                    "ThingTypeName": {"Fn::Join": ["", ["Type_", {"Ref": "SerialNumber"}]]},
                },
                "OverrideSettings": {"AttributePayload": "MERGE", "ThingTypeName": "REPLACE"},
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {
                    "CertificateId": {"Ref": CERTIFICATE_ID},
                    "Status": "Active",
                    "ThingPrincipalType": "EXCLUSIVE_THING",
                },
                "OverrideSettings": {"Status": "REPLACE"},
            },
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": DOCUMENT}},
            "named": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "sensors"}},
        },
        "DeviceConfiguration": {
            "FallbackUrl": "https://www.example.com/test-site",
            "LocationUrl": {"Fn::FindInMap": ["LocationTable", {"Ref": "DeviceLocation"}, "LocationUrl"]},
        },
    }


def read(template: dict[str, Any], type: TemplateType = TemplateType.FLEET_PROVISIONING, **given: str) -> Plan:
    """Read a template and work it out."""
    return plan(parse_template(json.dumps(template), type), given, OWN)


def test_a_whole_template() -> None:
    made = read(whole(), ThingName="lamp-1", SerialNumber="42")
    assert (made.thing.name, made.thing.type) == ("lamp-1", "Type_42")
    assert made.thing.attributes == {"version": "v1", "serialNumber": "42"}
    assert (made.thing.on_attributes, made.thing.on_type) == (Override.MERGE, Override.REPLACE)
    assert made.certificate is not None
    assert (made.certificate.certificate_id, made.certificate.active) == ("c" * 64, True)
    assert (made.certificate.exclusive, made.certificate.on_status) == (True, Override.REPLACE)
    assert made.configuration == {
        "FallbackUrl": "https://www.example.com/test-site",
        "LocationUrl": "https://example.aws",
    }
    unnamed, named = made.policies
    assert named == PolicyPlan("sensors", None)
    assert unnamed.document is not None
    assert json.loads(unnamed.document) == DOCUMENT
    # The same document has the same name, for every device.
    assert unnamed == read(whole(), ThingName="lamp-2", SerialNumber="1").policies[0]


@pytest.mark.parametrize(
    ("value", "comes_to"),
    [
        ("text", "text"),
        ({"Ref": "A"}, "a"),
        ({"Fn::Join": ["-", ["x", {"Ref": "A"}, "y"]]}, "x-a-y"),
        ({"Fn::Join": ["-", []]}, ""),
        ({"Fn::Join": ["+", {"Fn::Split": ["-", {"Ref": "B"}]}]}, "b+c"),
        ({"Fn::Select": ["1", ["x", {"Ref": "A"}]]}, "a"),
        ({"Fn::Select": ["0", {"Fn::Split": ["-", {"Ref": "B"}]}]}, "b"),
        ({"Fn::Select": ["1", {"Fn::FindInMap": ["M", "k", "list"]}]}, "two"),
        ({"Fn::FindInMap": ["M", {"Ref": "K"}, "text"]}, "found"),
        ({"Fn::Split": ["-", "a-b-"]}, ("a", "b", "")),
        ({"Fn::Sub": "x${A}y${!A}z$"}, "xay${A}z$"),
        ({"Fn::Sub": ["${A}${V}", {"V": {"Fn::Join": ["", ["1", "2"]]}}]}, "a12"),
        ({"Fn::Sub": ["${A}", {"A": "mine"}]}, "mine"),
    ],
)
def test_functions(value: object, comes_to: object) -> None:
    read_value = parse_value(parse_json(json.dumps(value)), "here")
    mappings: Mappings = {"M": {"k": {"text": "found", "list": ("one", "two")}}}
    assert evaluate(read_value, {"A": "a", "B": "b-c", "K": "k"}, mappings) == comes_to


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"Ref": "Nobody"}, Kind.REJECTED),
        ({"Fn::Select": ["2", ["a", "b"]]}, Kind.REJECTED),
        ({"Fn::Select": ["-1", ["a", "b"]]}, Kind.REJECTED),
        ({"Fn::Select": ["x", ["a", "b"]]}, Kind.REJECTED),
        ({"Fn::Select": ["0", []]}, Kind.REJECTED),
        ({"Fn::FindInMap": ["M", "k", "other"]}, Kind.REJECTED),
        ({"Fn::Sub": "${Nobody}"}, Kind.REJECTED),
        ({"Fn::Join": ["", {"Ref": "A"}]}, Kind.REJECTED),
        ({"Fn::Sub": "${A}" * 2000}, Kind.TOO_LARGE),
        ({"Fn::Join": ["", [{"Ref": "A"}] * 2000]}, Kind.TOO_LARGE),
        ({"Fn::Join": ["x" * 2000, ["a"] * 2000]}, Kind.TOO_LARGE),
    ],
)
def test_what_cannot_be_worked_out(value: object, kind: Kind) -> None:
    read_value = parse_value(parse_json(json.dumps(value)), "here")
    with pytest.raises(Fault) as refused:
        evaluate(read_value, {"A": "a" * 1000}, {"M": {"k": {"text": "found"}}})
    assert refused.value.kind is kind


def test_depth_is_bounded() -> None:
    value: object = "x"
    for _ in range(TEMPLATE_DEPTH_MAX + 1):
        value = {"Fn::Join": ["", [value]]}
    with pytest.raises(Fault, match="deep"):
        parse_value(parse_json(json.dumps(value)), "here")


def test_the_parameters_that_a_value_reads() -> None:
    value = parse_value(
        parse_json('{"Fn::Sub": ["${A}${V}${!W}", {"V": {"Fn::FindInMap": ["M", {"Ref": "K"}, "x"]}}]}'), "here"
    )
    assert set(refs(value)) == {"A", "K"}
    assert set(refs(value, as_keys=False)) == {"A"}


def properties(template: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"][name]["Properties"]
    return found


def change(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Return what puts a value at a place; `None` takes away what is there."""
    *steps, last = path.split("/")

    def apply(template: dict[str, Any]) -> None:
        inner = template
        for step in steps:
            inner = inner[step]
        if value is None:
            del inner[last]
        else:
            inner[last] = value

    return apply


THING, CERTIFICATE = "Resources/thing/Properties/", "Resources/certificate/Properties/"
POLICY, NAMED = "Resources/policy/Properties/", "Resources/named/Properties/"


@pytest.mark.parametrize(
    ("path", "value", "place", "kind"),
    [
        ("More", {}, "More", Kind.MALFORMED),
        ("Resources", None, "Resources", Kind.MALFORMED),
        ("Resources/thing", None, "Resources", Kind.MALFORMED),
        ("Resources/certificate", None, "Resources", Kind.MALFORMED),
        ("Resources/thing/Type", "AWS::IoT::Thin", "Resources.thing.Type", Kind.MALFORMED),
        ("Resources/thing/Properties", None, "Resources.thing.Properties", Kind.MALFORMED),
        ("Resources/other", {"Type": "AWS::IoT::Thing", "Properties": {}}, "Resources", Kind.MALFORMED),
        ("Parameters/X", {"Type": "Number"}, "Parameters.X.Type", Kind.MALFORMED),
        ("Parameters/X", {"Type": "String", "Default": 1}, "Parameters.X.Default", Kind.MALFORMED),
        ("Parameters/AWS::IoT::Certificate::Nothing", {"Type": "String"}, "Parameters.AWS", Kind.MALFORMED),
        ("Mappings/LocationTable/Seattle/LocationUrl", {"Ref": "SerialNumber"}, "Mappings.", Kind.MALFORMED),
        (THING + "ThingName", None, "Resources.thing.Properties.ThingName", Kind.MALFORMED),
        (THING + "ThingName", {"Ref": "Nobody"}, "ThingName", Kind.MALFORMED),
        (THING + "ThingName", {"Fn::Split": ["-", "a"]}, "Resources.thing.Properties.ThingName", Kind.MALFORMED),
        (THING + "ThingName", {"Fn::Upper": "a"}, "Fn::Upper", Kind.MALFORMED),
        (THING + "ThingName", {"Ref": "A", "Fn::Sub": "b"}, "Resources.thing", Kind.MALFORMED),
        (THING + "ThingName", 7, "Resources.thing.Properties.ThingName", Kind.MALFORMED),
        (THING + "ThingName", {"Fn::Join": ["a"]}, "Fn::Join", Kind.MALFORMED),
        (THING + "ThingName", {"Fn::Join": ["", "a"]}, "Fn::Join", Kind.MALFORMED),
        (THING + "ThingName", {"Fn::Split": ["", "a"]}, "Fn::Split", Kind.MALFORMED),
        (THING + "ThingName", {"Fn::Sub": "${A"}, "Fn::Sub", Kind.MALFORMED),
        (THING + "ThingColour", "red", "Resources.thing.Properties.ThingColour", Kind.MALFORMED),
        (THING + "ThingGroups", "a", "Resources.thing.Properties.ThingGroups", Kind.MALFORMED),
        (THING + "ThingGroups", [{"Ref": "SerialNumber"}], "would let a device choose any group", Kind.MALFORMED),
        (THING + "ThingGroups", [{"Fn::Sub": "a-${SerialNumber}"}], "ThingGroups[0]", Kind.MALFORMED),
        (THING + "ThingGroups", [{"Ref": "Nobody"}], "ThingGroups", Kind.MALFORMED),
        (THING + "ThingGroups", [str(number) for number in range(11)], "more than 10 groups", Kind.MALFORMED),
        (THING + "BillingGroup", {"Ref": "SerialNumber"}, "would let a device choose any group", Kind.MALFORMED),
        (THING + "BillingGroup", 7, "Resources.thing.Properties.BillingGroup", Kind.MALFORMED),
        (THING + "PackageVersions", {}, "not offered here", Kind.UNSUPPORTED),
        ("Resources/thing/OverrideSettings/ThingGroups", "ADD", "OverrideSettings.ThingGroups", Kind.MALFORMED),
        ("Resources/thing/OverrideSettings/ThingTypeName", "MERGE", "OverrideSettings.ThingTypeName", Kind.MALFORMED),
        ("Resources/thing/OverrideSettings/Name", "FAIL", "OverrideSettings.Name", Kind.MALFORMED),
        ("Resources/certificate/OverrideSettings/Status", "MERGE", "OverrideSettings.Status", Kind.MALFORMED),
        ("Resources/policy/OverrideSettings", {"Document": "FAIL"}, "policy.OverrideSettings", Kind.MALFORMED),
        (CERTIFICATE + "CertificateId", None, "Resources.certificate.Properties", Kind.MALFORMED),
        (CERTIFICATE + "CertificateId", {"Ref": "SerialNumber"}, "CertificateId", Kind.MALFORMED),
        (CERTIFICATE + "CertificateId", "c" * 64, "CertificateId", Kind.MALFORMED),
        (CERTIFICATE + "CertificatePem", {"Ref": "SerialNumber"}, "Resources.certificate", Kind.MALFORMED),
        (CERTIFICATE + "Status", "ON", "Status", Kind.MALFORMED),
        (CERTIFICATE + "ThingPrincipalType", "MINE", "ThingPrincipalType", Kind.MALFORMED),
        (POLICY + "PolicyDocument", {"Statement": {"Effect": "x"}}, "PolicyDocument", Kind.MALFORMED),
        (POLICY + "PolicyDocument", {"Ref": "SerialNumber"}, "PolicyDocument", Kind.MALFORMED),
        (POLICY + "PolicyDocument", "not json", "PolicyDocument", Kind.MALFORMED),
        (NAMED + "PolicyName", None, "Resources.named.Properties", Kind.MALFORMED),
        (NAMED + "PolicyName", "no spaces", "policy name", Kind.MALFORMED),
        (NAMED + "PolicyName", {"Fn::Join": ["", ["a"]]}, "Fn::Join", Kind.MALFORMED),
        (NAMED + "PolicyName", {"Ref": "SerialNumber"}, "PolicyName", Kind.MALFORMED),
        (NAMED + "PolicyName", {"Fn::Sub": "p-${SerialNumber}"}, "PolicyName", Kind.MALFORMED),
        (NAMED + "PolicyName", {"Fn::Select": ["0", {"Fn::Split": ["-", {"Ref": "ThingName"}]}]}, "P", Kind.MALFORMED),
        ("DeviceConfiguration/Deep", {"a": {"b": "c"}}, "DeviceConfiguration.Deep", Kind.MALFORMED),
        ("DeviceConfiguration/X", {"Ref": "AWS::IoT::Certificate::Country"}, "DeviceConfiguration.X", Kind.MALFORMED),
    ],
)  # fmt: skip
def test_what_is_refused_where(path: str, value: object, place: str, kind: Kind) -> None:
    template = whole()
    change(path, value)(template)
    with pytest.raises(Fault) as refused:
        parse_template(json.dumps(template), TemplateType.FLEET_PROVISIONING)
    assert refused.value.kind is kind
    assert place in refused.value.message
    assert refused.value.hint


def test_a_function_inside_a_policy_is_refused_wherever_it_stands() -> None:
    template = whole()
    statement = {"Effect": "Allow", "Action": "iot:*", "Resource": [{"Ref": "SerialNumber"}]}
    properties(template, "policy")["PolicyDocument"] = {"Version": "2012-10-17", "Statement": [statement]}
    with pytest.raises(Fault, match=r"PolicyDocument.Statement\[0\].Resource\[0\].Ref: a function has no place"):
        parse_template(json.dumps(template), TemplateType.FLEET_PROVISIONING)


def test_a_policy_may_be_looked_up() -> None:
    template = whole()
    properties(template, "named")["PolicyName"] = {"Fn::FindInMap": ["Kinds", {"Ref": "SerialNumber"}, "policy"]}
    template["Mappings"]["Kinds"] = {"1": {"policy": "ones"}}
    assert read(template, ThingName="a", SerialNumber="1").policies[1].name == "ones"
    with pytest.raises(Fault) as refused:
        read(template, ThingName="a", SerialNumber="2")
    assert refused.value.kind is Kind.REJECTED


def test_an_operators_list_may_name_policies_and_certificates() -> None:
    template = whole()
    properties(template, "named")["PolicyName"] = {"Ref": "SerialNumber"}
    properties(template, "certificate")["CertificateId"] = {"Ref": "SerialNumber"}
    made = read(template, TemplateType.BULK, ThingName="a", SerialNumber="x")
    assert made.policies[1].name == "x"
    del template["Resources"]["certificate"]
    assert read(template, TemplateType.BULK, ThingName="a", SerialNumber="x").certificate is None


def test_what_a_certificate_says_of_itself_is_for_those_that_come_with_one() -> None:
    template = whole()
    # What such a device is, it has said before it could be told anything.
    with pytest.raises(Fault, match="DeviceConfiguration: reaches no device"):
        parse_template(json.dumps(template), TemplateType.JITP)
    del template["DeviceConfiguration"]
    template["Resources"]["thing"]["Properties"]["AttributePayload"] = {
        "cn": {"Ref": "AWS::IoT::Certificate::CommonName"}
    }
    parsed = parse_template(json.dumps(template), TemplateType.JITP)
    named = plan(parsed, {"ThingName": "a", "SerialNumber": "1"}, {**OWN, "AWS::IoT::Certificate::CommonName": "cn"})
    assert named.thing.attributes == {"cn": "cn"}
    with pytest.raises(Fault, match="CommonName"):
        plan(parsed, {"ThingName": "a", "SerialNumber": "1"}, OWN)


@pytest.mark.parametrize(
    "given",
    [
        {"ThingName": "a"},
        {"ThingName": "a", "SerialNumber": "1", "More": "x"},
        {"ThingName": "a", "SerialNumber": "1", CERTIFICATE_ID: "d" * 64},
        {"ThingName": "a b", "SerialNumber": "1"},
        {"ThingName": "a", "SerialNumber": "ü"},
        {"ThingName": "x" * 129, "SerialNumber": "1"},
    ],
)
def test_parameters_missing_too_many_and_wrong(given: dict[str, str]) -> None:
    with pytest.raises(Fault) as refused:
        plan(parse_template(json.dumps(whole()), TemplateType.FLEET_PROVISIONING), given, OWN)
    assert refused.value.kind in {Kind.REJECTED, Kind.MALFORMED}


def test_size_is_bounded() -> None:
    template = whole()
    template["DeviceConfiguration"] = {"x": "y" * TEMPLATE_CHARS_MAX}
    with pytest.raises(Fault) as refused:
        parse_template(json.dumps(template), TemplateType.FLEET_PROVISIONING)
    assert refused.value.kind is Kind.TOO_LARGE


def test_cut_at_every_character() -> None:
    text = json.dumps(whole())
    for at in range(len(text)):
        with pytest.raises(Fault):
            parse_template(text[:at], TemplateType.FLEET_PROVISIONING)


_names = st.sampled_from(["Ref", "Fn::Join", "Fn::Select", "Fn::FindInMap", "Fn::Split", "Fn::Sub", "x", "0"])
_values = st.recursive(
    st.text(max_size=8) | st.sampled_from(["A", "${A}", "0", "M", "k"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=2),
    max_leaves=12,
)


@given(_values)
def test_any_value_is_worked_out_or_refused(value: object) -> None:
    with suppress(Fault):
        evaluate(parse_value(parse_json(json.dumps(value)), "here"), {"A": "a"}, {"M": {"k": {"x": "y"}}})
