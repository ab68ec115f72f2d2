"""CRLs as they are published: each number once, deltas that add up, nothing told too early or too late."""

from datetime import timedelta

import pytest
from cryptography import x509
from tests.fixtures.crl_lint import crl_findings
from tests.fixtures.issuance import entries
from tests.unit.authority.status.conftest import Find, Publish

from troth.authority.status.publish import CRLDoor, list_due, scopes_of
from troth.authority.status.stored import CRLKind, StoredCRL, list_crls
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.file import FileKey, generate
from troth.keys.signing import SigningKey
from troth.registry.issuers import Issuer
from troth.registry.states import hold, release
from troth.store.read import read
from troth.testing.authority import Held, TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm, PublicKey
from troth.x509.crl import parse_crl
from troth.x509.profiles import Purpose
from troth.x509.serials import shard_of

REMOVE = x509.ReasonFlags.remove_from_crl


def told(crl: StoredCRL) -> dict[int, x509.ReasonFlags | None]:
    return {
        entry.serial_number: next(
            (each.value.reason for each in entry.extensions if isinstance(each.value, x509.CRLReason)), None
        )
        for entry in parse_crl(crl.der)
    }


def serial(held: Held) -> int:
    return held.certificate.serial_number


def put_on_hold(authority: TestAuthority, held: Held) -> None:
    with change(authority.db, authority.clock, "test") as changing:
        hold(changing, held.certificate_id)


def let_go(authority: TestAuthority, held: Held) -> None:
    with change(authority.db, authority.clock, "test") as changing:
        release(changing, held.certificate_id)


