"""A linter by other hands finds nothing against a certificate of any kind that we make, and does find what is wrong."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.hierarchy import remade
from tests.fixtures.linting import lint_certificate, lint_chain

from troth.app.profiles import built_in_profiles
from troth.authority.settle import issue
from troth.keys.file import generate
from troth.registry.issuers import list_issuers
from troth.store.read import read
from troth.testing.authority import TestAuthority, new_request
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.profile_text import parse_profile
from troth.x509.profiles import Profile, Purpose, SubjectRule
from troth.x509.samples import sample_public_key

pytestmark = pytest.mark.slow

LEAVES = {name: profile for name, text in built_in_profiles().items() if not (profile := parse_profile(text)).ca}


def made(authority: TestAuthority, profile: Profile, algorithm: KeyAlgorithm, name: str) -> x509.Certificate:
    is_thing = profile.subject is SubjectRule.THING
    if is_thing:
        authority.thing(name)
    return issue(
        authority.db,
        authority.clock,
        authority.door(),
        "operator:test",
        profile=profile.name,
        request=new_request(generate(algorithm), name[:64]),
        thing=name if is_thing else None,
        name=None if is_thing else name,
        alternative_names=(name, "localhost", "127.0.0.1", "::1") if profile.san_required else (),
        method="test",
        proof={},
        public_url=authority.public_url,
        issuer=authority.hierarchy.issuing[Purpose.SERVERS] if profile.issuer is None else None,
    )


@pytest.mark.parametrize("profile", LEAVES.values(), ids=LEAVES.keys())
def test_every_kind_of_leaf(authority: TestAuthority, profile: Profile) -> None:
    if profile.issuer is not None:
        authority.issuer(profile.issuer)
    quick = [each for each in profile.algorithms if each not in {KeyAlgorithm.RSA3072, KeyAlgorithm.RSA4096}]
    for number, algorithm in enumerate(quick):
        name = "home.example" if profile.san_required else f"lamp-{number}"
        assert lint_chain(made(authority, profile, algorithm, name)) == []


def test_a_thing_with_a_long_name(authority: TestAuthority) -> None:
    assert lint_chain(made(authority, LEAVES["device"], KeyAlgorithm.P256, "t" * 128)) == []


def test_every_issuer(authority: TestAuthority) -> None:
    authority.issuer(Purpose.PEERS)
    with read(authority.db) as connection:
        issuers = list_issuers(connection)
    assert len(issuers) == 5
    assert lint_chain(*(issuer.certificate for issuer in issuers)) == []


def test_what_is_wrong_is_found(authority: TestAuthority) -> None:
    good = authority.device("lamp-1").certificate
    for bad in (remade(good, version=0), remade(good, serial=0), remade(good, extensions=[])):
        assert lint_certificate(bad)
    builder = x509.CertificateBuilder(
        issuer_name=good.issuer,
        subject_name=x509.Name([]),
        public_key=sample_public_key(KeyAlgorithm.P256),
        serial_number=1,
        not_valid_before=good.not_valid_before_utc,
        not_valid_after=good.not_valid_after_utc,
    )
    nameless = builder.sign(generate(KeyAlgorithm.P256).private_key, hashes.SHA256())
    assert lint_certificate(nameless.public_bytes(Encoding.DER))
