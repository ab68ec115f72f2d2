"""Those who enroll at the same moment, in one change: each for itself, whatever comes of the others."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.enrolling import enrollment_at, new_token
from tests.fixtures.issuance import certificates, entries
from tests.fixtures.strangers import OPERATOR, Maker, enrollment, register

from troth.authority.settle import settle_waiting
from troth.enrollment.beginnings import Asked, Beginnings, Begun, Outcome, Proven, Waiting
from troth.enrollment.definitions import Definition
from troth.enrollment.flow import Enrolled
from troth.enrollment.presented import Presented
from troth.enrollment.proofs.claim import Proof
from troth.enrollment.proofs.combined import EnrollmentClaim
from troth.enrollment.tokens import list_tokens
from troth.errors import Fault, Kind
from troth.journal.change import Change, change
from troth.keys.file import FileKey, generate
from troth.registry.keys_seen import block_key, key_digest
from troth.registry.things import find_things
from troth.store.read import read
from troth.testing.authority import TestAuthority, new_request
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm

CAMERAS = 'name = "cameras"\nprofile = "device"\nproofs = ["idevid"]\n[thing]\nname = "cam-{serial}"\ncreate = true\n'
FEW = 'name = "few"\nprofile = "device"\nproofs = ["token"]\n[limits]\n'
ASKED = 'name = "asked"\nprofile = "device"\nproofs = ["approval"]\n[thing]\nname = "{request}"\ncreate = true\n'


def lamp(
    authority: TestAuthority,
    thing: str,
    label: str = "default",
    secret: str = "",
    address: str = "",
    key: FileKey | None = None,
) -> Asked:
    """One who comes with a token, a new one unless it is given."""
    shown = Presented(user=thing, password=secret or new_token(authority, thing), label=label, address=address)
    return Asked(EnrollmentClaim(shown), new_request(key or generate(KeyAlgorithm.P256), thing))


def camera(maker: Maker, serial: str, key: FileKey | None = None) -> Asked:
    """One who comes with its maker's certificate, and whose thing is made when it comes."""
    chain = (maker.device(serial).certificate.public_bytes(Encoding.DER),)
    shown = Presented(peer_chain=chain, is_stranger=True, label="cameras")
    return Asked(EnrollmentClaim(shown), new_request(key or generate(KeyAlgorithm.P256), f"cam-{serial}"))


def begin(authority: TestAuthority, asked: Sequence[Asked]) -> list[Outcome]:
    """Begin them as one worker does that is asked for all of them at once."""
    beginnings = Beginnings(authority.db, authority.clock, authority.public_url)
    looked = beginnings.look(asked)
    proven = [each for each in looked if isinstance(each, Proven)]
    outcomes = iter(beginnings.begin(proven))
    return [next(outcomes) if isinstance(each, Proven) else each for each in looked]


def kinds(outcomes: Sequence[Outcome]) -> list[object]:
    """What came of each, in a word."""
    return [each.kind if isinstance(each, Fault) else type(each) for each in outcomes]


def things(authority: TestAuthority, *names: str) -> set[str]:
    with read(authority.db) as connection:
        return find_things(connection, names)


def given(authority: TestAuthority) -> Counter[str]:
    """How many certificates each thing has been given, once the authority has come to all."""
    assert settle_waiting(authority.db, authority.clock, authority.door()).obstacle is None
    return Counter(entry.data["thing"] for entry in entries(authority.db, "certificate.issued") if entry.data["thing"])


def test_all_who_come_together_share_a_change_and_are_named_in_it(any_authority: TestAuthority) -> None:
    authority, names = any_authority, [f"lamp-{number}" for number in range(5)]
    outcomes = begin(authority, [lamp(authority, name) for name in names])
    assert kinds(outcomes) == [Begun] * 5
    spent = entries(authority.db, "token.spent")
    assert len({entry.at for entry in spent}) == 1
    intended = [entry for entry in entries(authority.db, "certificate.intended") if entry.data["thing"]]
    assert [entry.number for entry in (*intended, *spent)] == list(range(intended[0].number, spent[-1].number + 1))
    for entry in (*intended, *spent):
        assert entry.actor == f"device:{entry.data['thing']}"
    assert given(authority) == dict.fromkeys(names, 1)
    assert {name: len(certificates(authority.db, name)) for name in names} == dict.fromkeys(names, 1)


def test_of_two_with_one_token_in_one_batch_one_wins(any_authority: TestAuthority) -> None:
    authority = any_authority
    secret = new_token(authority, "lamp-1")
    asked = [lamp(authority, "lamp-1", secret=secret) for _ in range(2)]
    outcomes = begin(authority, [asked[0], lamp(authority, "lamp-2"), asked[1]])
    assert kinds(outcomes) == [Begun, Begun, Kind.UNAUTHENTICATED]
    assert given(authority) == {"lamp-1": 1, "lamp-2": 1}


