"""First connections, decided without a connection: bounds, the switch, and what certificates say of themselves."""

import json
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.issuance import entries
from tests.fixtures.strangers import OPERATOR, Bearer, Maker, register
from tests.fixtures.templates import new_template, small

from troth.enrollment.jit import FirstMet, meet, set_first_connections, subject_parameters, waits
from troth.enrollment.newcomers import bind, readmit
from troth.enrollment.template_apply import apply_plan
from troth.enrollment.template_plan import plan
from troth.enrollment.template_resources import CERTIFICATE_ID, TemplateType
from troth.enrollment.template_text import parse_template
from troth.enrollment.withdraw import withdraw_thing
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.limits import DEFAULT
from troth.registry.certificates import CertificateState
from troth.registry.foreign_issuers import ForeignIssuer, ForeignPurpose, get_foreign_issuer
from troth.registry.states import activate
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.certificates import certificate_id


@pytest.fixture
def maker(authority: TestAuthority, tmp_path: Path) -> Maker:
    return Maker.new(tmp_path, authority.clock.now())


def customer(authority: TestAuthority, maker: Maker, name: str = "customer") -> None:
    register(authority, maker, name, ForeignPurpose.CUSTOMER)
    switch(authority, name=name)


def switch(authority: TestAuthority, *, on: bool = True, template: str | None = None, name: str = "customer") -> None:
    with change(authority.db, authority.clock, OPERATOR) as changing:
        set_first_connections(changing, name, registers=on, template=template)


def come(authority: TestAuthority, bearer: Bearer, address: str = "192.0.2.1") -> FirstMet:
    return meet(authority.db, authority.clock, DEFAULT, bearer.certificate, address)


def test_one_that_is_registered_is_found_and_not_counted(authority: TestAuthority, maker: Maker) -> None:
    customer(authority, maker)
    device = maker.device()
    first = come(authority, device)
    assert waits(first.certificate)
    switch(authority, on=False)
    assert come(authority, device) == first
    with change(authority.db, authority.clock, OPERATOR) as changing:
        activate(changing, certificate_id(device.certificate))
    again = come(authority, device).certificate
    assert (again.state, waits(again)) == (CertificateState.ACTIVE, False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bound", "others"),
    [
        ("FIRST_CONNECTIONS_PER_CA_PER_HOUR_MAX", "another CA"),
        ("FIRST_CONNECTIONS_PER_ADDRESS_PER_HOUR_MAX", "another address"),
        ("PENDING_PER_CA_MAX", "another CA"),
    ],
)
def test_each_bound_keeps_off_the_next_one_and_nobody_else(
    authority: TestAuthority, maker: Maker, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, bound: str, others: str
) -> None:
    customer(authority, maker)
    monkeypatch.setattr(f"troth.enrollment.jit.{bound}", 2)
    first, second = maker.device("1"), maker.device("2")
    come(authority, first)
    come(authority, second)
    with pytest.raises(Fault) as refused:
        come(authority, maker.device("3"))
    assert refused.value.kind is Kind.RATE_LIMITED
    assert come(authority, first).certificate.state is CertificateState.PENDING_ACTIVATION
    if others == "another address":
        come(authority, maker.device("4"), "192.0.2.2")
    else:
        rival = Maker.new(maker.folder, maker.now, "Rival")
        customer(authority, rival, "rival")
        come(authority, rival.device("4"))
    if bound == "PENDING_PER_CA_MAX":
        with change(authority.db, authority.clock, OPERATOR) as changing:
            activate(changing, certificate_id(first.certificate))
    else:
        clock.advance(timedelta(hours=1))
    come(authority, maker.device("5"))


def test_one_serial_number_is_one_certificates(authority: TestAuthority, maker: Maker) -> None:
    """Of two certificates of one serial number a CRL could not say which it means."""
    customer(authority, maker)
    device = maker.device()
    come(authority, device)
    twin = maker.device(number=device.certificate.serial_number)
    with pytest.raises(Fault) as refused:
        come(authority, twin)
    assert refused.value.kind is Kind.CONFLICT


def test_a_certificate_that_is_too_large_is_refused(authority: TestAuthority, maker: Maker) -> None:
    customer(authority, maker)
    with pytest.raises(Fault) as refused:
        come(authority, maker.device([str(each) * 20 for each in range(100, 700)]))
    assert refused.value.kind is Kind.TOO_LARGE


def test_the_switch_is_a_customers_and_its_template_is_for_first_connections(
    authority: TestAuthority, maker: Maker
) -> None:
    register(authority, maker, "maker", ForeignPurpose.MANUFACTURER)
    customer(authority, Maker.new(maker.folder, maker.now, "Customer"))
    new_template(authority, "lamps")
    for template, name, kind in (
        ("lamps", "customer", Kind.REJECTED),
        ("nothing", "customer", Kind.NOT_FOUND),
        (None, "maker", Kind.REJECTED),
        (None, "nobody", Kind.NOT_FOUND),
    ):
        with pytest.raises(Fault) as refused:
            switch(authority, template=template, name=name)
        assert refused.value.kind is kind
    with read(authority.db) as connection:
        found: ForeignIssuer = get_foreign_issuer(connection, "customer")
    assert (found.registers, found.template) == (True, None)


