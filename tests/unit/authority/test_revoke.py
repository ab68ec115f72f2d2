import pytest
from tests.fixtures.issuance import certificates, entries, intend, intend_all, reread

from troth.authority.intents import IntentState
from troth.authority.revoke import REASONS, parse_reason, revoke, revoke_issuer, revoke_thing
from troth.authority.settle import settle
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.registry.certificates import CertificateState
from troth.registry.issuers import IssuerState, find_issuer
from troth.registry.revocations import find_revocation
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.crl import Reason
from troth.x509.profiles import Purpose


def test_a_revocation_is_state_and_entry_in_one_change(authority: TestAuthority, clock: FakeClock) -> None:
    lamp = authority.device("lamp-1")
    with change(authority.db, clock, "operator:anna", why="stolen") as changing:
        row = revoke(changing, lamp.certificate_id, Reason.KEY_COMPROMISE)
    assert (row.state, row.reason, row.revoked_at) == (CertificateState.REVOKED, "keyCompromise", clock.now())
    (entry,) = entries(authority.db, "certificate.revoked")
    assert (entry.subject, entry.data["thing"], entry.why) == (lamp.certificate_id, "lamp-1", "stolen")
    assert entry.data["reason"] == "keyCompromise"


def test_revoked_twice_is_revoked_once(authority: TestAuthority, clock: FakeClock) -> None:
    lamp = authority.device("lamp-1")
    for reason in (Reason.SUPERSEDED, Reason.KEY_COMPROMISE):
        with change(authority.db, clock, "operator:anna") as changing:
            row = revoke(changing, lamp.certificate_id, reason)
    assert row.reason == "superseded"
    assert len(entries(authority.db, "certificate.revoked")) == 1


def test_a_thing_loses_every_certificate_it_has(authority: TestAuthority, clock: FakeClock) -> None:
    """A thing enrolled anew keeps its old certificate until that is revoked."""
    first, second, other = authority.device("lamp-1"), authority.device("lamp-1"), authority.device("lamp-2")
    authority.revoke(first)
    with change(authority.db, clock, "operator:anna") as changing:
        rows = revoke_thing(changing, "lamp-1", Reason.CESSATION_OF_OPERATION)
    assert [row.certificate_id for row in rows] == [second.certificate_id]
    assert {row.state for row in certificates(authority.db, "lamp-1")} == {CertificateState.REVOKED}
    (row,) = certificates(authority.db, "lamp-2")
    assert (row.certificate_id, row.state) == (other.certificate_id, CertificateState.ACTIVE)
    with change(authority.db, clock, "operator:anna") as changing:
        assert revoke_thing(changing, "lamp-1") == []


def test_what_does_not_exist_cannot_be_revoked(authority: TestAuthority, clock: FakeClock) -> None:
    with pytest.raises(Fault) as caught, change(authority.db, clock, "operator:anna") as changing:
        revoke(changing, "0" * 64)
    assert caught.value.kind is Kind.NOT_FOUND
    with pytest.raises(Fault) as caught, change(authority.db, clock, "operator:anna") as changing:
        revoke_thing(changing, "lamp-9")
    assert caught.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize("reason", REASONS)
def test_reasons_are_rfc_5280s_words_in_any_case(reason: Reason) -> None:
    assert parse_reason(reason.value) is reason
    assert parse_reason(reason.value.upper()) is reason


@pytest.mark.parametrize("text", ["", "because", "certificateHold", "removeFromCRL"])
def test_other_reasons_are_none(text: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_reason(text)
    assert caught.value.kind is Kind.MALFORMED
    assert "keyCompromise" in (caught.value.hint or "")


def test_what_a_thing_waits_for_is_refused_with_its_certificates(authority: TestAuthority, clock: FakeClock) -> None:
    own, other = intend_all(authority, ["lamp-1", "lamp-2"])
    with change(authority.db, clock, "operator:anna") as changing:
        assert revoke_thing(changing, "lamp-1") == []
    assert reread(authority.db, own).state is IntentState.REFUSED
    assert "revoked meanwhile" in reread(authority.db, own).refused().message
    assert reread(authority.db, other).state is IntentState.PREPARED
    assert settle(authority.db, clock, authority.door(), own.intent_id).state is IntentState.REFUSED
    assert certificates(authority.db, "lamp-1") == []


def test_a_ca_goes_on_its_parents_crl_and_signs_no_more(authority: TestAuthority, clock: FakeClock) -> None:
    devices, root = authority.hierarchy.issuing[Purpose.DEVICES], authority.hierarchy.root
    waiting = intend(authority, "lamp-1")
    with change(authority.db, clock, "operator:anna", why="key stolen") as changing:
        (revoked,) = revoke_issuer(changing, devices, Reason.CA_COMPROMISE)
    assert revoked.issuer_id == devices.issuer_id
    with read(authority.db) as connection:
        found = find_issuer(connection, devices.issuer_id)
        listed = find_revocation(connection, root.issuer_id, devices.certificate.serial_number)
    assert found is not None
    assert (found.state, found.is_trusted) == (IssuerState.REVOKED, False)
    assert listed is not None
    assert (listed.reason, listed.revoked_at) == (Reason.CA_COMPROMISE, clock.now())
    (entry,) = entries(authority.db, "issuer.revoked")
    assert (entry.subject, entry.data["reason"], entry.why) == (devices.issuer_id, "cACompromise", "key stolen")
    assert reread(authority.db, waiting).state is IntentState.REFUSED
    with pytest.raises(Fault) as caught:
        authority.device("lamp-2")
    assert caught.value.kind is Kind.NOT_FOUND
    authority.server("other.home.example")
    with change(authority.db, clock, "operator:anna") as changing:
        assert revoke_issuer(changing, found, Reason.SUPERSEDED) == []


def test_a_root_cannot_be_revoked(authority: TestAuthority, clock: FakeClock) -> None:
    for issuer, reason in [
        (authority.hierarchy.root, Reason.CA_COMPROMISE),
        (authority.hierarchy.issuing[Purpose.DEVICES], Reason.CERTIFICATE_HOLD),
    ]:
        with pytest.raises(Fault) as caught, change(authority.db, clock, "operator:anna") as changing:
            revoke_issuer(changing, issuer, reason)
        assert caught.value.kind is Kind.REJECTED
