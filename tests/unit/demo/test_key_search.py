"""The search for a private key: each form that it knows, and nothing that is another's."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from troth.demo import key_search
from troth.demo.key_search import KeySearch
from troth.errors import Fault, Kind
from troth.keys.file import generate
from troth.x509.algorithms import KeyAlgorithm

KEY = ec.derive_private_key(int.from_bytes(sha256(b"a number like any other").digest()), ec.SECP256R1())
NUMBER = KEY.private_numbers().private_value.to_bytes(32)
NOISE = bytes(range(256)) * 3
HOLDS = """
import sys
held = sys.stdin.buffer.read(32)
print("held", flush=True)
sys.stdin.buffer.read()
"""


def encoded(encoding: Encoding, form: PrivateFormat) -> bytes:
    return KEY.private_bytes(encoding, form, NoEncryption())


def search() -> KeySearch:
    return KeySearch(KEY.public_key())


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("PEM", encoded(Encoding.PEM, PrivateFormat.PKCS8)),
        ("PEM", encoded(Encoding.PEM, PrivateFormat.TraditionalOpenSSL)),
        ("DER", b"odd" + encoded(Encoding.DER, PrivateFormat.PKCS8)),
        ("DER", encoded(Encoding.DER, PrivateFormat.TraditionalOpenSSL)),
        ("number", bytes(16) + NUMBER),
        ("number, least byte first", NOISE + NUMBER[::-1] + NOISE),
    ],
)
def test_each_form_is_found(form: str, data: bytes) -> None:
    found = search().in_bytes(data, "here")
    assert found is not None
    assert (found.where, found.form) == ("here", form)
    assert found.key.private_numbers() == KEY.private_numbers()


def test_nothing_is_found_where_it_is_not() -> None:
    locked = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"correct horse"))
    unreadable = b"-----BEGIN PRIVATE KEY-----" + b"A" * 33 + b"-----END PRIVATE KEY-----"
    public = KEY.public_key().public_numbers()
    others = [locked, unreadable, NUMBER[:31], public.x.to_bytes(32), bytes(32), b"\xff" * 32, b"\x04\x20" + bytes(32)]
    assert [search().in_bytes(each, "here") for each in others] == [None] * len(others)


def test_files_are_looked_into_below_a_folder(tmp_path: Path) -> None:
    assert search().in_files(tmp_path) is None
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "key.pem").write_bytes(encoded(Encoding.PEM, PrivateFormat.PKCS8))
    found = search().in_files(tmp_path)
    assert found is not None
    assert found.where == str(tmp_path / "a" / "key.pem")


def test_hardly_a_number_is_taken_for_something_else() -> None:
    numbers = [sha256(str(each).encode()).digest() for each in range(10_000)]
    assert sum(not key_search._looks_random(each) for each in numbers) <= 6
    assert sum(1 for each in numbers for _ in key_search._windows(each)) >= 9_994


@pytest.mark.slow
@pytest.mark.parametrize("is_held", [True, False])
def test_memory_of_another_process_is_looked_into(is_held: bool) -> None:
    with subprocess.Popen([sys.executable, "-I", "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(NUMBER if is_held else NUMBER[:31] + b"\0")
        holder.stdin.flush()
        holder.stdout.readline()
        found = search().in_memory(holder.pid)
        holder.stdin.close()
    assert (found is not None) == is_held


def test_only_one_kind_of_key_can_be_looked_for() -> None:
    with pytest.raises(Fault) as caught:
        KeySearch(generate(KeyAlgorithm.P384).public_key)
    assert caught.value.kind is Kind.UNSUPPORTED
