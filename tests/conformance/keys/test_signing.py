"""What every private key must do, wherever it is kept: in a file, in memory, in a token."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fixtures.softhsm import SoftHSM, softhsm

from troth.app.cabinet import FileCabinet, TokenAccess
from troth.errors import Fault, Kind
from troth.keys.requests import build_request
from troth.keys.signing import SigningKey
from troth.keys.verifying import is_signature
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.requests import parse_request

__all__ = ["softhsm"]

IN_FILES = [each for each in KeyAlgorithm if each not in {KeyAlgorithm.RSA3072, KeyAlgorithm.RSA4096}]
IN_TOKENS = [KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.ED25519, KeyAlgorithm.RSA2048]


@dataclass
class Place:
    """Where keys are kept, as CAs' keys are."""

    cabinet: FileCabinet
    algorithm: KeyAlgorithm
    name: Callable[[str], str]

    def make(self, label: str = "key") -> SigningKey:
        return self.cabinet.make(self.name(label), self.algorithm)


def _place(kind: str, algorithm: KeyAlgorithm) -> object:
    marks = [pytest.mark.needs("softhsm2-util")] if kind == "softhsm" else []
    if marks and algorithm is not KeyAlgorithm.P256:
        marks.append(pytest.mark.slow)
    return pytest.param((kind, algorithm), id=f"{kind}-{algorithm}", marks=marks)


@pytest.fixture(params=[*(_place("file", each) for each in IN_FILES), *(_place("softhsm", each) for each in IN_TOKENS)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    kind, algorithm = request.param
    if kind == "file":
        return Place(FileCabinet(tmp_path, None), algorithm, lambda label: f"keys/{label}.key")
    token: SoftHSM = request.getfixturevalue("softhsm")
    return Place(FileCabinet(tmp_path, None, TokenAccess(token.module, token.pin_file)), algorithm, token.uri)


def test_a_key_signs_by_the_scheme_of_its_algorithm(place: Place) -> None:
    key = place.make()
    assert key.algorithm is place.algorithm
    for data in (b"", b"data", bytes(100_000)):
        assert is_signature(key.public_key, key.sign(data), data)
    assert not is_signature(key.public_key, key.sign(b"data"), b"date")


def test_a_key_is_made_once_and_found_again(place: Place) -> None:
    key = place.make()
    again, opened = place.make(), place.cabinet.open(place.name("key"))
    assert key.public_key == again.public_key == opened.public_key
    assert is_signature(key.public_key, opened.sign(b"data"), b"data")
    assert place.make("other").public_key != key.public_key


def test_a_key_whose_public_half_is_known_signs(place: Place) -> None:
    public_key = place.make().public_key
    key = place.cabinet.open(place.name("key"), public_key)
    assert key.public_key == public_key
    assert is_signature(public_key, key.sign(b"data"), b"data")


def test_a_key_makes_requests(place: Place) -> None:
    key = place.make()
    assert parse_request(build_request(key, "lamp-1")).public_key == key.public_key


def test_threads_share_a_key(place: Place) -> None:
    key = place.make()
    made: list[bool] = []

    def sign(number: int) -> None:
        data = bytes([number]) * 100
        made.extend(is_signature(key.public_key, key.sign(data), data) for _ in range(5))

    threads = [threading.Thread(target=sign, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [True] * 40


def test_a_key_that_is_not_there_is_told(place: Place) -> None:
    with pytest.raises(Fault) as caught:
        place.cabinet.open(place.name("none"))
    # A file is gone; a token may be the wrong one, and the right one come.
    assert caught.value.kind in {Kind.NOT_FOUND, Kind.UNAVAILABLE}
    assert caught.value.hint