def test_a_template_without_a_switch_and_a_hook_without_anybody_to_ask_are_refused(
    authority: TestAuthority, maker: Maker
) -> None:
    customer(authority, maker)
    document = {
        "Resources": {
            "t": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "x"}},
            "c": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": CERTIFICATE_ID}}},
        }
    }
    new_template(authority, "meters", document, TemplateType.JITP)
    with pytest.raises(Fault, match="auto-registration"):
        switch(authority, on=False, template="meters")
    with pytest.raises(Fault) as refused:
        new_template(authority, "asked", document, TemplateType.JITP, server_keys=True)
    assert refused.value.kind is Kind.UNSUPPORTED


def test_a_certificate_says_of_itself_what_it_says_once(maker: Maker) -> None:
    device = maker.device(("1", "2"), common_name="meter")
    assert subject_parameters(device.certificate) == {
        CERTIFICATE_ID: certificate_id(device.certificate),
        "AWS::IoT::Certificate::CommonName": "meter",
    }
    assert subject_parameters(maker.device("7").certificate)["AWS::IoT::Certificate::SerialNumber"] == "7"


@pytest.mark.slow
@pytest.mark.parametrize("was", ["enrolled", "bound"])
def test_what_was_withdrawn_is_given_no_certificate_before_it_is_readmitted(
    authority: TestAuthority, maker: Maker, was: str
) -> None:
    """Also where a template says that a thing may be given another: somebody has taken it away."""
    customer(authority, maker)
    authority.device("lamp-1")
    if was == "bound":
        with change(authority.db, authority.clock, OPERATOR) as changing:
            bind(changing, "lamp-1", "claim:somebody's")
    waiting = [come(authority, maker.device(str(number))).certificate.certificate_id for number in range(2)]
    template = parse_template(json.dumps(small()), TemplateType.FLEET_PROVISIONING)

    def give(certificate_id: str, *, again: bool) -> None:
        planned = plan(template, {"Serial": "1"}, {CERTIFICATE_ID: certificate_id})
        with change(authority.db, authority.clock, OPERATOR) as changing:
            apply_plan(changing, planned, certificate_id, profile="device", again=again)

    with change(authority.db, authority.clock, OPERATOR) as changing:
        withdraw_thing(changing, "lamp-1")
    for again in (False, True):
        with pytest.raises(Fault, match="has been withdrawn"):
            give(waiting[0], again=again)
    with change(authority.db, authority.clock, OPERATOR) as changing:
        readmit(changing, "lamp-1")
    give(waiting[0], again=False)
    with pytest.raises(Fault, match="has had a certificate"):
        give(waiting[1], again=False)
    give(waiting[1], again=True)


@pytest.mark.slow
def test_no_certificate_with_a_byte_that_its_ca_has_not_signed_is_registered(
    authority: TestAuthority, maker: Maker
) -> None:
    customer(authority, maker)
    device = maker.device()
    der = device.certificate.public_bytes(Encoding.DER)
    for place in range(len(der)):
        for flipped in (0x01, 0x80):
            bent = bytearray(der)
            bent[place] ^= flipped
            try:
                with warnings.catch_warnings():
                    # A serial number that is not positive is one more thing to be refused.
                    warnings.simplefilter("ignore")
                    leaf = x509.load_der_x509_certificate(bytes(bent))
            except (ValueError, x509.InvalidVersion):
                continue
            with pytest.raises(Fault), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                meet(authority.db, authority.clock, DEFAULT, leaf, "192.0.2.1")
    assert entries(authority.db, "certificate.registered") == []
    come(authority, device)
    assert len(entries(authority.db, "certificate.registered")) == 1


def test_the_same_certificate_signed_in_another_way_is_no_second_one(authority: TestAuthority, maker: Maker) -> None:
    """Of an ECDSA signature (r, s) anybody can make (r, n-s): another certificate id, and the same certificate."""
    customer(authority, maker)
    device = maker.device()
    come(authority, device)
    r, s = decode_dss_signature(device.certificate.signature)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    der = device.certificate.public_bytes(Encoding.DER)
    old, new = device.certificate.signature, encode_dss_signature(r, order - s)
    body = device.certificate.tbs_certificate_bytes + der[4 + len(device.certificate.tbs_certificate_bytes) :]
    body = body[: -len(old) - 3] + bytes([3, len(new) + 1, 0]) + new
    twin = x509.load_der_x509_certificate(b"\x30\x82" + len(body).to_bytes(2) + body)
    assert twin.tbs_certificate_bytes == device.certificate.tbs_certificate_bytes
    assert certificate_id(twin) != certificate_id(device.certificate)
    with pytest.raises(Fault) as refused:
        meet(authority.db, authority.clock, DEFAULT, twin, "192.0.2.1")
    assert refused.value.kind is Kind.CONFLICT


def test_a_signature_is_whole_octets(authority: TestAuthority, maker: Maker) -> None:
    """With unused bits in its bit string, which a check of signatures passes over, one certificate would be several."""
    customer(authority, maker)
    device = next(each for each in iter(maker.device, None) if each.certificate.signature[-1] % 2 == 0)
    der = device.certificate.public_bytes(Encoding.DER)
    unused = len(der) - len(device.certificate.signature) - 1
    twin = x509.load_der_x509_certificate(der[:unused] + b"\x01" + der[unused + 1 :])
    twin.verify_directly_issued_by(maker.certificate)
    with pytest.raises(Fault) as refused:
        meet(authority.db, authority.clock, DEFAULT, twin, "192.0.2.1")
    assert refused.value.kind is Kind.UNAUTHENTICATED
    come(authority, device)
