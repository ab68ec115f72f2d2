"""Devices with a customer's certificates connect for the first time: just-in-time registration and provisioning."""

import json
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.fixtures.first_connections import TLS12, TLS13, Customer, jitp, reasons
from tests.fixtures.gateways import RunningGateway
from tests.fixtures.house import ACTOR, House, Log
from tests.fixtures.mqtt import allow, policy
from tests.fixtures.strangers import Bearer, Maker
from tests.fixtures.templates import new_template

from troth.authority.revoke import revoke
from troth.enrollment.bulk import Line, Registering
from troth.enrollment.newcomers import readmit
from troth.enrollment.template_resources import TemplateType
from troth.enrollment.withdraw import withdraw_thing
from troth.errors import Fault
from troth.journal.change import change
from troth.limits import DEFAULT, FAILED_PROOFS_PER_MINUTE_MAX
from troth.protocols.mqtt import Connack, Connect, Version
from troth.registry.certificates import CertificateRow, CertificateState, find_certificate
from troth.registry.foreign_issuers import ForeignPurpose, ForeignState, replace_crl, set_foreign_state
from troth.registry.inventory import Search, list_certificates
from troth.registry.keys_seen import block_key, key_digest
from troth.registry.policies import attach_policy, create_policy
from troth.registry.states import activate, deactivate
from troth.registry.things import create_thing, find_thing
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.x509.certificates import certificate_id

# What becomes of a certificate is decided before any broker is asked.
pytestmark = pytest.mark.parametrize("broker", ["nats"], indirect=True)
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13])
EVERYTHING = policy(allow("iot:Connect", "*"), allow("iot:Publish", "*"))
ACCEPTED, UNAVAILABLE, NOT_AUTHORISED = 0, 3, 5


@pytest.fixture
def maker(site: TestAuthority, tmp_path: Path, request: pytest.FixtureRequest) -> Maker:
    return Maker.new(tmp_path, site.clock.now(), f"Customer of {request.node.name}"[:60])


@pytest.fixture
def customer(gateway: RunningGateway, maker: Maker) -> Customer:
    return Customer(gateway, maker)


def row_of(customer: Customer, bearer: Bearer) -> CertificateRow | None:
    with read(customer.site.db) as connection:
        return find_certificate(connection, certificate_id(bearer.certificate))


def state_of(customer: Customer, bearer: Bearer) -> CertificateState | None:
    row = row_of(customer, bearer)
    return None if row is None else row.state


def is_thing(customer: Customer, name: str) -> bool:
    with read(customer.site.db) as connection:
        return find_thing(connection, name) is not None


# Registration (JITR).


@VERSIONS
def test_a_device_waits_for_an_operator_and_then_connects(
    customer: Customer, house: House, log: Log, version: ssl.TLSVersion
) -> None:
    customer.auto()
    device, issuer_id = customer.maker.device("W1"), customer.registered.issuer_id
    identity = certificate_id(device.certificate)
    spy = house.spy(f"$aws/events/certificates/registered/{issuer_id}")
    assert customer.code(device, version=version) == NOT_AUTHORISED
    assert reasons(log) == ["certificate-pending"]
    topic, payload = spy.message()
    told = json.loads(payload)
    now = customer.site.clock.now().timestamp() * 1000
    assert topic == f"$aws/events/certificates/registered/{issuer_id}"
    assert abs(told.pop("timestamp") - now) < 60_000
    assert abs(told.pop("certificateRegistrationTimestamp") - now) < 60_000
    assert told == {
        "certificateId": identity,
        "caCertificateId": issuer_id,
        "certificateStatus": "PENDING_ACTIVATION",
        "awsAccountId": "000000000000",
    }
    # It is told again only after a while, and stays what it is.
    assert customer.code(device, version=version) == NOT_AUTHORISED
    assert spy.no_message()
    assert state_of(customer, device) is CertificateState.PENDING_ACTIVATION
    with change(customer.site.db, customer.site.clock, ACTOR) as changing:
        activate(changing, identity)
        create_policy(changing, f"all-{identity[:8]}", EVERYTHING)
        attach_policy(changing, f"all-{identity[:8]}", certificate_id=identity)
    customer.gateway.settle()
    talk = customer.come(device, version=version)
    assert talk is not None
    with talk:
        assert talk.connect("any").code == ACCEPTED
        assert talk.is_alive()
        with change(customer.site.db, customer.site.clock, ACTOR) as changing:
            deactivate(changing, identity)
        assert talk.is_closed()


