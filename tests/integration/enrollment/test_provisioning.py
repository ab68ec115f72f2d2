"""From a claim certificate to a thing: what is made, when it ends, and every way of cheating beside its honest twin."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from sqlalchemy import text
from tests.fixtures.enrolling import enrollment_at
from tests.fixtures.issuance import certificates, entries
from tests.fixtures.provisioning import CLAIM, csr, provisioning_at
from tests.fixtures.templates import new_template

from troth.app.duties import duties
from troth.authority.status.publish import CRLDoor
from troth.enrollment import ownerships
from troth.enrollment.flow import Enrolled
from troth.enrollment.ownerships import end_ownerships
from troth.enrollment.proofs.certificate import CertificateClaim
from troth.enrollment.provisioning import NAME, Provisioning
from troth.enrollment.templates import TemplateOptions, update_template
from troth.errors import Fault, Kind, PeerFault
from troth.journal.change import change
from troth.keys.file import generate
from troth.protocols.provisioning import Created, Registered, Registration
from troth.registry.attachments import list_things_of
from troth.registry.certificates import CertificateRow, CertificateState, find_certificate
from troth.registry.states import activate
from troth.registry.things import find_thing
from troth.store.read import read
from troth.testing.authority import TestAuthority, new_request
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm

_T = TypeVar("_T")
HOUR = timedelta(hours=1)


def run(
    authority: TestAuthority, folder: Path, play: Callable[[Provisioning], Awaitable[_T]], *, signs: bool = True
) -> _T:
    """Play with a provisioning whose authority signs, or not."""

    async def live() -> _T:
        async with provisioning_at(authority, folder, wait_s=20.0 if signs else 0.05, signs=signs) as provisioning:
            return await play(provisioning)

    return asyncio.run(live())


def row_of(authority: TestAuthority, created: Created) -> CertificateRow:
    with read(authority.db) as connection:
        found = find_certificate(connection, created.certificate_id)
    assert found is not None
    return found


def make(authority: TestAuthority, folder: Path) -> Created:
    """Have a certificate made for a new key."""
    return run(authority, folder, lambda each: each.create_from_csr(CLAIM, csr()))


def register(authority: TestAuthority, folder: Path, created: Created, serial: str = "1", **more: str) -> Registered:
    """Make the certificate a thing's, by the small template."""
    asked = Registration(created.token, {"Serial": serial, **more})
    return run(authority, folder, lambda each: each.register(CLAIM, "lamps", asked))


def refused(authority: TestAuthority, folder: Path, template: str, asked: Registration) -> Fault:
    """Return why a registration is refused; nothing is made by it."""
    before = _things(authority)
    with pytest.raises(Fault) as fault:
        run(authority, folder, lambda each: each.register(CLAIM, template, asked))
    assert _things(authority) == before
    return fault.value


def _things(authority: TestAuthority) -> list[str]:
    with read(authority.db) as connection:
        return list(connection.scalars(text("SELECT name FROM things ORDER BY name")))


def end(authority: TestAuthority) -> bool:
    """Do the duty that ends what nobody has claimed."""
    with change(authority.db, authority.clock, "authority") as changing:
        return end_ownerships(changing)


def test_a_device_with_a_key_of_its_own_becomes_a_thing(any_authority: TestAuthority, tmp_path: Path) -> None:
    authority = any_authority
    new_template(authority)
    created = make(authority, tmp_path)
    assert created.private_key is None
    waiting = row_of(authority, created)
    assert (waiting.state, waiting.thing) == (CertificateState.PENDING_ACTIVATION, None)
    assert _things(authority) == []
    registered = register(authority, tmp_path, created, Place="cellar")
    assert registered == Registered("lamp-1", {"Place": "cellar", "Greeting": "hello 1"})
    row = row_of(authority, created)
    assert (row.state, row.thing, row.profile, row.method) == (CertificateState.ACTIVE, "lamp-1", "device", "claim")
    with read(authority.db) as connection:
        (attached,) = list_things_of(connection, created.certificate_id)
        thing = find_thing(connection, "lamp-1")
    assert (attached.thing, attached.exclusive) == ("lamp-1", False)
    assert thing is not None
    assert thing.attributes == {"place": "cellar"}
    # All of the second step is one change.
    kinds = ("ownership.spent", "thing.created", "certificate.assigned", "certificate.activated", "policy.attached")
    told = {kind: entries(authority.db, kind)[0] for kind in kinds}
    assert len({entry.at for entry in told.values()}) == 1
    assert {entry.actor for entry in told.values()} == {f"certificate:{CLAIM.certificate_id}"}
    assert told["ownership.spent"].data["template"] == "lamps"


