from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import text

from troth.errors import Fault, Kind, PeerFault
from troth.store.read import read
from troth.store.write import write
from troth.testing.authority import Held, TestAuthority
from troth.testing.clock import FakeClock
from troth.web.guard import require_operator, shown_certificate


def extensions(held: Held) -> dict[str, object]:
    return {"tls": {"client_cert_chain": [each.public_bytes(Encoding.PEM).decode() for each in held.chain]}}


def come(authority: TestAuthority, held: Held) -> None:
    with read(authority.db) as connection:
        require_operator(connection, shown_certificate(extensions(held)), authority.clock.now())


def refusal(authority: TestAuthority, held: Held) -> str:
    with pytest.raises(Fault) as caught:
        come(authority, held)
    assert (caught.value.kind, caught.value.message) == (Kind.FORBIDDEN, "this door is for operators")
    return caught.value.detail or ""


def test_an_operator_comes_in(authority: TestAuthority) -> None:
    come(authority, authority.operator("anna"))


def test_a_revoked_operator_does_not_and_another_does(authority: TestAuthority) -> None:
    anna, bert = authority.operator("anna"), authority.operator("bert")
    come(authority, anna)
    authority.revoke(anna)
    assert "revoked" in refusal(authority, anna)
    come(authority, bert)


def test_devices_and_servers_stay_outside(authority: TestAuthority) -> None:
    for held in (authority.device("lamp-1"), authority.server()):
        assert "no operator's" in refusal(authority, held)


def test_a_certificate_that_is_not_registered_opens_nothing(authority: TestAuthority) -> None:
    """The real CA has signed it, and the registry does not know it."""
    anna = authority.operator("anna")
    with write(authority.db) as connection:
        connection.execute(text("DELETE FROM certificates"))
    assert "not registered" in refusal(authority, anna)


def test_an_issuer_that_is_not_registered_certifies_nobody(authority: TestAuthority) -> None:
    anna = authority.operator("anna")
    with write(authority.db) as connection:
        connection.execute(text("DELETE FROM issuers WHERE purpose = 'operators'"))
    assert "no operator's" in refusal(authority, anna)


@pytest.mark.parametrize(("days", "let_in"), [(364, True), (366, False), (-1, False)])
def test_a_connection_may_outlive_its_certificate(
    authority: TestAuthority, clock: FakeClock, days: int, let_in: bool
) -> None:
    anna = authority.operator("anna")
    clock.advance(timedelta(days=days))
    if let_in:
        come(authority, anna)
    else:
        assert "not valid now" in refusal(authority, anna)


@pytest.mark.parametrize("nothing", [{}, {"tls": {}}, {"tls": {"client_cert_chain": []}}])
def test_without_a_certificate_nobody_comes_in(nothing: dict[str, object]) -> None:
    with pytest.raises(Fault) as caught:
        shown_certificate(nothing)
    assert caught.value.kind is Kind.FORBIDDEN


def test_what_is_no_certificate_is_none() -> None:
    with pytest.raises(PeerFault):
        shown_certificate({"tls": {"client_cert_chain": ["no certificate"]}})