def test_a_list_of_the_operators_makes_things_of_those_who_wait(customer: Customer, house: House) -> None:
    """What AWS's users do with a rule and a function: thing, policy and state, all in one change."""
    customer.auto()
    device = customer.maker.device("L1")
    assert customer.code(device) == NOT_AUTHORISED
    document = jitp({"Ref": "Name"})
    document["Parameters"] = {"Name": {"Type": "String"}, "Certificate": {"Type": "String"}}
    document["Resources"]["certificate"]["Properties"]["CertificateId"] = {"Ref": "Certificate"}
    template = new_template(customer.site, "bulk-of-waiting", document, TemplateType.BULK)
    registering = Registering(customer.site.db, customer.site.clock, ACTOR, "", template, DEFAULT)
    line = Line(1, {"Name": "meter-L1", "Certificate": certificate_id(device.certificate)})
    (made,) = registering.register([line])
    assert not isinstance(made, Exception)
    customer.gateway.settle()
    assert customer.code(device, "meter-L1") == ACCEPTED


# Provisioning (JITP).


@VERSIONS
def test_a_device_becomes_a_thing_by_connecting(customer: Customer, log: Log, version: ssl.TLSVersion) -> None:
    customer.auto(jitp())
    serial = f"P{version.value}"
    device = customer.maker.device(serial)
    assert customer.code(device, f"meter-{serial}", version) == UNAVAILABLE
    assert reasons(log) == ["just-registered"]
    assert customer.code(device, f"meter-{serial}", version) == ACCEPTED
    row = row_of(customer, device)
    assert row is not None
    assert (row.thing, row.state, row.method) == (f"meter-{serial}", CertificateState.ACTIVE, "jitp")
    # Its thing's policy allows its own name alone.
    assert customer.code(device, "meter-somebody-else", version) == NOT_AUTHORISED


def test_mqtt_5_says_when_it_is_worth_trying_again(customer: Customer) -> None:
    def code(bearer: Bearer) -> int:
        talk = customer.come(bearer, mqtt=Version.MQTT_5)
        assert talk is not None
        with talk:
            return int(talk.connect("meter-M1").code)

    customer.auto()
    assert code(customer.maker.device("M0")) == 0x87
    customer.auto(jitp())
    device = customer.maker.device("M1")
    assert [code(device), code(device)] == [0x88, 0x00]


def test_two_connections_at_once_make_one_thing(customer: Customer) -> None:
    customer.auto(jitp())
    device = customer.maker.device("T1")
    first, second = customer.come(device), customer.come(device)
    assert first is not None
    assert second is not None
    with first, second:
        for each in (first, second):
            each.send(Connect("meter-T1", keep_alive_s=60))
        codes = [each.expect(Connack).code for each in (first, second)]
    assert UNAVAILABLE in codes
    assert set(codes) <= {UNAVAILABLE, ACCEPTED}
    assert customer.code(device, "meter-T1") == ACCEPTED
    with read(customer.site.db) as connection:
        assert len(list_certificates(connection, Search(thing="meter-T1"))) == 1


@pytest.mark.parametrize("what", ["bare", "with policies", "enrolled"])
def test_nobody_gets_an_existing_things_identity(customer: Customer, log: Log, house: House, what: str) -> None:
    """A certificate whose subject imitates one of our things, whatever that thing has had so far."""
    site, name = customer.site, f"lamp-of-ours-{what.replace(' ', '-')}"
    with change(site.db, site.clock, ACTOR) as changing:
        create_thing(changing, name)
        if what == "with policies":
            create_policy(changing, f"all-{name}", EVERYTHING)
            attach_policy(changing, f"all-{name}", thing=name)
    if what == "enrolled":
        site.device(name)
    customer.auto(jitp({"Ref": "AWS::IoT::Certificate::CommonName"}))
    impostor = customer.maker.device("I1", common_name=name)
    assert customer.code(impostor, name) == NOT_AUTHORISED
    assert state_of(customer, impostor) is None
    (told,) = [each for each in log if each["event"] == "first_connection.refused"]
    assert "exists" in told["reason"]
    honest = customer.maker.device("I2", common_name=f"{name}-2")
    assert customer.code(honest, f"{name}-2") == UNAVAILABLE
    assert customer.code(honest, f"{name}-2") == ACCEPTED


