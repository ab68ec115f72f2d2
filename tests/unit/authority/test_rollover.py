"""From one generation to the next, cut off anywhere or not, and retirement that loses nobody unless it is told to."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from sqlalchemy import Connection
from tests.fixtures.issuance import entries

from troth.authority.ceremony import Ceremony
from troth.authority.rollover import create_issuer, retire, roll_over
from troth.authority.settle import issue
from troth.errors import Fault, Kind
from troth.evidence.entry import Entry
from troth.journal.change import change
from troth.keys.file import FileKey, generate
from troth.registry.cross_certificates import list_cross_certificates
from troth.registry.issuers import Issuer, IssuerState, chain_of, get_issuer, get_issuer_named, list_issuers
from troth.registry.profiles import apply_profile
from troth.registry.states import supersede
from troth.registry.trust import path_shown, trust_bundle
from troth.registry.uptake import RENEWAL, record_uptake
from troth.store.connect import Database
from troth.store.read import read
from troth.store.write import write
from troth.testing.authority import ACTOR, MemoryCabinet, TestAuthority, new_request
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import certificate_id, find_extension
from troth.x509.profiles import ExtendedUse, Purpose
from troth.x509.verify import verify_chain

pytestmark = pytest.mark.slow

SITE = "home.example"


@pytest.fixture
def ceremony(authority: TestAuthority) -> Ceremony:
    """A ceremony on the site."""
    return Ceremony(authority.db, authority.clock, authority.public_url, authority.cabinet, ACTOR)


def over(ceremony: Ceremony, line: str) -> Issuer:
    return roll_over(ceremony, site=SITE, line=line, names=()).new


def named(authority: TestAuthority, name: str) -> Issuer:
    with read(authority.db) as connection:
        return get_issuer_named(connection, name)


def states(authority: TestAuthority) -> dict[str, IssuerState]:
    with read(authority.db) as connection:
        return {issuer.name: issuer.state for issuer in list_issuers(connection)}


def device(authority: TestAuthority, thing: str, profile: str = "device", *, method: str = "test") -> x509.Certificate:
    """Certify a thing by whoever signs now."""
    authority.thing(thing)
    return issue(
        authority.db,
        authority.clock,
        authority.door(),
        ACTOR,
        profile=profile,
        request=new_request(generate(KeyAlgorithm.P256), thing),
        thing=thing,
        method=method,
        proof={},
        public_url=authority.public_url,
    )


def hold(authority: TestAuthority, thing: str, root: Issuer, *, held: bool = True) -> None:
    """Let a device have been told of a bundle with this root."""
    with change(authority.db, authority.clock, ACTOR) as changing:
        record_uptake(changing, thing, root_id=root.issuer_id, bundle=root.issuer_id, held=held)


def test_the_next_generation_signs_at_once_and_the_one_before_stays_good(
    authority: TestAuthority, ceremony: Ceremony
) -> None:
    before = device(authority, "lamp-1")
    made = roll_over(ceremony, site=SITE, line="devices", names=())
    assert (made.old.name, made.old.state) == ("devices-1", IssuerState.SUPERSEDED)
    assert (made.new.name, made.new.state) == ("devices-2", IssuerState.ACTIVE)
    after = device(authority, "lamp-1")
    assert after.issuer == made.new.certificate.subject
    for leaf, issuer in ((before, made.old), (after, made.new)):
        chain = [leaf, issuer.certificate]
        verify_chain(chain, [authority.root], at=authority.clock.now(), use=ExtendedUse.CLIENT_AUTH)
    kinds = [entry.kind for entry in entries_of(authority, made.old) + entries_of(authority, made.new)]
    assert kinds == ["issuer.created", "issuer.superseded", "issuer.created", "issuer.activated"]


def entries_of(authority: TestAuthority, issuer: Issuer) -> list[Entry]:
    kinds = ("issuer.created", "issuer.superseded", "issuer.activated", "issuer.retired")
    found = [entry for kind in kinds for entry in entries(authority.db, kind) if entry.subject == issuer.issuer_id]
    return sorted(found, key=lambda entry: entry.number)


def test_no_two_generations_share_a_name_or_a_key(authority: TestAuthority, ceremony: Ceremony) -> None:
    for line in ("root", "devices", "servers", "operators", "devices"):
        over(ceremony, line)
    with read(authority.db) as connection:
        issuers = list_issuers(connection)
    assert len(issuers) == 9
    assert len({issuer.certificate.subject for issuer in issuers}) == 9
    identifiers = [find_extension(issuer.certificate, x509.SubjectKeyIdentifier) for issuer in issuers]
    assert len({identifier.digest for identifier in identifiers if identifier}) == 9
    assert len({issuer.key_name for issuer in issuers}) == 9


def test_a_new_root_and_the_old_lead_to_each_other(authority: TestAuthority, ceremony: Ceremony) -> None:
    made = roll_over(ceremony, site=SITE, line="root", names=())
    old, new = made.old.certificate, made.new.certificate
    new_with_old, old_with_new = (cross.certificate for cross in made.crosses)
    assert (new_with_old.subject, new_with_old.issuer) == (new.subject, old.subject)
    assert new_with_old.public_key() == new.public_key()
    assert (old_with_new.subject, old_with_new.issuer) == (old.subject, new.subject)
    assert old_with_new.public_key() == old.public_key()
    # Neither outlives the root that it certifies.
    assert old_with_new.not_valid_after_utc <= old.not_valid_after_utc
    second = over(ceremony, "devices")
    assert second.parent_id == made.new.issuer_id
    leaves = {made.old: named(authority, "devices-1"), made.new: second}
    for anchor in (old, new):
        for root, issuer in leaves.items():
            with read(authority.db) as connection:
                shown = path_shown(connection, issuer.issuer_id)
            cross = shown[1:] if root.certificate != anchor else ()
            verify_chain([shown[0], *cross], [anchor], at=authority.clock.now(), use=ExtendedUse.CLIENT_AUTH)


def test_everybody_is_told_of_both_roots(authority: TestAuthority, ceremony: Ceremony) -> None:
    with read(authority.db) as connection:
        before = trust_bundle(connection)
    assert [root.name for root in before.roots] == ["root-1"]
    assert before.crosses == ()
    made = roll_over(ceremony, site=SITE, line="root", names=())
    with read(authority.db) as connection:
        after = trust_bundle(connection)
    assert [root.name for root in after.roots] == ["root-2", "root-1"]
    assert {cross.certificate_id for cross in after.crosses} == {cross.certificate_id for cross in made.crosses}
    assert before.digest != after.digest


class Cut(BaseException):
    """The power goes."""


class Power:
    """Fails at the n-th moment at which something becomes durable: a key is kept, or a change is about to commit."""

    def __init__(self, moments: int) -> None:
        self.left = moments

    def moment(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cut

    def cabinet(self, real: Callable[..., FileKey]) -> Callable[..., FileKey]:
        def make(*parts: object) -> FileKey:
            key = real(*parts)
            self.moment()
            return key

        return make

    def write(self, real: Callable[[Database], AbstractContextManager[Connection]]) -> object:
        @contextmanager
        def until_the_power_goes(db: Database) -> Iterator[Connection]:
            with real(db) as connection:
                yield connection
                self.moment()

        return until_the_power_goes


# Key, intent and conclusion of the new one; for a root, intent and conclusion of two crosses; then the change of hands.
@pytest.mark.parametrize(
    ("line", "when"), [*(("root", when) for when in range(8)), *(("devices", when) for when in range(4))]
)
def test_a_rollover_cut_off_anywhere_is_finished_by_calling_again(
    authority: TestAuthority, ceremony: Ceremony, monkeypatch: pytest.MonkeyPatch, line: str, when: int
) -> None:
    power = Power(when)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryCabinet, "make", power.cabinet(MemoryCabinet.make))
        patch.setattr("troth.journal.change.write", power.write(write))
        with pytest.raises(Cut):
            over(ceremony, line)
    assert states(authority)[f"{line}-1"] is IssuerState.ACTIVE
    kept = dict(authority.cabinet.keys)
    over(ceremony, line)
    found = {name: state for name, state in states(authority).items() if name.startswith(line)}
    assert found == {f"{line}-1": IssuerState.SUPERSEDED, f"{line}-2": IssuerState.ACTIVE}
    with read(authority.db) as connection:
        crosses = list_cross_certificates(connection)
    assert len(crosses) == (2 if line == "root" else 0)
    issuer = named(authority, f"{line}-2")
    assert authority.cabinet.open(issuer.key_name).public_key == issuer.certificate.public_key()
    assert authority.cabinet.keys == kept


@pytest.mark.parametrize(("line", "moments"), [("root", 8), ("devices", 4)])
def test_the_moments_above_are_all_there_are(
    authority: TestAuthority, ceremony: Ceremony, monkeypatch: pytest.MonkeyPatch, line: str, moments: int
) -> None:
    power = Power(moments)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryCabinet, "make", power.cabinet(MemoryCabinet.make))
        patch.setattr("troth.journal.change.write", power.write(write))
        over(ceremony, line)
    assert power.left == 0


def test_there_are_never_three_roots_in_force(authority: TestAuthority, ceremony: Ceremony) -> None:
    second = over(ceremony, "root")
    with pytest.raises(Fault) as caught:
        over(ceremony, "root")
    assert caught.value.kind is Kind.CONFLICT
    assert "root-1" in (caught.value.hint or "")
    for line in ("devices", "servers", "operators"):
        over(ceremony, line)
        retire(ceremony, f"{line}-1")
    retire(ceremony, "root-1")
    third = over(ceremony, "root")
    assert (second.name, third.name) == ("root-2", "root-3")


def test_without_the_roots_key_nothing_is_made(authority: TestAuthority, ceremony: Ceremony) -> None:
    kept = authority.cabinet.keys.pop("root/root.key")
    before = set(authority.cabinet.keys)
    for line in ("devices", "root"):
        with pytest.raises(Fault) as caught:
            over(ceremony, line)
        assert caught.value.kind is Kind.NOT_FOUND
    assert set(authority.cabinet.keys) == before
    assert states(authority)["devices-1"] is IssuerState.ACTIVE
    authority.cabinet.keys["root/root.key"] = kept
    assert over(ceremony, "devices").name == "devices-2"


def test_retirement_waits_for_the_last_device(authority: TestAuthority, ceremony: Ceremony) -> None:
    device(authority, "lamp-1")
    device(authority, "lamp-2")
    over(ceremony, "devices")
    device(authority, "lamp-1")
    with pytest.raises(Fault) as caught:
        retire(ceremony, "devices-1")
    assert caught.value.kind is Kind.CONFLICT
    assert [part.message[:9] for part in caught.value.parts] == ["1 devices"]
    device(authority, "lamp-2")
    assert retire(ceremony, "devices-1").state is IssuerState.RETIRED
    with read(authority.db) as connection:
        assert [issuer.name for issuer in trust_bundle(connection).devices] == ["devices-2"]


def test_a_root_waits_for_what_it_certified_and_for_every_device(authority: TestAuthority, ceremony: Ceremony) -> None:
    device(authority, "lamp-1")
    device(authority, "lamp-2")
    new = over(ceremony, "root")
    hold(authority, "lamp-1", new)
    hold(authority, "lamp-2", new, held=False)
    with pytest.raises(Fault) as caught:
        retire(ceremony, "root-1")
    assert [part.message for part in caught.value.parts] == [
        "it has certified devices-1, operators-1, servers-1, which are not retired",
        "1 of 2 devices have not shown that they hold a younger root",
    ]
    for line in ("devices", "servers", "operators"):
        over(ceremony, line)
        retire(ceremony, f"{line}-1", force=f"{line}-1")
    with pytest.raises(Fault):
        retire(ceremony, "root-1")
    hold(authority, "lamp-2", new)
    assert retire(ceremony, "root-1").state is IssuerState.RETIRED
    with read(authority.db) as connection:
        assert [root.name for root in trust_bundle(connection).roots] == ["root-2"]
        assert trust_bundle(connection).crosses == ()


def test_who_is_to_be_lost_is_lost_by_name_only(authority: TestAuthority, ceremony: Ceremony) -> None:
    device(authority, "lamp-1")
    over(ceremony, "devices")
    with pytest.raises(Fault) as caught:
        retire(ceremony, "devices-1", force="devices-2")
    assert caught.value.kind is Kind.MALFORMED
    retire(replace(ceremony, why="stolen"), "devices-1", force="devices-1")
    (entry,) = entries(authority.db, "issuer.retired")
    assert (entry.why, len(entry.data["lost"])) == ("stolen", 1)
    # Again, it changes nothing.
    assert retire(ceremony, "devices-1").state is IssuerState.RETIRED


def test_what_signs_is_not_retired(authority: TestAuthority, ceremony: Ceremony) -> None:
    with pytest.raises(Fault) as caught:
        retire(ceremony, "devices-1", force="devices-1")
    assert caught.value.hint == "roll it over first: troth ca rollover devices"


def test_retirement_waits_until_what_was_renewed_is_used(authority: TestAuthority, ceremony: Ceremony) -> None:
    before = device(authority, "lamp-1")
    over(ceremony, "devices")
    # The answer may be on its way yet, or lost: until it is used, the device has the old one alone.
    after = device(authority, "lamp-1", method=RENEWAL)
    with pytest.raises(Fault):
        retire(ceremony, "devices-1")
    with change(authority.db, authority.clock, ACTOR) as changing:
        supersede(changing, certificate_id(before), by=certificate_id(after))
    assert retire(ceremony, "devices-1").state is IssuerState.RETIRED


def test_what_was_renewed_in_vain_takes_nobodys_place(authority: TestAuthority, ceremony: Ceremony) -> None:
    before = device(authority, "lamp-1")
    over(ceremony, "devices")
    after = device(authority, "lamp-1", method=RENEWAL)
    with change(authority.db, authority.clock, ACTOR) as changing:
        supersede(changing, certificate_id(after), by=certificate_id(before))
    with pytest.raises(Fault):
        retire(ceremony, "devices-1")


def test_retirement_waits_for_who_is_away_and_may_still_renew(authority: TestAuthority, ceremony: Ceremony) -> None:
    authority.device("lamp-1", at=authority.clock.now() - timedelta(days=100))
    new = over(ceremony, "root")
    over(ceremony, "devices")
    for name, obstacle in (("devices-1", "1 devices have certificates"), ("root-1", "1 of 1 devices have not shown")):
        with pytest.raises(Fault) as caught:
            retire(ceremony, name)
        assert obstacle in "".join(part.message for part in caught.value.parts)
    # As it comes back, it renews, and learns of the new root.
    device(authority, "lamp-1")
    hold(authority, "lamp-1", new)
    assert retire(ceremony, "devices-1").state is IssuerState.RETIRED


def test_an_expired_certificate_keeps_nobody_waiting(authority: TestAuthority, ceremony: Ceremony) -> None:
    authority.device("lamp-1", at=authority.clock.now() - timedelta(days=200))
    over(ceremony, "devices")
    assert retire(ceremony, "devices-1").state is IssuerState.RETIRED


def test_a_retired_issuer_signs_nothing_any_more(authority: TestAuthority, ceremony: Ceremony) -> None:
    old = named(authority, "devices-1")
    over(ceremony, "devices")
    assert old.issuer_id in authority.door().issuer_ids
    retire(ceremony, "devices-1")
    assert old.issuer_id not in authority.door().issuer_ids


def test_a_further_ca_is_chosen_by_its_name(authority: TestAuthority, ceremony: Ceremony) -> None:
    made = create_issuer(ceremony, site=SITE, purpose=Purpose.DEVICES, line="factory", names=())
    assert (made.name, made.state) == ("factory-1", IssuerState.ACTIVE)
    with change(authority.db, authority.clock, ACTOR) as changing:
        apply_profile(
            changing,
            'name = "made-there"\nissuer = "devices"\nissuer_name = "factory"\nsubject = "thing"\n'
            'algorithms = ["P-256"]\nvalidity = "90d"\n'
            'key_usage = ["digital-signature"]\nextended_key_usage = ["client-auth"]\n',
        )
    assert device(authority, "lamp-1", "made-there").issuer == made.certificate.subject
    # Who asks for no name gets the purpose's own, although it is older.
    assert device(authority, "lamp-1").issuer == named(authority, "devices-1").certificate.subject
    second = over(ceremony, "factory")
    assert second.name == "factory-2"
    assert device(authority, "lamp-1", "made-there").issuer == second.certificate.subject
    with read(authority.db) as connection:
        assert get_issuer(connection, Purpose.DEVICES).name == "devices-1"
        assert chain_of(connection, second.issuer_id)[-1] == authority.root


@pytest.mark.parametrize(
    ("purpose", "line", "kind"),
    [
        (Purpose.DEVICES, "servers", Kind.MALFORMED),
        (Purpose.DEVICES, "Factory", Kind.MALFORMED),
        (Purpose.DEVICES, "1st", Kind.MALFORMED),
        (Purpose.DEVICES, "x" * 33, Kind.MALFORMED),
        (Purpose.DEVICES, None, Kind.CONFLICT),
        (Purpose.ROOT, None, Kind.CONFLICT),
        (Purpose.ROOT, "other", Kind.MALFORMED),
    ],
)
def test_names_that_no_further_ca_can_have(ceremony: Ceremony, purpose: Purpose, line: str | None, kind: Kind) -> None:
    with pytest.raises(Fault) as caught:
        create_issuer(ceremony, site=SITE, purpose=purpose, line=line, names=())
    assert caught.value.kind is kind


def test_a_line_that_is_not_there(ceremony: Ceremony) -> None:
    with pytest.raises(Fault) as caught:
        over(ceremony, "pirates")
    assert (caught.value.kind, caught.value.hint) == (Kind.NOT_FOUND, "there are: devices, operators, root, servers")
