"""A list becomes things: each line whole or not at all, a bad one stops no other, and the list may be given again."""

import asyncio
import io
import json
from typing import Any

import pytest
from tests.fixtures.issuance import certificates, entries
from tests.fixtures.provisioning import csr
from tests.fixtures.templates import new_template, small

from troth.authority.bulk import Issuance
from troth.authority.settle import settle_all
from troth.enrollment.bulk import LINES_PER_CHANGE, Line, Made, Registering, read_lines
from troth.enrollment.template_resources import TemplateType
from troth.errors import Fault, Kind
from troth.limits import DEFAULT, IMPORT_LINE_CHARS_MAX, PROVISIONING_PARAMETERS_MAX
from troth.policy.attachment import TargetKind
from troth.registry.certificates import CertificateRow, CertificateState
from troth.registry.policies import Target, list_attached
from troth.registry.things import find_thing
from troth.store.read import read
from troth.testing.authority import TestAuthority


def bulk(way: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a template for lists, with a certificate in this way or with none."""
    document = small()
    del document["Resources"]["certificate"]
    document["Parameters"]["Certificate"] = {"Type": "String", "Default": ""}
    if way is not None:
        document["Resources"]["certificate"] = {"Type": "AWS::IoT::Certificate", "Properties": way}
    return document


def registering(authority: TestAuthority, way: dict[str, Any] | None = None, **options: Any) -> Registering:
    """Put the template into force and return what registers by it."""
    row = new_template(authority, "list", bulk(way), TemplateType.BULK, **options)
    return Registering(authority.db, authority.clock, "operator:anna", "delivery 7", row, DEFAULT)


def lines(*values: object) -> list[Line]:
    return list(read_lines(io.StringIO("".join(json.dumps(each) + "\n" for each in values))))


def issue(authority: TestAuthority, made: list[Made | Fault]) -> list[CertificateRow | Fault]:
    """Have all certificates issued that are wanted."""
    door = authority.door()
    rouse = lambda: settle_all(authority.db, authority.clock, door)  # noqa: E731
    issuance = Issuance(authority.db, authority.clock, "operator:anna", authority.public_url, rouse, 20.0)
    wanted = [each.wanted for each in made if isinstance(each, Made) and each.wanted is not None]

    async def all_of_them() -> list[CertificateRow | Fault]:
        return [each.outcome async for answers in issuance.answers(wanted) for each in answers]

    return asyncio.run(all_of_them())


CSR = {"CertificateSigningRequest": {"Ref": "Certificate"}}


def test_lines_are_read_with_their_numbers() -> None:
    text = '{"a": "b"}\n\n  \nnot json\n[1]\n{"a": 1}\n{"c": "d"}'
    read_ = list(read_lines(io.StringIO(text)))
    assert [each.number for each in read_] == [1, 4, 5, 6, 7]
    assert [each.parameters for each in read_ if not isinstance(each.parameters, Fault)] == [{"a": "b"}, {"c": "d"}]


def test_a_line_and_its_parameters_are_bounded() -> None:
    with pytest.raises(Fault) as refused:
        list(read_lines(io.StringIO("x" * (IMPORT_LINE_CHARS_MAX + 1))))
    assert refused.value.kind is Kind.TOO_LARGE
    (line,) = lines({str(at): "" for at in range(PROVISIONING_PARAMETERS_MAX + 1)})
    assert isinstance(line.parameters, Fault)
    (deep,) = read_lines(io.StringIO("[" * 100_000))
    assert isinstance(deep.parameters, Fault)


def test_things_with_their_policies(authority: TestAuthority) -> None:
    made = registering(authority).register(lines({"Serial": "1"}, {"Serial": "2", "Place": "hall"}))
    assert made == [Made("lamp-1", None), Made("lamp-2", None)]
    with read(authority.db) as connection:
        assert len(list_attached(connection, Target(TargetKind.THING, "lamp-2"))) == 1
    created = entries(authority.db, "thing.created")
    assert {(entry.at, entry.why) for entry in created} == {(created[0].at, "delivery 7")}


def test_a_bad_line_stops_no_other(authority: TestAuthority) -> None:
    bulk_ = registering(authority)
    made = bulk_.register(
        [
            *lines({"Serial": "1"}, {"Serial": "a b"}, {}, {"Serial": "2", "More": "x"}, {"Serial": "3"}),
            Line(9, Fault(Kind.MALFORMED, "unreadable")),
        ]
    )
    assert [each.thing if isinstance(each, Made) else each.kind for each in made] == [
        "lamp-1",
        Kind.MALFORMED,
        Kind.REJECTED,
        Kind.REJECTED,
        "lamp-3",
        Kind.MALFORMED,
    ]


def test_a_line_that_fails_in_the_change_takes_no_other_with_it(authority: TestAuthority) -> None:
    held = authority.device("lamp-9")
    bulk_ = registering(authority, {"CertificateId": {"Ref": "Certificate"}})
    assert LINES_PER_CHANGE > 2
    made = bulk_.register(
        lines(
            {"Serial": "1", "Certificate": "f" * 64},
            {"Serial": "9", "Certificate": held.certificate_id},
            {"Serial": "2", "Certificate": held.certificate_id},
        )
    )
    assert [each.thing if isinstance(each, Made) else each.kind for each in made] == [
        Kind.NOT_FOUND,
        "lamp-9",
        Kind.CONFLICT,
    ]
    with read(authority.db) as connection:
        assert find_thing(connection, "lamp-1") is None
        assert find_thing(connection, "lamp-2") is None


def test_a_certificate_by_its_text(authority: TestAuthority) -> None:
    held = authority.device("lamp-9")
    bulk_ = registering(authority, {"CertificatePem": {"Ref": "Certificate"}})
    made = bulk_.register(
        lines({"Serial": "9", "Certificate": held.chain_file.read_text()}, {"Serial": "8", "Certificate": "x"})
    )
    assert made[0] == Made("lamp-9", None)
    assert isinstance(made[1], Fault)


def test_certificates_are_issued_and_the_list_may_be_given_again(authority: TestAuthority) -> None:
    bulk_ = registering(authority, CSR)
    listed = lines(*({"Serial": str(at), "Certificate": csr().decode()} for at in range(3)))
    rows = issue(authority, bulk_.register(listed))
    assert [row.thing for row in rows if isinstance(row, CertificateRow)] == ["lamp-0", "lamp-1", "lamp-2"]
    assert {row.state for row in rows if isinstance(row, CertificateRow)} == {CertificateState.ACTIVE}
    again = issue(authority, bulk_.register(listed))
    assert again == rows
    assert len(certificates(authority.db, "lamp-0")) == 1


def test_a_thing_that_has_a_certificate_is_given_no_other(authority: TestAuthority) -> None:
    authority.device("lamp-9")
    bulk_ = registering(authority, CSR)
    (refused,) = bulk_.register(lines({"Serial": "9", "Certificate": csr().decode()}))
    assert isinstance(refused, Fault)
    assert refused.kind is Kind.CONFLICT


@pytest.mark.parametrize(
    ("status", "certificate", "kind"),
    [("INACTIVE", None, Kind.REJECTED), ("ACTIVE", "not a request", Kind.MALFORMED), ("ACTIVE", "", Kind.MALFORMED)],
)
def test_requests_that_lead_to_nothing(
    authority: TestAuthority, status: str, certificate: str | None, kind: Kind
) -> None:
    bulk_ = registering(authority, {**CSR, "Status": status})
    wanted = csr().decode() if certificate is None else certificate
    (refused,) = bulk_.register(lines({"Serial": "1", "Certificate": wanted}))
    assert isinstance(refused, Fault)
    assert refused.kind is kind
    with read(authority.db) as connection:
        assert find_thing(connection, "lamp-1") is None


def test_a_template_that_is_not_for_lists(authority: TestAuthority) -> None:
    fleet = new_template(authority)
    off = new_template(authority, "off", bulk(), TemplateType.BULK, enabled=False)
    for row in (fleet, off):
        with pytest.raises(Fault) as refused:
            Registering(authority.db, authority.clock, "operator:anna", "", row, DEFAULT)
        assert refused.value.kind is Kind.REJECTED