@pytest.mark.slow
def test_all_that_is_published_is_signed_by_its_ca_and_clean(authority: TestAuthority, door: CRLDoor) -> None:
    issuers = [authority.hierarchy.root, *authority.hierarchy.issuing.values()]
    lamp = authority.device("lamp-1")
    authority.revoke(lamp)
    published = door.publish_due(authority.db, authority.clock, "test", issuers)
    by_id = {issuer.issuer_id: issuer for issuer in issuers}
    # A root has no deltas; each scope of the others has one.
    assert len(published) == sum(
        len(scopes_of(issuer)) * (1 if issuer.purpose is Purpose.ROOT else 2) for issuer in issuers
    )
    for crl in published:
        issuer = by_id[crl.scope.issuer_id]
        parsed = parse_crl(crl.der)
        assert parsed.is_signature_valid(issuer.certificate.public_key())  # type: ignore[arg-type]
        assert parsed.next_update_utc == crl.next_update
    for crl in published[:: len(published) // 12]:
        assert crl_findings(crl.der) == []
    telling = [(crl.scope.shard, crl.kind) for crl in published if serial(lamp) in told(crl)]
    assert telling == [(None, CRLKind.COMPLETE), (shard_of(serial(lamp)), CRLKind.COMPLETE)]
    assert door.publish_due(authority.db, authority.clock, "test", issuers) == []


def test_a_revocation_comes_into_the_next_crl_and_its_delta(
    authority: TestAuthority, publish: Publish, in_force: Find
) -> None:
    publish()
    first, second = authority.device("lamp-1"), authority.device("lamp-2")
    authority.revoke(first)
    publish()
    authority.revoke(second)
    complete, delta = publish()
    assert (complete.number, complete.base_number) == (3, None)
    # Both came after the base, which is the first of the rhythm.
    assert (delta.number, delta.base_number) == (3, 1)
    assert set(told(complete)) == set(told(delta)) == {serial(first), serial(second)}
    assert in_force(CRLKind.BASE).number == 1
    assert in_force() == complete


def test_a_hold_that_ended_is_told_to_those_who_heard_of_it(
    authority: TestAuthority, publish: Publish, clock: FakeClock
) -> None:
    early, late = authority.device("lamp-1"), authority.device("lamp-2")
    put_on_hold(authority, early)
    publish()
    put_on_hold(authority, late)
    publish()
    let_go(authority, early)
    let_go(authority, late)
    for _ in range(2):
        complete, delta = publish()
        assert told(complete) == {}
        # The base has never said a word of the second, an earlier delta has.
        assert told(delta) == {serial(early): REMOVE, serial(late): REMOVE}
    clock.advance(timedelta(days=1))
    publish()
    complete, delta = publish()
    assert (told(complete), told(delta)) == ({}, {})


def test_each_number_is_given_once_whatever_becomes_of_it(
    authority: TestAuthority, devices: Issuer, publish: Publish, in_force: Find
) -> None:
    publish()
    before = in_force()
    key = BrokenKey()
    broken = CRLDoor({devices.issuer_id: key}, authority.public_url)
    lamp = authority.device("lamp-1")
    authority.revoke(lamp)
    for key.signs in (False, True):
        with pytest.raises(Fault) as caught:
            broken.publish(authority.db, authority.clock, "test", devices, [None])
        assert caught.value.kind is Kind.UNAVAILABLE
        assert in_force() == before
    complete, _ = publish()
    assert complete.number == 4
    intended = [
        (each["number"], each["kind"], each["tbs_digest"])
        for entry in entries(authority.db, "crl.intended")
        for each in entry.data["crls"]
    ]
    assert len({(number, kind) for number, kind, _ in intended}) == len(intended) == 8
    published = [each["number"] for entry in entries(authority.db, "crl.published") for each in entry.data["crls"]]
    assert published == [1, 1, 4, 4]


class BrokenKey:
    """A key that fails, or signs with another key than the CA's."""

    def __init__(self) -> None:
        self.signs = False
        self._other: FileKey = generate(KeyAlgorithm.P384)

    @property
    def algorithm(self) -> KeyAlgorithm:
        return KeyAlgorithm.P384

    @property
    def public_key(self) -> PublicKey:
        return self._other.public_key

    def sign(self, data: bytes) -> bytes:
        if not self.signs:
            raise OSError("the token was pulled out")
        return self._other.sign(data)


def test_two_who_publish_at_once_never_share_a_number(
    authority: TestAuthority, devices: Issuer, door: CRLDoor, publish: Publish, in_force: Find
) -> None:
    class Overtaken:
        """A key that somebody else publishes with while this one signs."""

        def __init__(self, key: FileKey) -> None:
            self.key, self.algorithm, self.public_key = key, key.algorithm, key.public_key

        def sign(self, data: bytes) -> bytes:
            if in_force().number == 1:
                publish()
            return self.key.sign(data)

    publish()
    key = Overtaken(authority.cabinet.keys[devices.key_name])
    other = CRLDoor({devices.issuer_id: key}, authority.public_url)
    # The one that was overtaken does not put an older CRL in place of a younger one.
    assert other.publish(authority.db, authority.clock, "test", devices, [None]) == []
    assert in_force().number == 3
    numbers = [each["number"] for entry in entries(authority.db, "crl.intended") for each in entry.data["crls"]]
    assert numbers == [1, 1, 2, 2, 3, 3]


def test_what_has_expired_is_told_once_more_and_then_no_longer(
    authority: TestAuthority, publish: Publish, clock: FakeClock
) -> None:
    lamp = authority.device("lamp-1")
    authority.revoke(lamp)
    publish()
    ends = lamp.certificate.not_valid_after_utc
    clock.set(ends - timedelta(hours=1))
    publish()
    clock.set(ends + timedelta(hours=1))
    # One made because of a revocation is not the one by the rhythm that RFC 5280, 3.3 speaks of.
    assert set(told(publish()[0])) == {serial(lamp)}
    clock.set(ends + timedelta(hours=24))
    assert set(told(publish()[0])) == {serial(lamp)}
    complete, delta = publish()
    assert told(complete) == {}
    assert told(delta) in ({}, {serial(lamp): REMOVE})


def test_the_journal_tells_what_was_published(authority: TestAuthority, devices: Issuer, publish: Publish) -> None:
    complete, delta = publish()
    (entry,) = entries(authority.db, "crl.published")
    assert entry.subject == devices.issuer_id
    assert entry.data["crls"] == [
        {
            "shard": None,
            "kind": crl.kind.value,
            "number": crl.number,
            "base_number": crl.base_number,
            "sha256": crl.sha256,
            "entries": 0,
        }
        for crl in (complete, delta)
    ]


@pytest.mark.parametrize(
    ("passed", "is_due"),
    [
        (timedelta(0), False),
        (timedelta(hours=23), False),
        (timedelta(days=1), True),
        (timedelta(days=30), True),
        # A clock that was wrong when they were made: nobody believes them yet.
        (-timedelta(days=1), True),
    ],
)
def test_they_are_due_by_the_day_and_when_they_come_from_the_future(
    authority: TestAuthority, devices: Issuer, publish: Publish, clock: FakeClock, passed: timedelta, is_due: bool
) -> None:
    publish()
    with read(authority.db) as connection:
        made = list_crls(connection, devices.issuer_id)
    # Nothing has been made of the shards yet.
    shards = scopes_of(devices)[1:]
    assert list_due(made, devices, clock.now() + passed) == [*((None,) if is_due else ()), *shards]


def test_a_ca_whose_time_is_over_publishes_nothing(devices: Issuer) -> None:
    end = devices.certificate.not_valid_after_utc
    assert list_due([], devices, end) != []
    assert list_due([], devices, end + timedelta(seconds=1)) == []


def test_a_ca_without_its_key_here_is_left_alone(authority: TestAuthority, devices: Issuer) -> None:
    door = CRLDoor({}, authority.public_url)
    assert door.publish_due(authority.db, authority.clock, "test", [devices]) == []
    with pytest.raises(Fault) as caught:
        door.publish(authority.db, authority.clock, "test", devices, [None])
    assert caught.value.kind is Kind.UNAVAILABLE


def test_one_ca_that_fails_keeps_no_other_from_publishing(authority: TestAuthority, devices: Issuer) -> None:
    servers = authority.hierarchy.issuing[Purpose.SERVERS]
    keys: dict[str, SigningKey] = {
        devices.issuer_id: BrokenKey(),
        servers.issuer_id: authority.cabinet.keys[servers.key_name],
    }
    published = CRLDoor(keys, authority.public_url).publish_due(
        authority.db, authority.clock, "test", [devices, servers]
    )
    assert {crl.scope.issuer_id for crl in published} == {servers.issuer_id}
