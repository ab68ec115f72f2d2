"""The first look at certificates of CAs elsewhere: what leads to a registered one, and bytes that lead nowhere."""

import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.strangers import OPERATOR, Maker, register

from troth.gateway.strangers import Strangers
from troth.journal.change import change
from troth.registry.foreign_issuers import ForeignPurpose, ForeignState, replace_crl, set_foreign_state
from troth.testing.authority import TestAuthority


@pytest.fixture
def maker(authority: TestAuthority, tmp_path: Path) -> Maker:
    return Maker.new(tmp_path, authority.clock.now())


def loaded(authority: TestAuthority) -> Strangers:
    strangers = Strangers(authority.db, authority.clock)
    strangers.load()
    return strangers


@pytest.mark.parametrize(
    ("purpose", "state", "enrolls", "connects"),
    [
        (ForeignPurpose.CUSTOMER, ForeignState.ACTIVE, True, True),
        (ForeignPurpose.CUSTOMER, ForeignState.INACTIVE, False, True),
        (ForeignPurpose.CUSTOMER, ForeignState.REVOKED, False, False),
        (ForeignPurpose.MANUFACTURER, ForeignState.ACTIVE, True, False),
        (ForeignPurpose.MANUFACTURER, ForeignState.INACTIVE, False, False),
    ],
)
def test_who_may_come_to_which_door(
    authority: TestAuthority,
    maker: Maker,
    purpose: ForeignPurpose,
    state: ForeignState,
    enrolls: bool,
    connects: bool,
) -> None:
    register(authority, maker, "acme", purpose)
    # Another of the same name, whose key is another.
    register(authority, Maker.new(maker.folder, maker.now), "namesake", ForeignPurpose.CUSTOMER)
    with change(authority.db, authority.clock, OPERATOR) as changing:
        set_foreign_state(changing, "acme", state)
    strangers, chain = loaded(authority), (maker.device().certificate,)
    assert (strangers.may_enroll(chain), strangers.may_connect(chain)) == (enrolls, connects)
    forged = (Maker.new(maker.folder, maker.now).device().certificate,)
    assert not strangers.may_enroll(forged)
    assert not strangers.may_connect(forged)


def test_over_another_ca_one_may_enroll_and_not_connect(authority: TestAuthority, maker: Maker) -> None:
    register(authority, maker, "acme", ForeignPurpose.CUSTOMER)
    line = maker.under("Line 4")
    strangers, chain = loaded(authority), (line.device().certificate, line.certificate)
    assert (strangers.may_enroll(chain), strangers.may_connect(chain)) == (True, False)
    assert not strangers.may_enroll(chain[:1])


def test_a_crl_counts_for_who_enrolls_alone(authority: TestAuthority, maker: Maker) -> None:
    """Of those who connect the registry decides: an old CRL must not lock a fleet out."""
    register(authority, maker, "acme", ForeignPurpose.CUSTOMER)
    device = maker.device()
    with change(authority.db, authority.clock, OPERATOR) as changing:
        replace_crl(changing, "acme", maker.crl(device.certificate))
    strangers = loaded(authority)
    assert not strangers.may_enroll((device.certificate,))
    assert strangers.may_connect((device.certificate,))
    assert strangers.may_enroll((maker.device().certificate,))


@pytest.mark.slow
def test_no_byte_of_a_certificate_can_be_another_and_none_breaks_the_look(
    authority: TestAuthority, maker: Maker
) -> None:
    register(authority, maker, "acme", ForeignPurpose.CUSTOMER)
    strangers, leaf = loaded(authority), maker.device().certificate
    der = leaf.public_bytes(Encoding.DER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for place in range(len(der)):
            bent = bytearray(der)
            bent[place] ^= 0x01
            try:
                other = x509.load_der_x509_certificate(bytes(bent))
            except (ValueError, x509.InvalidVersion):
                continue
            assert not strangers.may_connect((other,)), place
            assert not strangers.may_enroll((other,)), place
    assert strangers.may_connect((leaf,))
