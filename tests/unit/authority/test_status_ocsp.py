"""What OCSP answers are made of, and what the authority's own process certifies for those who give them."""

import pytest

from troth.app.wiring.door import open_door
from troth.authority.intents import IntentState, get_intent
from troth.authority.issue import prepare
from troth.authority.settle import settle_waiting
from troth.authority.status.ocsp import find_signer, find_statuses, list_answered, prepare_signer
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.file import generate
from troth.registry.issuers import Issuer, IssuerState, set_issuer_state
from troth.registry.profiles import apply_profile, get_profile
from troth.registry.states import deactivate, hold, release
from troth.store.read import read
from troth.testing.authority import ACTOR, TestAuthority, new_request
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.crl import Reason
from troth.x509.ocsp import CertStatus, good, revoked
from troth.x509.profiles import Purpose


def status_of(authority: TestAuthority, serial: int) -> CertStatus | None:
    key = (authority.hierarchy.issuing[Purpose.DEVICES].issuer_id, serial)
    with read(authority.db) as connection:
        return find_statuses(connection, [key])[key]


def test_ocsp_says_what_the_crl_says(authority: TestAuthority, clock: FakeClock) -> None:
    lamp = authority.device("lamp-1")
    serial = lamp.certificate.serial_number
    assert status_of(authority, serial) == good()
    with change(authority.db, clock, ACTOR) as changing:
        deactivate(changing, lamp.certificate_id)
    assert status_of(authority, serial) == good()
    held_at = clock.now()
    with change(authority.db, clock, ACTOR) as changing:
        hold(changing, lamp.certificate_id)
    assert status_of(authority, serial) == revoked(held_at, Reason.CERTIFICATE_HOLD)
    with change(authority.db, clock, ACTOR) as changing:
        release(changing, lamp.certificate_id)
    assert status_of(authority, serial) == good()
    authority.revoke(lamp, Reason.AFFILIATION_CHANGED)
    assert status_of(authority, serial) == revoked(clock.now(), Reason.AFFILIATION_CHANGED)


@pytest.mark.parametrize("serial", [0, -5, 1, 1 << 200])
def test_no_serial_number_but_those_given_is_known(authority: TestAuthority, serial: int) -> None:
    assert status_of(authority, serial) is None


def test_who_is_answered_for(authority: TestAuthority, clock: FakeClock) -> None:
    """Neither the root nor whoever is not trusted any more."""
    with read(authority.db) as connection:
        assert {issuer.purpose for issuer in list_answered(connection)} == {
            Purpose.DEVICES,
            Purpose.SERVERS,
            Purpose.OPERATORS,
        }
    servers = authority.hierarchy.issuing[Purpose.SERVERS].issuer_id
    with change(authority.db, clock, ACTOR) as changing:
        set_issuer_state(changing, servers, IssuerState.RETIRED)
    with read(authority.db) as connection:
        assert servers not in {issuer.issuer_id for issuer in list_answered(connection)}


def intend_signer(authority: TestAuthority, issuer: Issuer) -> str:
    with change(authority.db, authority.clock, "system:gateway") as changing:
        key = generate(KeyAlgorithm.P256)
        return prepare_signer(changing, issuer, key, authority.public_url).intent_id


@pytest.mark.parametrize("purpose", [Purpose.DEVICES, Purpose.SERVERS, Purpose.OPERATORS])
def test_the_authority_process_certifies_signers_for_every_issuer(authority: TestAuthority, purpose: Purpose) -> None:
    issuer = authority.hierarchy.issuing[purpose]
    intent_id = intend_signer(authority, issuer)
    with read(authority.db) as connection, pytest.raises(Fault) as caught:
        find_signer(connection, get_intent(connection, intent_id))
    assert caught.value.kind is Kind.UNAVAILABLE
    door = open_door(authority.db, authority.cabinet, authority.public_url, (Purpose.DEVICES,))
    assert settle_waiting(authority.db, authority.clock, door).settled == 1
    with read(authority.db) as connection:
        row, renew_at = find_signer(connection, get_intent(connection, intent_id))
    assert row.issuer_id == issuer.issuer_id
    assert authority.clock.now() < renew_at < row.not_after
    assert (row.not_after - authority.clock.now()).total_seconds() <= 24 * 3600


def test_the_authority_process_leaves_other_issuers_other_certificates_alone(authority: TestAuthority) -> None:
    """They are certified in ceremonies, which settle what they have intended themselves."""
    with change(authority.db, authority.clock, ACTOR) as changing:
        intent = prepare(
            changing,
            profile="operator",
            request=new_request(generate(KeyAlgorithm.P256), "mallory"),
            name="mallory",
            method="test",
            proof={},
            public_url=authority.public_url,
        )
    door = open_door(authority.db, authority.cabinet, authority.public_url, (Purpose.DEVICES,))
    progress = settle_waiting(authority.db, authority.clock, door)
    assert (progress.settled, progress.obstacle) == (0, None)
    with read(authority.db) as connection:
        assert get_intent(connection, intent.intent_id).state is IntentState.PREPARED


def test_a_profile_that_was_tampered_with_makes_no_operator(authority: TestAuthority) -> None:
    """Whoever writes to the database gives the signers' profile another use: the door goes by what it says."""
    with read(authority.db) as connection:
        operator = get_profile(connection, "operator").document
    with change(authority.db, authority.clock, ACTOR) as changing:
        apply_profile(changing, operator.replace('name = "operator"', 'name = "ocsp-signer"'))
        intent = prepare(
            changing,
            profile="ocsp-signer",
            request=new_request(generate(KeyAlgorithm.P256), "mallory"),
            name="mallory",
            method="test",
            proof={},
            public_url=authority.public_url,
        )
    door = open_door(authority.db, authority.cabinet, authority.public_url, (Purpose.DEVICES,))
    assert settle_waiting(authority.db, authority.clock, door).settled == 1
    with read(authority.db) as connection:
        refused = get_intent(connection, intent.intent_id)
    assert refused.state is IntentState.REFUSED
    assert refused.refused().kind is Kind.REJECTED
