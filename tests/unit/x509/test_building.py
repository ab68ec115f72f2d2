import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.hierarchy import NOW, Maker

from troth.errors import Bug, Fault, Kind
from troth.keys.file import FileKey, generate
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.building import Template, assemble, build_tbs, key_identifier
from troth.x509.certificates import find_extension
from troth.x509.lint import lint
from troth.x509.profiles import Profile
from troth.x509.subjects import thing_subject

KEY = generate(KeyAlgorithm.P256)


@pytest.fixture
def template(maker: Maker) -> Template:
    return maker.template(
        maker.profiles["device"],
        thing_subject("thermostat-1"),
        KEY,
        maker.devices.certificate,
        aia_url="http://home.example:8080/ca/devices.cer",
    )


def _build(template: Template, throwaway: FileKey) -> x509.Certificate:
    return build_tbs(template, throwaway.algorithm, throwaway.private_key)


def test_the_issuer_signs_what_was_seen_and_only_that(maker: Maker, template: Template) -> None:
    seen = _build(template, maker.throwaway)
    with pytest.raises(InvalidSignature):
        seen.verify_directly_issued_by(maker.devices.certificate)
    issuer_key = maker.devices.key
    made = assemble(seen.tbs_certificate_bytes, issuer_key.algorithm, issuer_key.sign(seen.tbs_certificate_bytes))
    made.verify_directly_issued_by(maker.devices.certificate)
    assert made.tbs_certificate_bytes == seen.tbs_certificate_bytes


def test_one_template_makes_the_same_bytes_under_any_throwaway_key(template: Template) -> None:
    assert (
        _build(template, generate(KeyAlgorithm.P256)).tbs_certificate_bytes
        == _build(template, generate(KeyAlgorithm.P256)).tbs_certificate_bytes
    )


def test_a_certificate_says_what_its_template_says(maker: Maker, template: Template) -> None:
    made = _build(template, maker.throwaway)
    assert (made.subject, made.issuer) == (template.subject, maker.devices.certificate.subject)
    assert (made.serial_number, made.public_key()) == (template.serial, KEY.public_key)
    assert (made.not_valid_before_utc, made.not_valid_after_utc) == (template.not_before, template.not_after)
    own = find_extension(made, x509.SubjectKeyIdentifier)
    above = find_extension(made, x509.AuthorityKeyIdentifier)
    assert own
    assert own.digest == key_identifier(KEY.public_key)
    assert above
    assert above.key_identifier == key_identifier(maker.devices.key.public_key)
    usage = find_extension(made, x509.KeyUsage)
    assert usage
    assert (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) == (True, False, False)
    critical = {extension.oid for extension in made.extensions if extension.critical}
    assert critical == {x509.BasicConstraints.oid, x509.KeyUsage.oid}


def test_a_device_certificate_is_small(maker: Maker, template: Template) -> None:
    assert len(_build(template, maker.throwaway).public_bytes(Encoding.DER)) <= 680
    short = dataclasses.replace(template, aia_url=None, ocsp_url=None, crl_url=None)
    assert len(_build(short, maker.throwaway).public_bytes(Encoding.DER)) <= 440


def test_a_key_that_the_profile_does_not_take_is_refused(maker: Maker, template: Template) -> None:
    profile = dataclasses.replace(template.profile, algorithms=(KeyAlgorithm.P384,))
    with pytest.raises(Fault) as caught:
        _build(dataclasses.replace(template, profile=profile), maker.throwaway)
    assert caught.value.kind is Kind.BAD_KEY


def test_nothing_outlives_its_issuer(maker: Maker, template: Template) -> None:
    end = maker.devices.certificate.not_valid_after_utc
    _build(dataclasses.replace(template, not_after=end), maker.throwaway)
    with pytest.raises(Fault) as caught:
        _build(dataclasses.replace(template, not_after=end + timedelta(seconds=1)), maker.throwaway)
    assert caught.value.kind is Kind.REJECTED


@pytest.mark.parametrize(
    "changes",
    [
        {"not_after": NOW - timedelta(days=1)},
        {"serial": 0},
        {"serial": 1 << 160},
        {"not_before": datetime(1949, 1, 1, tzinfo=UTC)},
        {"aia_url": "http://ä.example/"},
    ],
)
def test_what_cannot_be_encoded_is_refused(maker: Maker, template: Template, changes: dict[str, object]) -> None:
    with pytest.raises(Fault) as caught:
        _build(dataclasses.replace(template, **changes), maker.throwaway)  # type: ignore[arg-type]
    assert caught.value.kind is Kind.REJECTED


def test_the_throwaway_key_must_be_of_the_signers_algorithm(template: Template) -> None:
    with pytest.raises(Bug):
        build_tbs(template, KeyAlgorithm.P384, generate(KeyAlgorithm.P256).private_key)


def test_what_is_no_certificate_is_not_assembled(maker: Maker, template: Template) -> None:
    tbs = _build(template, maker.throwaway).tbs_certificate_bytes
    for wrong in (b"", b"\x30\x00", tbs + b"\0"):
        with pytest.raises(Bug):
            assemble(wrong, KeyAlgorithm.P256, b"")


@pytest.mark.parametrize(
    "now",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2050, 1, 1, tzinfo=UTC),
        datetime(2070, 2, 28, tzinfo=UTC),
    ],
)
def test_any_year_is_encoded_as_it_must_be(profiles: dict[str, Profile], now: datetime) -> None:
    maker = Maker(profiles, now)
    leaf = maker.device().certificate
    assert leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc
    assert leaf.not_valid_after_utc - now == timedelta(days=90)


def test_a_root_signs_itself(maker: Maker) -> None:
    root = maker.root.certificate
    root.verify_directly_issued_by(root)
    assert find_extension(root, x509.AuthorityKeyIdentifier) is None
    assert lint(root, maker.profiles["root"], None) == ()


def test_an_issuer_without_key_identifier_certifies_nothing(maker: Maker, template: Template) -> None:
    assert isinstance(template.subject, x509.Name)
    bare = x509.CertificateBuilder(
        issuer_name=template.subject,
        subject_name=template.subject,
        public_key=KEY.public_key,
        serial_number=1,
        not_valid_before=template.not_before,
        not_valid_after=template.not_after,
    ).sign(KEY.private_key, hashes.SHA256())
    with pytest.raises(Fault) as caught:
        _build(dataclasses.replace(template, issuer_certificate=bare), maker.throwaway)
    assert caught.value.kind is Kind.REJECTED
