"""The kit is a real authority: what it makes is what the product makes, good and bad."""

from datetime import timedelta
from pathlib import Path

import pytest

from troth.authority.hierarchy import open_keys
from troth.errors import Fault, PeerFault
from troth.keys.file import read_key
from troth.registry.certificates import CertificateState, get_certificate
from troth.store.read import read
from troth.testing.authority import Held, TestAuthority
from troth.testing.clock import NOON, FakeClock
from troth.x509.certificates import parse_chain
from troth.x509.profiles import ExtendedUse, Purpose
from troth.x509.verify import verify_chain

pytestmark = pytest.mark.slow


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def authority(tmp_path: Path, clock: FakeClock) -> TestAuthority:
    return TestAuthority(tmp_path, clock=clock)


def verify(authority: TestAuthority, held: Held, use: ExtendedUse = ExtendedUse.CLIENT_AUTH) -> None:
    verify_chain(held.chain, [authority.root], at=authority.clock.now(), use=use)


def test_what_it_makes_holds_and_stands_in_files(authority: TestAuthority) -> None:
    with authority:
        lamp = authority.device("lamp-1")
        verify(authority, lamp)
        verify(authority, authority.operator("anna"))
        verify(authority, authority.server(), ExtendedUse.SERVER_AUTH)
    assert parse_chain(lamp.chain_file.read_bytes()) == lamp.chain
    assert read_key(lamp.key_file, None).public_key == lamp.certificate.public_key()
    assert parse_chain(authority.root_file.read_bytes()) == (authority.root,)
    assert lamp.server_identity.chain == lamp.chain


@pytest.mark.parametrize(("days", "words"), [(-200, "has expired"), (2, "not yet valid")])
def test_certificates_can_be_made_for_another_time(authority: TestAuthority, days: int, words: str) -> None:
    with authority:
        late = authority.device("lamp-1", at=authority.clock.now() + timedelta(days=days))
        with pytest.raises(PeerFault, match=words):
            verify(authority, late)
        verify(authority, authority.device("lamp-1"))


def test_what_it_revokes_is_revoked(authority: TestAuthority) -> None:
    with authority:
        lamp = authority.device("lamp-1")
        authority.revoke(lamp)
        with read(authority.db) as connection:
            assert get_certificate(connection, lamp.certificate_id).state is CertificateState.REVOKED


def test_two_of_them_share_nothing_but_their_names(tmp_path: Path, clock: FakeClock) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with TestAuthority(folders[0], clock=clock) as one, TestAuthority(folders[1], clock=clock) as two:
        stranger = two.device("lamp-1")
        assert one.root.subject == two.root.subject
        assert one.issuer(Purpose.DEVICES) != two.issuer(Purpose.DEVICES)
        with pytest.raises(PeerFault):
            verify(one, stranger)


def test_its_keys_are_kept_in_memory_alone(authority: TestAuthority, tmp_path: Path) -> None:
    with authority:
        authority.device("lamp-1")
        assert len(list(tmp_path.glob("*.key"))) == 1
        authority.cabinet.keys.clear()
        with read(authority.db) as connection, pytest.raises(Fault):
            open_keys(connection, authority.cabinet)


def test_a_fake_clock_goes_where_it_is_told() -> None:
    clock = FakeClock()
    assert clock.now() == clock.now() == NOON
    clock.advance(timedelta(seconds=-1))
    assert clock.now() == NOON - timedelta(seconds=1)
    clock.set(NOON)
    assert clock.now() == NOON