def test_it_is_renewed_under_its_things_name(authority: TestAuthority, tmp_path: Path) -> None:
    """What was issued names nobody. RFC 7030, 4.2.2 has the device ask under that subject; it gets its thing's."""
    new_template(authority)
    key = generate(KeyAlgorithm.P256)
    created = run(authority, tmp_path, lambda each: each.create_from_csr(CLAIM, csr(key)))
    register(authority, tmp_path, created)
    shown = x509.load_pem_x509_certificate(created.certificate_pem.encode())
    claim = CertificateClaim(shown.public_bytes(Encoding.DER))

    async def renew() -> x509.Certificate:
        async with (
            authority.serving(tmp_path / "renewing"),
            enrollment_at(authority, tmp_path / "renewing") as enrollment,
        ):
            with pytest.raises(Fault):
                await enrollment.enroll(claim, new_request(generate(KeyAlgorithm.P256), "another"))
            enrolled = await enrollment.enroll(claim, new_request(generate(KeyAlgorithm.P256), NAME))
            assert isinstance(enrolled, Enrolled)
            return enrolled.certificate

    assert shown.subject.rfc4514_string() == f"CN={NAME}"
    assert asyncio.run(renew()).subject.rfc4514_string() == "CN=lamp-1"


def test_the_server_makes_a_key_where_a_template_allows_it(authority: TestAuthority, tmp_path: Path) -> None:
    new_template(authority, server_keys=True)
    created = run(authority, tmp_path, lambda each: each.create(CLAIM))
    assert created.private_key is not None
    key = load_pem_private_key(created.private_key.encode(), None)
    certificate = x509.load_pem_x509_certificate(created.certificate_pem.encode())
    assert key.public_key() == certificate.public_key()
    assert register(authority, tmp_path, created).thing == "lamp-1"
    # It was handed over, and is nowhere.
    assert authority.db.path is not None
    body = "".join(created.private_key.splitlines()[1:-1]).encode()
    for file in authority.db.path.parent.rglob("*"):
        if file.is_file():
            assert body[:60] not in file.read_bytes()


def test_no_key_is_made_that_no_template_allows(authority: TestAuthority, tmp_path: Path) -> None:
    new_template(authority)
    with pytest.raises(Fault) as fault:
        run(authority, tmp_path, lambda each: each.create(CLAIM))
    assert fault.value.kind is Kind.FORBIDDEN
    assert entries(authority.db, "ownership.created") == []


def test_a_key_of_the_servers_is_taken_by_those_templates_alone_that_allow_it(
    authority: TestAuthority, tmp_path: Path
) -> None:
    new_template(authority)
    new_template(authority, "open", server_keys=True)
    created = run(authority, tmp_path, lambda each: each.create(CLAIM))
    asked = Registration(created.token, {"Serial": "1"})
    assert refused(authority, tmp_path, "lamps", asked).kind is Kind.FORBIDDEN
    assert run(authority, tmp_path, lambda each: each.register(CLAIM, "open", asked)).thing == "lamp-1"


@pytest.mark.parametrize("token", ["", "x", "x" * 10_000, "\ud800", "A" * 22])
def test_a_token_that_is_none(authority: TestAuthority, tmp_path: Path, token: str) -> None:
    new_template(authority)
    make(authority, tmp_path)
    fault = refused(authority, tmp_path, "lamps", Registration(token, {"Serial": "1"}))
    assert fault.kind is Kind.UNAUTHENTICATED


def test_a_token_is_good_once(authority: TestAuthority, tmp_path: Path) -> None:
    new_template(authority)
    created = make(authority, tmp_path)
    first = register(authority, tmp_path, created)
    new_template(authority, "others")
    for template, serial in (("lamps", "2"), ("others", "1")):
        fault = refused(authority, tmp_path, template, Registration(created.token, {"Serial": serial}))
        assert fault.kind is Kind.UNAUTHENTICATED
        assert fault.detail is not None
        assert "spent" in fault.detail
    # A lost answer costs nothing: the very same request is answered again, and makes nothing.
    count = len(entries(authority.db, "ownership.spent"))
    assert register(authority, tmp_path, created) == first
    assert len(entries(authority.db, "ownership.spent")) == count == 1


