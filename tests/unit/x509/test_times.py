"""When a certificate is in its time, and that OpenSSL, which looks before us at every door, says the same."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import crypto

from troth.x509.times import has_ended, is_in_time

BEGIN = datetime(2026, 6, 1, 12, tzinfo=UTC)
END = BEGIN + timedelta(days=1)
SECOND = timedelta(seconds=1)
INSTANT = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def certificate() -> crypto.X509:
    key = ec.derive_private_key(7, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lamp")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 5, BEGIN, END)
    return crypto.X509.from_cryptography(builder.sign(key, hashes.SHA256()))


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (BEGIN - SECOND, False),
        (BEGIN, True),
        (END, True),
        (END + SECOND - INSTANT, True),
        (END + SECOND, False),
    ],
)
def test_both_ends_belong_to_it(certificate: crypto.X509, at: datetime, *, expected: bool) -> None:
    assert is_in_time(BEGIN, END, at) is expected
    assert has_ended(END, at) is (at >= END + SECOND)
    store = crypto.X509Store()
    store.add_cert(certificate)
    store.set_time(at)
    if expected:
        crypto.X509StoreContext(store, certificate).verify_certificate()
    else:
        with pytest.raises(crypto.X509StoreContextError):
            crypto.X509StoreContext(store, certificate).verify_certificate()
