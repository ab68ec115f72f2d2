"""A key that we have made in a token is refused to everybody, also to who is logged in; one made carelessly is not."""

import pkcs11
import pytest
from tests.fixtures.softhsm import LABEL, PIN, SoftHSM, softhsm

from troth.demo.cases import HAD
from troth.demo.token_thief import attempts, careless_key, steal
from troth.keys.pkcs11.uri import parse_token_uri
from troth.x509.algorithms import KeyAlgorithm

__all__ = ["softhsm"]

pytestmark = [pytest.mark.slow, pytest.mark.needs("softhsm2-util")]


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.RSA2048])
def test_no_way_gets_at_a_key_of_ours(softhsm: SoftHSM, algorithm: KeyAlgorithm) -> None:
    softhsm.access().make(parse_token_uri(softhsm.uri("lamp")), algorithm)
    with pkcs11.lib(str(softhsm.module)).get_token(token_label=LABEL).open(rw=True) as session:
        came = steal(session, "lamp")
    assert len(came) >= 4
    assert HAD not in came.values()


def test_every_way_gets_at_a_careless_one(softhsm: SoftHSM) -> None:
    with pkcs11.lib(str(softhsm.module)).get_token(token_label=LABEL).open(rw=True, user_pin=PIN) as session:
        came = attempts(session, careless_key(session))
    assert set(came.values()) == {HAD}
