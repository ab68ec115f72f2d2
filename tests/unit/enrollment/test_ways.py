"""Each way of proving, by itself: certificates with any byte changed, keys that are somebody's, too much at once."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.enrolling import new_token
from tests.fixtures.strangers import OPERATOR, Maker, enrollment, register

from troth.authority.settle import issue
from troth.enrollment.definitions import parse_definition
from troth.enrollment.limits import Given, count
from troth.enrollment.presented import Presented
from troth.enrollment.proofs.claim import Approval, Proof
from troth.enrollment.proofs.combined import EnrollmentClaim
from troth.enrollment.requests import WaitingRequest, approve_request, deny_request, file_request, list_requests
from troth.enrollment.retention import prune
from troth.enrollment.withdraw import withdraw_thing
from troth.errors import Fault, Kind
from troth.journal.change import Change, change
from troth.keys.file import generate
from troth.registry.keys_seen import block_key, find_key, take_keys
from troth.store.read import read
from troth.testing.authority import TestAuthority, new_request
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.requests import Request

CAMERAS = 'name = "cameras"\nprofile = "device"\nproofs = ["idevid"]\n[thing]\nname = "cam-{serial}"\ncreate = true\n'
BULBS = 'name = "bulbs"\nprofile = "device"\nproofs = ["claim"]\n[thing]\nname = "{request}"\ncreate = true\n'


def prove(authority: TestAuthority, presented: Presented, request: Request) -> Proof:
    with read(authority.db) as connection:
        return EnrollmentClaim(presented).prove(connection, authority.clock.now(), request)


def refused(authority: TestAuthority, presented: Presented, request: Request) -> str:
    with pytest.raises(Fault) as caught:
        prove(authority, presented, request)
    assert caught.value.kind is Kind.UNAUTHENTICATED
    return caught.value.detail or ""


def a_request(name: str) -> Request:
    return new_request(generate(KeyAlgorithm.P256), name)


def changed(data: bytes) -> Iterator[bytes]:
    for place in range(len(data)):
        yield data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    for length in range(0, len(data), 5):
        yield data[:length]


def test_a_makers_certificate_with_any_byte_changed_proves_nothing(authority: TestAuthority, tmp_path: Path) -> None:
    maker = Maker.new(tmp_path, authority.clock.now())
    register(authority, maker)
    enrollment(authority, CAMERAS)
    der, request = maker.device("A1").certificate.public_bytes(Encoding.DER), a_request("cam-A1")
    for bad in changed(der):
        refused(authority, Presented(peer_chain=(bad,), is_stranger=True, label="cameras"), request)
    # The very certificate, unless TLS took it for one of ours.
    refused(authority, Presented(peer_chain=(der,), label="cameras"), request)
    good = prove(authority, Presented(peer_chain=(der,), is_stranger=True, label="cameras"), request)
    assert (good.thing, good.method, good.intent_id) == ("cam-A1", "idevid", None)


def test_a_claim_with_any_byte_changed_or_expired_proves_nothing(authority: TestAuthority) -> None:
    enrollment(authority, BULBS)
    claim = issue(
        authority.db,
        authority.clock,
        authority.door(),
        OPERATOR,
        profile="claim",
        request=a_request("batch-7"),
        name="batch-7",
        method="test",
        proof={},
        public_url=authority.public_url,
    )
    der, request = claim.public_bytes(Encoding.DER), a_request("bulb-1")
    for bad in changed(der):
        refused(authority, Presented(peer_chain=(bad,), label="bulbs"), request)
    refused(authority, Presented(peer_chain=(der,), is_stranger=True, label="bulbs"), request)
    refused(authority, Presented(peer_chain=(der,), is_expired=True, label="bulbs"), request)
    assert prove(authority, Presented(peer_chain=(der,), label="bulbs"), request).thing == "bulb-1"


def test_a_token_of_another_profile_is_not_this_enrollments(authority: TestAuthority) -> None:
    other = 'name = "plain"\nprofile = "device"\nproofs = ["token"]\n'
    enrollment(authority, other)
    secret = new_token(authority)
    assert prove(authority, Presented(user="lamp-1", password=secret, label="plain"), a_request("lamp-1")).thing
    reason = refused(authority, Presented(user="lamp-1", label="plain"), a_request("lamp-1"))
    assert reason == "no token was shown"


def test_nobody_learns_which_things_there_are(authority: TestAuthority, tmp_path: Path) -> None:
    maker = Maker.new(tmp_path, authority.clock.now())
    register(authority, maker)
    enrollment(authority, CAMERAS.replace("create = true\n", ""))
    authority.thing("cam-A1")
    chains = {serial: (maker.device(serial).certificate.public_bytes(Encoding.DER),) for serial in ("A1", "A2")}
    shown = {serial: Presented(peer_chain=chain, is_stranger=True, label="cameras") for serial, chain in chains.items()}
    assert prove(authority, shown["A1"], a_request("cam-A1")).thing == "cam-A1"
    assert "no thing 'cam-A2'" in refused(authority, shown["A2"], a_request("cam-A2"))


KEY, OTHER = "a" * 64, "b" * 64


def test_a_key_is_one_things_and_stays_its_own(authority: TestAuthority) -> None:
    with change(authority.db, authority.clock, OPERATOR) as changing:
        assert take_keys(changing, [(KEY, "lamp-1"), (KEY, "lamp-1")]) == [None, None]
        told = take_keys(changing, [(KEY, "lamp-2"), (OTHER, "lamp-2"), (KEY, "lamp-1"), (OTHER, "lamp-3")])
        changing.record("test", "test")
    assert [fault.kind if fault else None for fault in told] == [Kind.BAD_KEY, None, None, Kind.BAD_KEY]
    assert told[0] is not None
    assert "lamp" not in told[0].message
    assert "that of thing 'lamp-1', asked for by 'lamp-2'" in (told[0].detail or "")


def test_a_key_that_is_blocked_is_nobodys(authority: TestAuthority) -> None:
    with change(authority.db, authority.clock, OPERATOR) as changing:
        take_keys(changing, [(KEY, "lamp-1")])
        for digest in (KEY, OTHER, KEY):
            block_key(changing, digest, "keyCompromise")
        told = take_keys(changing, [(KEY, "lamp-1"), (OTHER, "lamp-2"), (OTHER, None), ("c" * 64, None)])
    assert [fault is not None for fault in told] == [True, True, True, False]
    with read(authority.db) as connection:
        found = find_key(connection, KEY)
    assert found is not None
    assert (found.thing, found.blocked_at is not None) == ("lamp-1", True)


def file(authority: TestAuthority, thing: str, address: str = "192.0.2.1") -> str:
    approval = Approval("asked", None, timedelta(hours=1), 5.0, address)
    with change(authority.db, authority.clock, f"device:{thing}") as changing:
        return file_request(changing, Proof("approval", thing, "device", {}, None), approval, a_request(thing))


def test_one_address_does_not_fill_the_queue_alone(authority: TestAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("troth.enrollment.requests.REQUESTS_WAITING_PER_ADDRESS_MAX", 1)
    file(authority, "lamp-1")
    with pytest.raises(Fault) as caught:
        file(authority, "lamp-2")
    assert caught.value.kind is Kind.UNAVAILABLE
    file(authority, "lamp-2", "192.0.2.2")


@pytest.mark.parametrize("decide", [approve_request, deny_request])
def test_what_was_decided_meanwhile_is_not_undone(
    authority: TestAuthority, decide: Callable[[Change, str], WaitingRequest]
) -> None:
    request = a_request("lamp-1")
    approval = Approval("asked", None, timedelta(hours=1), 5.0, "192.0.2.1")

    def ask() -> str:
        with change(authority.db, authority.clock, "device:lamp-1") as changing:
            return file_request(changing, Proof("approval", "lamp-1", "device", {}, None), approval, request)

    request_id = ask()
    assert ask() == request_id
    with change(authority.db, authority.clock, OPERATOR) as changing:
        decided = decide(changing, request_id)
    with pytest.raises(Fault) as caught:
        ask()
    assert caught.value.kind is Kind.CONFLICT
    with read(authority.db) as connection:
        assert list_requests(connection) == [decided]


def test_what_is_withdrawn_has_no_request_that_could_still_be_fetched(authority: TestAuthority) -> None:
    authority.device("lamp-1")
    approved, waits, others = file(authority, "lamp-1"), file(authority, "lamp-1"), file(authority, "lamp-2")
    with change(authority.db, authority.clock, OPERATOR) as changing:
        approve_request(changing, approved)
    with change(authority.db, authority.clock, OPERATOR) as changing:
        withdrawn = withdraw_thing(changing, "lamp-1")
    assert {each.request_id for each in withdrawn.requests} == {approved, waits}
    with read(authority.db) as connection:
        states = {each.request_id: each.state for each in list_requests(connection)}
    assert states == {approved: "DENIED", waits: "DENIED", others: "WAITING"}


def test_one_address_gets_so_many_an_hour(authority: TestAuthority, clock: FakeClock) -> None:
    head = 'name = "few"\nprofile = "device"\nproofs = ["token"]\n'
    definition = parse_definition(f"{head}[limits]\nper_address = 2\n")

    def given(thing: str, address: str, issuer_max: int = 100) -> None:
        with change(authority.db, authority.clock, OPERATOR) as changing:
            (fault,) = count(changing, [Given(definition, thing, address, "f" * 64)], issuer_max)
            if fault is not None:
                raise fault
            changing.record("test", thing)

    given("lamp-1", "192.0.2.1")
    given("lamp-2", "192.0.2.1")
    with pytest.raises(Fault) as caught:
        given("lamp-3", "192.0.2.1")
    assert caught.value.kind is Kind.RATE_LIMITED
    assert caught.value.retry_after == 3600
    given("lamp-3", "192.0.2.2")
    # What was refused is not counted; what all have had of one CA is.
    with pytest.raises(Fault):
        given("lamp-4", "192.0.2.2", issuer_max=3)
    clock.advance(timedelta(hours=1))
    given("lamp-4", "192.0.2.1", issuer_max=3)


def test_no_more_wait_for_a_person_than_a_person_can_see(
    authority: TestAuthority, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    monkeypatch.setattr("troth.enrollment.requests.REQUESTS_WAITING_MAX", 2)

    def ask(thing: str) -> None:
        file(authority, thing)

    ask("lamp-1")
    ask("lamp-2")
    with pytest.raises(Fault) as caught:
        ask("lamp-3")
    assert (caught.value.kind, caught.value.retry_after) == (Kind.UNAVAILABLE, 5.0)
    clock.advance(timedelta(hours=1))
    ask("lamp-3")
    with change(authority.db, authority.clock, OPERATOR) as changing:
        assert prune(changing, changing.at + timedelta(seconds=1)) is False
    with read(authority.db) as connection:
        assert [each.thing for each in list_requests(connection)] == ["lamp-3"]