def test_a_thing_is_its_first_devices(customer: Customer, maker: Maker, tmp_path: Path) -> None:
    """The CA renews the certificate of the same subject: the thing goes on. Another subject, or CA, does not get it."""
    site = customer.site
    customer.auto(jitp())
    first = maker.device("F1", common_name="meter")
    assert customer.code(first, "meter-F1") == UNAVAILABLE
    other = maker.device("F1", common_name="somebody else")
    assert customer.code(other, "meter-F1") == NOT_AUTHORISED
    rival = Customer(customer.gateway, Maker.new(tmp_path, site.clock.now(), "Rival of F1"))
    rival.auto(jitp())
    assert rival.code(rival.maker.device("F1", common_name="meter"), "meter-F1") == NOT_AUTHORISED
    renewed = maker.device("F1", common_name="meter")
    assert customer.code(renewed, "meter-F1") == UNAVAILABLE
    assert customer.code(renewed, "meter-F1") == ACCEPTED
    with change(site.db, site.clock, ACTOR) as changing:
        readmit(changing, "meter-F1")
    assert customer.code(other, "meter-F1") == UNAVAILABLE
    assert customer.code(maker.device("F1", common_name="a third"), "meter-F1") == NOT_AUTHORISED


def test_a_template_may_say_that_any_device_takes_its_place(customer: Customer) -> None:
    customer.auto(jitp(), again=True)
    for common_name in ("one", "two"):
        device = customer.maker.device("A1", common_name=common_name)
        assert customer.code(device, "meter-A1") == UNAVAILABLE
        assert customer.code(device, "meter-A1") == ACCEPTED


@pytest.mark.parametrize("again", [False, True])
def test_what_was_withdrawn_does_not_come_back_with_a_new_certificate(customer: Customer, again: bool) -> None:
    site, name = customer.site, f"meter-B{again:d}"
    customer.auto(jitp(), again=again)
    device = customer.maker.device(f"B{again:d}")
    assert customer.code(device, name) == UNAVAILABLE
    assert customer.code(device, name) == ACCEPTED
    with change(site.db, site.clock, ACTOR) as changing:
        withdraw_thing(changing, name)
    customer.gateway.settle()
    assert customer.code(device, name) == NOT_AUTHORISED
    fresh = customer.maker.device(f"B{again:d}")
    assert customer.code(fresh, name) == NOT_AUTHORISED
    with change(site.db, site.clock, ACTOR) as changing:
        readmit(changing, name)
    assert customer.code(fresh, name) == UNAVAILABLE
    customer.gateway.settle()
    assert customer.code(fresh, name) == ACCEPTED


@pytest.mark.parametrize("fault", ["no serial number", "two serial numbers", "a name that cannot be", "disabled"])
def test_what_makes_no_thing_is_refused_and_nothing_is_left(customer: Customer, log: Log, fault: str) -> None:
    customer.auto(jitp({"Ref": "AWS::IoT::Certificate::SerialNumber"}), enabled=fault != "disabled")
    serials = {"no serial number": (), "two serial numbers": ("D1", "D2"), "a name that cannot be": ("D 3/+",)}
    device = customer.maker.device(serials.get(fault, ("D4",)))
    assert customer.code(device) == NOT_AUTHORISED
    assert state_of(customer, device) is None
    assert [each["event"] for each in log if each["event"].startswith("first_connection")] == [
        "first_connection.refused"
    ]
    if fault != "disabled":
        assert customer.code(customer.maker.device(f"good-{fault[0]}")) == UNAVAILABLE


# Who does not come in.


@VERSIONS
@pytest.mark.parametrize("what", ["not asked for", "maker", "inactive", "server", "expired", "not yet", "ca", "forged"])
def test_who_may_not_come_is_not_registered(
    gateway: RunningGateway, maker: Maker, log: Log, what: str, version: ssl.TLSVersion
) -> None:
    purpose = ForeignPurpose.MANUFACTURER if what == "maker" else ForeignPurpose.CUSTOMER
    customer = Customer(gateway, maker, purpose=purpose)
    if what not in {"not asked for", "maker"}:
        customer.auto()
    if what == "inactive":
        with change(customer.site.db, customer.site.clock, ACTOR) as changing:
            set_foreign_state(changing, customer.name, ForeignState.INACTIVE)
        gateway.settle()
    namesake = Maker.new(maker.folder, maker.now, maker.certificate.subject.rfc4514_string()[3:])
    devices = {
        "server": maker.device(server=True),
        "expired": maker.device(lasts=timedelta(hours=2)),
        "not yet": maker.device(since=timedelta(days=2)),
        "ca": maker.device(ca=True),
        "forged": namesake.device(),
    }
    device = devices.get(what) or maker.device()
    by_admission = what in {"not asked for", "inactive"}
    assert customer.code(device, version=version) == (NOT_AUTHORISED if by_admission else "refused by TLS")
    assert state_of(customer, device) is None
    if by_admission:
        assert reasons(log) == ["unknown-certificate"]


