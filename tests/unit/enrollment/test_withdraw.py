"""A thing that is withdrawn comes back by no door that was open to it."""

import pytest
from tests.fixtures.enrolling import new_token
from tests.fixtures.issuance import certificates, entries

from troth.enrollment.tokens import TokenState, list_tokens, spend_token
from troth.enrollment.withdraw import withdraw_thing
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.registry.certificates import CertificateState
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.crl import Reason


def test_its_unused_tokens_go_with_its_certificates(authority: TestAuthority, clock: FakeClock) -> None:
    lamp = authority.device("lamp-1")
    for thing in ("lamp-1", "lamp-1", "lamp-2"):
        new_token(authority, thing)
    with read(authority.db) as connection:
        spent, unused = list_tokens(connection, thing="lamp-1")
    with change(authority.db, clock, "test") as changing:
        spend_token(changing, spent.token_id, spent.thing, "an intent")
    with change(authority.db, clock, "operator:anna") as changing:
        withdrawn = withdraw_thing(changing, "lamp-1", Reason.CESSATION_OF_OPERATION)
    assert [row.certificate_id for row in withdrawn.certificates] == [lamp.certificate_id]
    assert [token.token_id for token in withdrawn.tokens] == [unused.token_id]
    (row,) = certificates(authority.db, "lamp-1")
    assert row.state is CertificateState.REVOKED
    with read(authority.db) as connection:
        states = {token.token_id: token.state(clock.now()) for token in list_tokens(connection, thing="lamp-1")}
        (other,) = list_tokens(connection, thing="lamp-2")
    assert states == {spent.token_id: TokenState.SPENT, unused.token_id: TokenState.REVOKED}
    assert other.state(clock.now()) is TokenState.UNUSED
    # One change: whoever follows the journal hears of all of it, or of nothing.
    (first,), (second,) = (entries(authority.db, kind) for kind in ("token.revoked", "certificate.revoked"))
    assert first.at == second.at


def test_a_thing_that_does_not_exist_is_told(authority: TestAuthority, clock: FakeClock) -> None:
    with pytest.raises(Fault) as caught, change(authority.db, clock, "operator:anna") as changing:
        withdraw_thing(changing, "lamp-9")
    assert caught.value.kind is Kind.NOT_FOUND
