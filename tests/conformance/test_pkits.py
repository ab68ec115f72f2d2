"""NIST's Public Key Interoperability Test Suite (PKITS, version 1.0.1, 2011) against `troth.x509.verify`.

The certificates and CRLs are those of PyPI's cryptography-vectors. The verifier is given all of them at once and finds
its own way. A test's name says what it expects: ``Valid...`` or ``Invalid...``. Sections 4.8 to 4.12, certificate
policies, are out of scope; every other test is here, and where we differ, `DEVIATIONS` says why.
"""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509

from troth.errors import PeerFault
from troth.x509.certificates import parse_certificate
from troth.x509.verify import find_path

DATA = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
AT = datetime(2020, 1, 1, tzinfo=UTC)
TESTS = sorted(path.stem.removesuffix("EE") for path in (DATA / "certs").glob("*Test*EE.crt"))
OUT_OF_SCOPE = ("olicy", "olicies", "UserNotice", "CPSPointer")
IN_SCOPE = [name for name in TESTS if not any(word in name for word in OUT_OF_SCOPE)]

DEVIATIONS = {
    "ValidDSASignaturesTest4": "DSA keys are not taken",
    "ValidDSAParameterInheritanceTest5": "DSA keys are not taken",
}
"""Valid by NIST, refused by us; docs/verification.md publishes the list. Never the other way round."""

STEPS = {
    "DSA": 2,
    # Its CA's certificate cannot be read, and so leads nowhere: see `UNREADABLE`.
    "CASignature": 0,
    "EESignature": 2,
    "notBeforeDate": 3,
    "notAfterDate": 3,
    "NameChaining": 0,
    "basicConstraints": 4,
    "cAFalse": 4,
    "pathLenConstraint": 4,
    "keyCertSignFalse": 4,
    "CRLSigningKeyTest8": 4,
    "UnknownCritical": 5,
    "nameConstraints": 7,
}
"""The step that refuses a test, by a word of its name; for all others step 8, revocation."""
UNREADABLE = {"ValidDSAParameterInheritanceTest5", "InvalidNegativeSerialNumberTest15", "InvalidDSASignatureTest6"}
"""The last was made wrong where the unused bits of its signature are told, as was the CA of InvalidCASignatureTest2."""


def expected_step(name: str) -> int | None:
    if name in UNREADABLE:
        return None
    return next((step for word, step in STEPS.items() if word in name), 8)


@cache
def certificates() -> dict[str, x509.Certificate]:
    found = {}
    for path in sorted((DATA / "certs").glob("*.crt")):
        try:
            found[path.stem] = parse_certificate(path.read_bytes())
        except PeerFault:
            continue  # its test finds it missing and takes that for the refusal
    return found


@cache
def crls() -> tuple[x509.CertificateRevocationList, ...]:
    return tuple(x509.load_der_x509_crl(path.read_bytes()) for path in sorted((DATA / "crls").glob("*.crl")))


def judge(name: str) -> None:
    """Raise a fault when the verifier refuses the test's certificate."""
    leaf = certificates().get(f"{name}EE") or parse_certificate((DATA / "certs" / f"{name}EE.crt").read_bytes())
    others = [each for each in certificates().values() if each != leaf]
    anchor = certificates()["TrustAnchorRootCertificate"]
    find_path(leaf, others, [anchor], at=AT, use=None, crls=crls())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", IN_SCOPE)
def test_pkits(name: str) -> None:
    if name.startswith("Valid") and name not in DEVIATIONS:
        judge(name)
        return
    with pytest.raises(PeerFault) as caught:
        judge(name)
    assert getattr(caught.value, "step", None) == expected_step(name), caught.value.detail


def test_no_section_is_left_out_by_mistake() -> None:
    assert len(TESTS) == 223
    assert len(IN_SCOPE) == 161
