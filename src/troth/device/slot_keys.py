"""The private key of a slot: made, opened, never shown. The one place of a device that knows where its keys live."""

from troth.device.slots import Slot
from troth.keys.file import generate, read_key, write_key
from troth.keys.signing import SigningKey
from troth.x509.algorithms import KeyAlgorithm


def make_key(slot: Slot, algorithm: KeyAlgorithm) -> SigningKey:
    """Make a new key in a slot that has none, durably, and return it. Raises `Fault` as `write_key` does."""
    key = generate(algorithm)
    write_key(slot.key_file, key, None)
    return key


def open_key(slot: Slot) -> SigningKey:
    """Return the key of a slot. Raises `Fault`: not found without one, and as `read_key` does."""
    return read_key(slot.key_file, None)
