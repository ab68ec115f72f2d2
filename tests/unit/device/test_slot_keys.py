"""Keys of slots in files and in a token: made, opened, destroyed; SoftHSM stands for the token."""

import threading
from pathlib import Path

import pytest
from tests.fixtures.softhsm import LABEL, SoftHSM, softhsm

from troth.device.slot_keys import (
    TokenPlace,
    discard_key,
    find_key,
    handshake_turn,
    make_key,
    open_key,
    place_of,
    token_access,
)
from troth.device.slots import Slot
from troth.errors import Fault, Kind
from troth.keys.pkcs11.uri import parse_token_uri
from troth.keys.verifying import is_signature
from troth.x509.algorithms import KeyAlgorithm

__all__ = ["softhsm"]

pytestmark = [pytest.mark.slow, pytest.mark.needs("softhsm2-util")]


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    made = Slot(tmp_path / "a")
    made.make()
    return made


@pytest.fixture
def place(softhsm: SoftHSM) -> TokenPlace:
    return TokenPlace(softhsm.module, softhsm.pin_file, LABEL)


def test_a_key_in_a_file_is_as_it_was(slot: Slot) -> None:
    key = make_key(slot, KeyAlgorithm.P256)
    assert open_key(slot).public_key == key.public_key
    assert (place_of(slot), token_access(slot.path), find_key(slot)) == (None, None, str(slot.key_file))
    discard_key(slot)
    assert slot.has_key


def test_a_key_in_a_token_leaves_nothing_but_its_name_here(slot: Slot, place: TokenPlace, softhsm: SoftHSM) -> None:
    key = make_key(slot, KeyAlgorithm.P256, place)
    assert [each.name for each in slot.path.iterdir()] == ["key.uri"]
    again = open_key(slot)
    assert again.public_key == key.public_key
    assert is_signature(key.public_key, again.sign(b"a request"), b"a request")
    assert place_of(slot) == place
    access = token_access(slot.path)
    assert access is not None
    assert (access.module, access.uri) == (softhsm.module, find_key(slot))
    assert access.pin not in repr(access)
    discard_key(slot)
    discard_key(slot)
    with pytest.raises(Fault) as caught:
        open_key(slot)
    assert caught.value.kind is Kind.UNAVAILABLE


def test_another_key_in_the_same_token_is_another_name(tmp_path: Path, place: TokenPlace) -> None:
    first, second = Slot(tmp_path / "a"), Slot(tmp_path / "b")
    for each in (first, second):
        each.make()
        make_key(each, KeyAlgorithm.P256, place)
    assert open_key(first).public_key != open_key(second).public_key
    discard_key(first)
    assert open_key(second).sign(b"still here")


@pytest.mark.parametrize(
    "text",
    [
        "pkcs11:token=t;object=o",
        "pkcs11:token=t;object=o?module-path=/m.so",
        "pkcs11:token=t;object=o?module-path=/m.so&pin-source=|cat%20/pin",
        "pkcs11:serial=1;object=o?module-path=/m.so&pin-source=file:/pin",
    ],
)
def test_a_uri_that_does_not_say_enough_is_refused(slot: Slot, text: str) -> None:
    slot.uri_file.write_text(text)
    with pytest.raises(Fault) as caught:
        open_key(slot)
    assert caught.value.kind is Kind.MALFORMED
    parse_token_uri(text.partition("?")[0])


def test_nobody_signs_while_tls_shakes_hands_by_a_key_of_the_module(slot: Slot, place: TokenPlace) -> None:
    """libtpm2-pkcs11 does not bear it. A key in a file waits for nobody."""
    key = make_key(slot, KeyAlgorithm.P256, place)
    signing = threading.Thread(target=key.sign, args=(b"data",))
    with handshake_turn(slot.path):
        signing.start()
        signing.join(0.5)
        assert signing.is_alive()
    signing.join(60)
    assert not signing.is_alive()
    in_file = Slot(slot.path.with_name("b"))
    in_file.make()
    key = make_key(in_file, KeyAlgorithm.P256)
    with handshake_turn(in_file.path), handshake_turn(slot.path):
        key.sign(b"data")