def test_one_request_twice_in_one_batch_has_one_answer(any_authority: TestAuthority) -> None:
    asked = lamp(any_authority, "lamp-1")
    first, second = begin(any_authority, [asked, Asked(asked.claim, asked.request)])
    assert isinstance(first, Begun)
    assert isinstance(second, Begun)
    assert first.intent_id == second.intent_id
    assert (first.is_new, second.is_new) == (True, False)
    assert given(any_authority) == {"lamp-1": 1}


def test_one_thing_twice_with_two_tokens_gets_both(authority: TestAuthority) -> None:
    outcomes = begin(authority, [lamp(authority, "lamp-1"), lamp(authority, "lamp-1")])
    assert kinds(outcomes) == [Begun, Begun]
    assert given(authority) == {"lamp-1": 2}


def test_who_is_refused_is_refused_alone(any_authority: TestAuthority) -> None:
    authority, stolen, blocked = any_authority, generate(KeyAlgorithm.P256), generate(KeyAlgorithm.P256)
    begin(authority, [lamp(authority, "safe-1", key=stolen)])
    with change(authority.db, authority.clock, OPERATOR) as changing:
        block_key(changing, key_digest(new_request(blocked, "any").public_key_info), "test")
    asked = [
        lamp(authority, "lamp-1"),
        lamp(authority, "lamp-2", key=stolen),
        lamp(authority, "lamp-3", secret="A" * 22),
        lamp(authority, "lamp-4", key=blocked),
        Asked(lamp(authority, "lamp-5").claim, new_request(generate(KeyAlgorithm.P256), "another")),
        lamp(authority, "lamp-6"),
    ]
    refused = [Kind.BAD_KEY, Kind.UNAUTHENTICATED, Kind.BAD_KEY, Kind.REJECTED]
    assert kinds(begin(authority, asked)) == [Begun, *refused, Begun]
    assert given(authority) == {"safe-1": 1, "lamp-1": 1, "lamp-6": 1}
    # What was refused has cost nobody the token.
    with read(authority.db) as connection:
        unspent = {token.thing for token in list_tokens(connection) if token.spent_at is None}
    assert unspent == {"lamp-2", "lamp-4", "lamp-5"}


def test_two_things_with_one_key_in_one_batch_do_not_share_it(any_authority: TestAuthority) -> None:
    key = generate(KeyAlgorithm.P256)
    outcomes = begin(any_authority, [lamp(any_authority, name, key=key) for name in ("lamp-1", "lamp-2")])
    assert kinds(outcomes) == [Begun, Kind.BAD_KEY]


@pytest.mark.parametrize("limit", ["total = 2", "per_address = 2"])
def test_a_bound_holds_within_a_batch_and_refuses_nobody_below_it(any_authority: TestAuthority, limit: str) -> None:
    authority = any_authority
    enrollment(authority, f"{FEW}{limit}\n")
    asked = [lamp(authority, f"lamp-{number}", "few", address="192.0.2.1") for number in range(4)]
    outcomes = begin(authority, [*asked, lamp(authority, "other")])
    assert kinds(outcomes) == [Begun, Begun, Kind.RATE_LIMITED, Kind.RATE_LIMITED, Begun]
    assert kinds(begin(authority, [lamp(authority, "lamp-9", "few", address="192.0.2.1")])) == [Kind.RATE_LIMITED]
    assert given(authority) == {"lamp-0": 1, "lamp-1": 1, "other": 1}


def test_a_bound_of_one_thing_holds_within_a_batch(authority: TestAuthority) -> None:
    enrollment(authority, f"{FEW}per_thing = 1\n")
    outcomes = begin(authority, [lamp(authority, "lamp-1", "few"), lamp(authority, "lamp-1", "few")])
    assert kinds(outcomes) == [Begun, Kind.RATE_LIMITED]
    assert given(authority) == {"lamp-1": 1}


def test_who_is_refused_after_its_thing_was_made_leaves_no_thing(any_authority: TestAuthority, tmp_path: Path) -> None:
    authority, stolen = any_authority, generate(KeyAlgorithm.P256)
    maker = Maker.new(tmp_path, authority.clock.now())
    register(authority, maker)
    enrollment(authority, CAMERAS)
    begin(authority, [lamp(authority, "safe-1", key=stolen)])
    asked = [camera(maker, "A1"), camera(maker, "A2", stolen), lamp(authority, "lamp-1"), camera(maker, "A3")]
    assert kinds(begin(authority, asked)) == [Begun, Kind.BAD_KEY, Begun, Begun]
    assert things(authority, "cam-A1", "cam-A2", "cam-A3") == {"cam-A1", "cam-A3"}
    assert given(authority) == {"safe-1": 1, "cam-A1": 1, "lamp-1": 1, "cam-A3": 1}
    bound = [entry.data["thing"] for entry in entries(authority.db, "thing.bound")]
    assert bound == ["cam-A1", "cam-A3"]


