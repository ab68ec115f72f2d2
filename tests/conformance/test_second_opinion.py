"""`troth.x509.verify` beside another path validator, pyhanko-certvalidator: on NIST's cases and on paths made up.

Both get the same and must come to the same verdict. Of NIST's suite the other validator gets for each case what can
have to do with it: given all CRLs at once it looks for paths from each to each, for hours.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, PathValidationError, ValidationError
from pyhanko_certvalidator.policy_decl import CertRevTrustPolicy, RevocationCheckingPolicy, RevocationCheckingRule
from tests.conformance.test_pkits import AT, IN_SCOPE, UNREADABLE, certificates, crls, judge

from troth.errors import PeerFault
from troth.keys.file import generate
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.distinguished_names import same_name
from troth.x509.verify import find_path

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PATIENCE_S = 20
NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEYS = [generate(KeyAlgorithm.P256) for _ in range(4)]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The other validator logs each path that it gives up as an error."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def accepts(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchor: x509.Certificate,
    lists: Sequence[x509.CertificateRevocationList] | None,
    at: datetime,
) -> bool:
    """The other validator's verdict."""

    def theirs(certificate: x509.Certificate) -> asn1_x509.Certificate:
        return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))

    rule = RevocationCheckingRule.NO_CHECK if lists is None else RevocationCheckingRule.CRL_REQUIRED
    context = ValidationContext(
        trust_roots=[theirs(anchor)],
        other_certs=[theirs(each) for each in others if each != anchor],
        moment=at,
        crls=[asn1_crl.CertificateList.load(each.public_bytes(Encoding.DER)) for each in lists or ()],
        revinfo_policy=CertRevTrustPolicy(RevocationCheckingPolicy(rule, rule)),
        weak_hash_algos=set(),
    )
    validator = CertificateValidator(theirs(leaf), validation_context=context)
    try:
        asyncio.run(asyncio.wait_for(validator.async_validate_usage(set()), PATIENCE_S))
    except (PathBuildingError, PathValidationError, ValidationError):
        return False
    return True


def concerned(leaf: x509.Certificate) -> tuple[list[x509.Certificate], list[x509.CertificateRevocationList]]:
    """What bears the name of an issuer of the certificate, of its CRLs, or of one above those."""
    names: list[x509.Name] = []
    waiting, found = [leaf], list[x509.Certificate]()
    while waiting:
        for name in wanted(waiting.pop()):
            if name in names:
                continue
            names.append(name)
            bearers = [each for key, each in certificates().items() if not key.endswith("EE")]
            bearers = [each for each in bearers if same_name(each.subject, name) and each not in found]
            found += bearers
            waiting += bearers
    return found, [each for each in crls() if any(same_name(each.issuer, name) for name in names)]


def wanted(certificate: x509.Certificate) -> Iterator[x509.Name]:
    yield certificate.issuer
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.CRLDistributionPoints):
            for point in extension.value:
                yield from (each.value for each in point.crl_issuer or () if isinstance(each, x509.DirectoryName))


@pytest.mark.parametrize("name", [name for name in IN_SCOPE if name not in UNREADABLE])
def test_both_judge_nists_cases_alike(name: str) -> None:
    leaf = certificates()[f"{name}EE"]
    others, lists = concerned(leaf)
    theirs = accepts(leaf, others, certificates()["TrustAnchorRootCertificate"], lists, AT)
    assert theirs == is_taken(judge, name)


def is_taken(verify: Callable[..., object], *given: object, **said: object) -> bool:
    try:
        verify(*given, **said)
    except PeerFault:
        return False
    return True


LINKS = st.fixed_dictionaries(
    {
        "ca": st.sampled_from([True, True, True, False, None]),
        "path_length": st.sampled_from([None, None, 0, 1]),
        "key_cert_sign": st.sampled_from([None, True, True, False]),
        "name": st.sampled_from(["a", "b", "c"]),
        "days": st.sampled_from([(-9, 9), (-9, 9), (-9, 9), (-9, -1), (1, 9)]),
        "permitted": st.sampled_from([None, None, "home.example", "b.example"]),
        "excluded": st.sampled_from([None, None, None, "x.home.example"]),
    }
)
NAMES = st.sampled_from([None, "home.example", "x.home.example", "b.example"])


def common(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def built(links: list[dict[str, object]], name: str | None) -> list[x509.Certificate]:
    """The anchor, the CAs and the leaf that the description stands for, top down."""
    made = [
        _signed(common("root"), common("root"), 0, 0, (-9, 9), [*_ca(ca=True, path_length=None), _usage(signs=True)])
    ]
    for place, link in enumerate(links, start=1):
        extensions = _link_extensions(link)
        subject = common(str(link["name"]))
        made.append(_signed(subject, made[-1].subject, place, place - 1, link["days"], extensions))
    san = [x509.SubjectAlternativeName([x509.DNSName(name)])] if name else []
    made.append(_signed(common("leaf"), made[-1].subject, 3, len(links), (-9, 9), san, serial=99))
    return made


def _ca(*, ca: bool, path_length: int | None) -> list[x509.ExtensionType]:
    return [x509.BasicConstraints(ca=ca, path_length=path_length if ca else None)]


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _link_extensions(link: dict[str, object]) -> list[x509.ExtensionType]:
    extensions: list[x509.ExtensionType] = []
    if link["ca"] is not None:
        path_length = link["path_length"]
        assert path_length is None or isinstance(path_length, int)
        extensions += _ca(ca=bool(link["ca"]), path_length=path_length)
    if link["key_cert_sign"] is not None:
        signs = bool(link["key_cert_sign"])
        extensions.append(x509.KeyUsage(True, False, False, False, False, signs, True, False, False))
    permitted, excluded = ([x509.DNSName(str(link[key]))] if link[key] else None for key in ("permitted", "excluded"))
    if (permitted or excluded) and link["ca"]:
        extensions.append(x509.NameConstraints(permitted, excluded))
    return extensions


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: int,
    signer: int,
    days: object,
    extensions: Sequence[x509.ExtensionType],
    serial: int = 1,
) -> x509.Certificate:
    assert isinstance(days, tuple)
    begin, end = (NOW + each * DAY for each in days)
    builder = x509.CertificateBuilder(issuer, subject, KEYS[key].public_key, serial, begin, end)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=not isinstance(extension, x509.SubjectAlternativeName))
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(KEYS[key].public_key), critical=False)
    builder = builder.add_extension(_key_of(signer), critical=False)
    return builder.sign(KEYS[signer].private_key, hashes.SHA256())


def _key_of(place: int) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(KEYS[place].public_key)


@given(links=st.lists(LINKS, min_size=1, max_size=2, unique_by=lambda link: str(link["name"])), name=NAMES)
@settings(max_examples=150, deadline=None)
def test_both_judge_made_up_paths_alike(links: list[dict[str, object]], name: str | None) -> None:
    anchor, *middle, last = built(links, name)
    ours = is_taken(find_path, last, middle, [anchor], at=NOW, use=None)
    assert ours == accepts(last, middle, anchor, None, NOW)
