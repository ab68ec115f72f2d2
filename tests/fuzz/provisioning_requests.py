"""Any bytes as what a device sends to be provisioned, or as a template: a value or a typed fault, and soon."""

from contextlib import suppress
from typing import Final

from troth.enrollment.template_plan import plan
from troth.enrollment.template_resources import CERTIFICATE_ID, TemplateType
from troth.enrollment.template_text import parse_template
from troth.errors import Fault, PeerFault
from troth.protocols.provisioning import (
    Format,
    Registration,
    parse_create,
    parse_create_from_csr,
    parse_registration,
    render_create_from_csr,
    render_registration,
)

_ASKED: Final = Registration("token", {"Serial": "1", "Place": "attic"})
_TEMPLATE: Final = b"""{"Parameters":{"A":{"Type":"String"},"B":{"Type":"String","Default":"b-c"}},
"Mappings":{"M":{"k":{"x":["y","z"]}}},"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":
{"Fn::Sub":["${A}-${V}",{"V":{"Fn::Select":["0",{"Fn::Split":["-",{"Ref":"B"}]}]}}]}}},"c":{"Type":
"AWS::IoT::Certificate","Properties":{"CertificateId":{"Ref":"AWS::IoT::Certificate::Id"}}}},
"DeviceConfiguration":{"a":{"Fn::Join":["",{"Fn::FindInMap":["M","k","x"]}]}}}"""

SEEDS: Final = (
    *(render_registration(form, _ASKED) for form in Format),
    *(render_create_from_csr(form, "-----BEGIN CERTIFICATE REQUEST-----") for form in Format),
    _TEMPLATE,
    b"",
)
WORDS: Final = (
    b"\xa2",
    b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x7b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xbf",
    b"\xff",
    b'{"Ref":"A"}',
    b'{"Fn::Sub":"${A}${A}${A}"}',
    b'{"Fn::Join":["',
    b"[[[[[[[[",
    b"${",
    b"\\ud800",
    b"certificateOwnershipToken",
)


def check(data: bytes) -> None:
    """Read it in every way there is, and work out what can be read."""
    for form in Format:
        for parse in (parse_create, parse_create_from_csr):
            with suppress(PeerFault):
                parse(form, data)
        with suppress(PeerFault):
            asked = parse_registration(form, data)
            assert parse_registration(form, render_registration(form, asked)) == asked
    with suppress(Fault):
        template = parse_template(data.decode("utf-8", "replace"), TemplateType.FLEET_PROVISIONING)
        plan(template, {"A": "x" * 4000}, {CERTIFICATE_ID: "c" * 64})