@VERSIONS
def test_only_a_certificate_that_the_registered_ca_itself_has_signed(
    customer: Customer, version: ssl.TLSVersion
) -> None:
    """As on AWS. What is below another CA is registered by that one's registration."""
    customer.auto()
    below = customer.maker.under("Line 4")
    assert customer.code(below.device(above=(below.certificate,)), version=version) == "refused by TLS"
    assert customer.code(customer.maker.device(), version=version) == NOT_AUTHORISED


@VERSIONS
def test_a_device_may_send_its_ca_too(customer: Customer, version: ssl.TLSVersion) -> None:
    """As AWS's guide has it done: the certificate and its CA in one file."""
    customer.auto(jitp())
    serial = f"S{version.value}"
    device = customer.maker.device(serial, above=(customer.maker.certificate,))
    assert customer.code(device, f"meter-{serial}", version) == UNAVAILABLE
    assert customer.code(device, f"meter-{serial}", version) == ACCEPTED


@VERSIONS
def test_a_ca_that_is_taken_no_more_registers_nobody_and_keeps_those_it_has(
    customer: Customer, log: Log, version: ssl.TLSVersion
) -> None:
    customer.auto(jitp())
    serial = f"K{version.value}"
    device = customer.maker.device(serial)
    assert customer.code(device, f"meter-{serial}", version) == UNAVAILABLE
    with change(customer.site.db, customer.site.clock, ACTOR) as changing:
        set_foreign_state(changing, customer.name, ForeignState.INACTIVE)
    customer.gateway.settle()
    assert customer.code(device, f"meter-{serial}", version) == ACCEPTED
    assert customer.code(customer.maker.device("K9"), "meter-K9", version) == NOT_AUTHORISED
    assert reasons(log)[-1] == "unknown-certificate"


@VERSIONS
def test_a_revoked_certificate_of_elsewhere_is_out_at_once(
    customer: Customer, log: Log, version: ssl.TLSVersion
) -> None:
    customer.auto(jitp())
    serial = f"R{version.value}"
    device = customer.maker.device(serial)
    assert customer.code(device, f"meter-{serial}", version) == UNAVAILABLE
    talk = customer.come(device, version=version)
    assert talk is not None
    with talk:
        assert talk.connect(f"meter-{serial}").code == ACCEPTED
        with change(customer.site.db, customer.site.clock, ACTOR) as changing:
            revoke(changing, certificate_id(device.certificate))
        assert talk.is_closed()
    assert customer.code(device, f"meter-{serial}", version) == NOT_AUTHORISED
    assert reasons(log)[-1] == "certificate-revoked"


def test_a_ca_that_is_revoked_takes_all_its_devices_with_it_for_good(
    gateway: RunningGateway, customer: Customer, maker: Maker, log: Log
) -> None:
    site, twin = customer.site, Customer(gateway, Maker.new(maker.folder, maker.now, "Twin"))
    customer.auto(jitp())
    twin.auto(jitp())
    ours, theirs = maker.device("V1"), twin.maker.device("V2")
    assert customer.code(ours, "meter-V1") == UNAVAILABLE
    assert twin.code(theirs, "meter-V2") == UNAVAILABLE
    talk = customer.come(ours)
    assert talk is not None
    with talk:
        assert talk.connect("meter-V1").code == ACCEPTED
        with change(site.db, site.clock, ACTOR) as changing:
            set_foreign_state(changing, customer.name, ForeignState.REVOKED)
        assert talk.is_closed()
    gateway.settle()
    assert [each["reason"] for each in log if each["event"] == "session.closed"][-1] == "wrong-issuer"
    assert customer.code(ours, "meter-V1") == "refused by TLS"
    assert twin.code(theirs, "meter-V2") == ACCEPTED
    with pytest.raises(Fault), change(site.db, site.clock, ACTOR) as changing:
        set_foreign_state(changing, customer.name, ForeignState.ACTIVE)