def test_the_same_request_at_the_same_instant_makes_one_thing(any_authority: TestAuthority, tmp_path: Path) -> None:
    authority = any_authority
    new_template(authority)
    created = make(authority, tmp_path)
    asked = Registration(created.token, {"Serial": "1"})

    async def at_once(provisioning: Provisioning) -> list[Registered]:
        return await asyncio.gather(*(provisioning.register(CLAIM, "lamps", asked) for _ in range(4)))

    said = run(authority, tmp_path, at_once)
    assert said == [Registered("lamp-1", {"Place": "attic", "Greeting": "hello 1"})] * 4
    assert len(entries(authority.db, "ownership.spent")) == 1


def test_a_token_is_good_once_also_at_the_same_instant(any_authority: TestAuthority, tmp_path: Path) -> None:
    authority = any_authority
    new_template(authority)
    created = make(authority, tmp_path)

    async def both(provisioning: Provisioning) -> list[Registered | BaseException]:
        asked = [Registration(created.token, {"Serial": str(each)}) for each in range(6)]
        each = (provisioning.register(CLAIM, "lamps", one) for one in asked)
        return await asyncio.gather(*each, return_exceptions=True)

    outcomes = run(authority, tmp_path, both)
    winners = [each for each in outcomes if isinstance(each, Registered)]
    losers = [each for each in outcomes if isinstance(each, Fault)]
    assert (len(winners), len(losers)) == (1, 5)
    assert {each.kind for each in losers} == {Kind.UNAUTHENTICATED}
    assert _things(authority) == [winners[0].thing]


def test_a_token_lives_one_hour(authority: TestAuthority, tmp_path: Path, clock: FakeClock) -> None:
    new_template(authority)
    in_time, late = make(authority, tmp_path), make(authority, tmp_path)
    clock.advance(HOUR - timedelta(seconds=1))
    register(authority, tmp_path, in_time)
    clock.advance(timedelta(seconds=1))
    fault = refused(authority, tmp_path, "lamps", Registration(late.token, {"Serial": "2"}))
    assert fault.kind is Kind.UNAUTHENTICATED


def test_a_token_is_bound_to_its_certificate_and_not_to_a_connection(authority: TestAuthority, tmp_path: Path) -> None:
    """As on AWS: whoever holds it may use it. Another's token therefore makes the other's certificate a thing's."""
    new_template(authority)
    mine, theirs = make(authority, tmp_path), make(authority, tmp_path)
    register(authority, tmp_path, theirs)
    assert row_of(authority, mine).state is CertificateState.PENDING_ACTIVATION
    assert row_of(authority, theirs).thing == "lamp-1"


@pytest.mark.parametrize(
    ("template", "parameters", "kind"),
    [
        ("other", {"Serial": "1"}, Kind.NOT_FOUND),
        ("jitp", {"Serial": "1"}, Kind.NOT_FOUND),
        ("off", {"Serial": "1"}, Kind.FORBIDDEN),
        ("lamps", {}, Kind.REJECTED),
        ("lamps", {"Serial": "1", "More": "x"}, Kind.REJECTED),
        ("lamps", {"Serial": "1", "AWS::IoT::Certificate::Id": "b" * 64}, Kind.REJECTED),
        ("lamps", {"Serial": "a b"}, Kind.MALFORMED),
        ("lamps", {"Serial": "x" * 200}, Kind.MALFORMED),
        ("lamps", {"Serial": "taken"}, Kind.CONFLICT),
    ],
)
def test_what_is_refused_leaves_the_token_good(
    authority: TestAuthority, tmp_path: Path, template: str, parameters: dict[str, str], kind: Kind
) -> None:
    new_template(authority)
    new_template(authority, "off", enabled=False)
    authority.device("lamp-taken")
    created = make(authority, tmp_path)
    assert refused(authority, tmp_path, template, Registration(created.token, parameters)).kind is kind
    assert row_of(authority, created).state is CertificateState.PENDING_ACTIVATION
    assert register(authority, tmp_path, created).thing == "lamp-1"


def test_a_thing_may_be_provisioned_again_where_the_template_says_so(authority: TestAuthority, tmp_path: Path) -> None:
    new_template(authority, again=True)
    first, second = make(authority, tmp_path), make(authority, tmp_path)
    register(authority, tmp_path, first)
    register(authority, tmp_path, second)
    assert {row.certificate_id for row in certificates(authority.db, "lamp-1")} == {
        first.certificate_id,
        second.certificate_id,
    }


def test_a_key_of_another_thing_is_refused(authority: TestAuthority, tmp_path: Path) -> None:
    new_template(authority)
    key = generate(KeyAlgorithm.P256)
    authority.device("lamp-9", key=key)
    created = run(authority, tmp_path, lambda each: each.create_from_csr(CLAIM, csr(key)))
    fault = refused(authority, tmp_path, "lamps", Registration(created.token, {"Serial": "1"}))
    assert fault.kind is Kind.BAD_KEY


