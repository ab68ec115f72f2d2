"""What is written by hand is what `cryptography` itself would write, byte for byte."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.fixtures.hierarchy import Maker

from troth.errors import Bug
from troth.keys.file import generate
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.der import utc_time


def rebuilt(certificate: x509.Certificate) -> x509.Certificate:
    """Make a certificate of the same content with the library's own builder."""
    builder = x509.CertificateBuilder(
        certificate.issuer,
        certificate.subject,
        certificate.public_key(),
        certificate.serial_number,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        list(certificate.extensions),
    )
    key = generate(KeyAlgorithm.P256).private_key
    return builder.sign(key, hashes.SHA256())


def test_every_kind_of_certificate_is_encoded_as_the_library_would(maker: Maker) -> None:
    made = [
        maker.root.certificate,
        maker.devices.certificate,
        maker.servers.certificate,
        maker.device().certificate,
        maker.device("t" * 128).certificate,
        maker.device("lamp", generate(KeyAlgorithm.ED25519)).certificate,
        maker.server().certificate,
        maker.server("home.example", "::1").certificate,
    ]
    for certificate in made:
        assert certificate.tbs_certificate_bytes == rebuilt(certificate).tbs_certificate_bytes


@pytest.mark.parametrize("year", [2049, 2050])
def test_so_are_the_times_on_both_sides_of_2050(maker: Maker, year: int) -> None:
    maker = Maker(maker.profiles, datetime(year, 12, 31, 23, 30, tzinfo=UTC))
    certificate = maker.device().certificate
    assert certificate.tbs_certificate_bytes == rebuilt(certificate).tbs_certificate_bytes


NAIVE = datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)


@pytest.mark.parametrize("time", [datetime(1949, 12, 31, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC), NAIVE])
def test_no_other_time_is_a_utc_time(time: datetime) -> None:
    with pytest.raises(Bug):
        utc_time(time)