def test_who_waits_for_a_person_waits_beside_those_who_need_not(any_authority: TestAuthority) -> None:
    authority = any_authority
    enrollment(authority, ASKED)
    shown = Presented(label="asked", address="192.0.2.1")
    asks = Asked(EnrollmentClaim(shown), new_request(generate(KeyAlgorithm.P256), "guest-1"))
    outcomes = begin(authority, [lamp(authority, "lamp-1"), asks, lamp(authority, "lamp-2")])
    assert kinds(outcomes) == [Begun, Waiting, Begun]
    (filed,) = entries(authority.db, "request.filed")
    assert filed.actor == "device:guest-1"
    assert given(authority) == {"lamp-1": 1, "lamp-2": 1}


def test_what_breaks_our_own_code_refuses_one_alone(authority: TestAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [lamp(authority, name) for name in ("lamp-1", "lamp-2", "lamp-3")]
    spend = EnrollmentClaim.spend

    def broken(claim: EnrollmentClaim, changing: Change, proof: Proof, intent_id: str) -> None:
        if proof.thing == "lamp-2":
            raise ZeroDivisionError
        spend(claim, changing, proof, intent_id)

    monkeypatch.setattr(EnrollmentClaim, "spend", broken)
    first, second, third = begin(authority, asked)
    assert isinstance(second, ZeroDivisionError)
    assert kinds([first, third]) == [Begun, Begun]
    assert given(authority) == {"lamp-1": 1, "lamp-3": 1}


def test_a_database_that_does_not_answer_is_asked_once(
    authority: TestAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [lamp(authority, name) for name in ("lamp-1", "lamp-2", "lamp-3")]
    times = []

    def gone(*_: object) -> Definition:
        times.append(1)
        raise Fault(Kind.UNAVAILABLE, "the database does not answer")

    monkeypatch.setattr("troth.enrollment.beginnings.prepare_many", gone)
    assert kinds(begin(authority, asked)) == [Kind.UNAVAILABLE] * 3
    assert len(times) == 1


def test_a_token_that_ends_between_two_of_a_batch_is_found_over(authority: TestAuthority, clock: FakeClock) -> None:
    beginnings = Beginnings(authority.db, authority.clock, authority.public_url)
    asked = [lamp(authority, "lamp-1", secret=new_token(authority, "lamp-1", minutes=1)), lamp(authority, "lamp-2")]
    proven = [each for each in beginnings.look(asked) if isinstance(each, Proven)]
    clock.advance(timedelta(minutes=1))
    assert kinds(beginnings.begin(proven)) == [Kind.UNAUTHENTICATED, Begun]


@pytest.mark.parametrize("same_request", [True, False])
def test_two_gateways_that_are_asked_by_one_crowd_give_each_thing_one_certificate(
    any_authority: TestAuthority, tmp_path: Path, same_request: bool
) -> None:
    authority, names = any_authority, [f"lamp-{number}" for number in range(8)]
    secrets = {name: new_token(authority, name) for name in names}
    here = [lamp(authority, name, secret=secrets[name]) for name in names]
    # In another order, so that the two would wait for each other if they went by it.
    there = here if same_request else [lamp(authority, name, secret=secrets[name]) for name in names]
    there = there[::-1]

    async def work() -> list[Enrolled | Waiting | BaseException]:
        bell = tmp_path / "bell"
        async with (
            authority.serving(bell),
            enrollment_at(authority, bell) as first,
            enrollment_at(authority, bell) as second,
        ):
            under_way = [first.enroll(each.claim, each.request) for each in here]
            under_way += [second.enroll(each.claim, each.request) for each in there]
            return await asyncio.gather(*under_way, return_exceptions=True)

    outcomes = asyncio.run(work())
    won = Counter(each.thing for each in outcomes if isinstance(each, Enrolled))
    assert won == dict.fromkeys(names, 2 if same_request else 1), outcomes
    assert {each.kind for each in outcomes if isinstance(each, Fault)} <= {Kind.UNAUTHENTICATED}
    assert given(authority) == dict.fromkeys(names, 1)
    assert len(entries(authority.db, "token.spent")) == len(names)