def test_the_cas_own_crl_withdraws_what_is_registered(customer: Customer, maker: Maker, log: Log) -> None:
    site = customer.site
    customer.auto(jitp())
    good, bad, new = maker.device("C1"), maker.device("C2"), maker.device("C3")
    for device, name in ((good, "meter-C1"), (bad, "meter-C2")):
        assert customer.code(device, name) == UNAVAILABLE
    talk = customer.come(bad)
    assert talk is not None
    with talk:
        assert talk.connect("meter-C2").code == ACCEPTED
        with change(site.db, site.clock, ACTOR) as changing:
            replace_crl(changing, customer.name, maker.crl(bad.certificate, new.certificate))
        assert talk.is_closed()
    customer.gateway.settle()
    assert customer.code(bad, "meter-C2") == NOT_AUTHORISED
    assert state_of(customer, bad) is CertificateState.REVOKED
    assert customer.code(new, "meter-C3") == NOT_AUTHORISED
    assert state_of(customer, new) is None
    assert customer.code(good, "meter-C1") == ACCEPTED


def test_a_crl_that_is_out_of_date_lets_in_nobody_new_and_locks_nobody_out(customer: Customer, maker: Maker) -> None:
    site = customer.site
    customer.auto(jitp())
    known = maker.device("O1")
    assert customer.code(known, "meter-O1") == UNAVAILABLE
    with change(site.db, site.clock, ACTOR) as changing:
        replace_crl(changing, customer.name, maker.crl(lasts=timedelta(hours=12)))
    customer.gateway.settle()
    assert customer.code(maker.device("O2"), "meter-O2") == NOT_AUTHORISED
    assert customer.code(known, "meter-O1") == ACCEPTED


# Keys.


def test_a_key_of_another_thing_or_a_blocked_one_is_refused_and_reported(
    customer: Customer, house: House, log: Log
) -> None:
    site = customer.site
    lent, blocked = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    customer.auto(jitp())
    owner = customer.maker.device("G1", key=lent)
    assert customer.code(owner, "meter-G1") == UNAVAILABLE
    digest = key_digest(blocked.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    with change(site.db, site.clock, ACTOR) as changing:
        block_key(changing, digest, "keyCompromise")
    for serial, key in (("G2", lent), ("G3", blocked)):
        for template in (jitp(), None):
            customer.auto(template)
            device = customer.maker.device(serial, key=key)
            assert customer.code(device, f"meter-{serial}") == NOT_AUTHORISED
            assert state_of(customer, device) is None
    told = [each["reason"] for each in log if each["event"] == "first_connection.refused"]
    assert [("is that of thing 'meter-G1'" in each, "is blocked since" in each) for each in told] == [
        (True, False),
        (True, False),
        (False, True),
        (False, True),
    ]
    # The CA certifies the same key of the same device anew.
    customer.auto(jitp())
    assert customer.code(customer.maker.device("G1", key=lent), "meter-G1") == UNAVAILABLE


def test_a_weak_key_is_refused(customer: Customer) -> None:
    customer.auto()
    weak, strong = rsa.generate_private_key(3, 2048), rsa.generate_private_key(65537, 2048)
    device = customer.maker.device("H1", key=weak)
    assert customer.code(device) == NOT_AUTHORISED
    assert state_of(customer, device) is None
    honest = customer.maker.device("H2", key=strong)
    assert customer.code(honest) == NOT_AUTHORISED
    assert state_of(customer, honest) is CertificateState.PENDING_ACTIVATION


# Bounds.


def test_an_address_that_was_refused_too_often_waits_and_another_does_not(
    gateway: RunningGateway, customer: Customer, log: Log
) -> None:
    other = Customer(gateway, Maker.new(customer.maker.folder, customer.maker.now, "Neighbour"))
    other.auto(jitp())
    stranger = customer.maker.device("N1")
    codes = [customer.code(stranger) for _ in range(FAILED_PROOFS_PER_MINUTE_MAX + 1)]
    assert codes == [NOT_AUTHORISED] * FAILED_PROOFS_PER_MINUTE_MAX + [UNAVAILABLE]
    assert reasons(log)[-1] == "too-many-attempts"
    assert other.code(other.maker.device("N2"), "meter-N2") == UNAVAILABLE
    assert reasons(log)[-1] == "just-registered"