def test_a_request_that_is_bad_makes_nothing(authority: TestAuthority, tmp_path: Path) -> None:
    good = csr()
    for bad in (b"", b"x", good[:-40], good.replace(b"A", b"B", 1), b"x" * 100_000):
        with pytest.raises(PeerFault):
            run(authority, tmp_path, lambda each, bad=bad: each.create_from_csr(CLAIM, bad), signs=False)  # type: ignore[misc]
    assert entries(authority.db, "ownership.created") == []
    assert run(authority, tmp_path, lambda each: each.create_from_csr(CLAIM, good)).token


def test_a_template_that_changes_meanwhile_decides_nothing(authority: TestAuthority, tmp_path: Path) -> None:
    new_template(authority)
    created = make(authority, tmp_path)
    asked = Registration(created.token, {"Serial": "1"})

    async def play(provisioning: Provisioning) -> None:
        looked = await asyncio.to_thread(provisioning._look, "lamps", asked)
        assert not isinstance(looked, Registered)
        with change(authority.db, authority.clock, "operator:anna") as changing:
            update_template(changing, "lamps", options=TemplateOptions(enabled=False))
        with pytest.raises(Fault, match="changed meanwhile"):
            await asyncio.to_thread(provisioning._register, CLAIM, looked[0], asked, asked.parameters)

    run(authority, tmp_path, play)
    assert _things(authority) == []


def test_what_nobody_claims_is_revoked_when_its_hour_is_over(
    authority: TestAuthority, tmp_path: Path, clock: FakeClock
) -> None:
    new_template(authority)
    lost, used, kept = (make(authority, tmp_path) for _ in range(3))
    register(authority, tmp_path, used)
    with change(authority.db, clock, "operator:anna") as changing:
        activate(changing, kept.certificate_id)
    assert not end(authority)
    assert entries(authority.db, "ownership.ended") == []
    clock.advance(HOUR)
    assert not end(authority)
    assert row_of(authority, lost).state is CertificateState.REVOKED
    assert row_of(authority, used).state is CertificateState.ACTIVE
    assert row_of(authority, kept).state is CertificateState.ACTIVE
    (entry,) = entries(authority.db, "ownership.ended")
    assert entry.data["revoked"] == [lost.certificate_id]
    assert not end(authority)
    assert len(entries(authority.db, "ownership.ended")) == 1


def test_the_authority_ends_it_by_itself(authority: TestAuthority, tmp_path: Path, clock: FakeClock) -> None:
    lost = make(authority, tmp_path)
    every = duties(CRLDoor({}, authority.public_url), timedelta(days=1))
    (duty,) = [each for each in every if each.name == "end-ownerships"]
    assert duty.every_s <= 60
    duty.do(authority.db, clock)
    assert row_of(authority, lost).state is CertificateState.PENDING_ACTIVATION
    clock.advance(HOUR)
    duty.do(authority.db, clock)
    assert row_of(authority, lost).state is CertificateState.REVOKED


def test_ending_is_done_some_at_a_time(
    authority: TestAuthority, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [make(authority, tmp_path) for _ in range(3)]
    clock.advance(HOUR)
    monkeypatch.setattr(ownerships, "OWNERSHIPS_PER_CHANGE_MAX", 2)
    assert end(authority)
    assert not end(authority)
    assert {row_of(authority, each).state for each in made} == {CertificateState.REVOKED}


def test_an_authority_that_sleeps_costs_nothing_but_time(
    authority: TestAuthority, tmp_path: Path, clock: FakeClock
) -> None:
    with pytest.raises(Fault) as fault:
        run(authority, tmp_path, lambda each: each.create_from_csr(CLAIM, csr()), signs=False)
    assert fault.value.kind is Kind.UNAVAILABLE
    clock.advance(HOUR)
    assert not end(authority)
    (entry,) = entries(authority.db, "ownership.ended")
    assert entry.data["revoked"] == []


def test_one_claim_certificate_makes_so_many_at_a_time(
    authority: TestAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_template(authority)
    monkeypatch.setattr("troth.enrollment.provisioning.PROVISIONING_UNCLAIMED_MAX", 2)
    first, _ = make(authority, tmp_path), make(authority, tmp_path)
    with pytest.raises(Fault) as fault:
        make(authority, tmp_path)
    assert fault.value.kind is Kind.RATE_LIMITED
    register(authority, tmp_path, first)
    assert make(authority, tmp_path).token
