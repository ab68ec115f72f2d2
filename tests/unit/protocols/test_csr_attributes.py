"""CSR attributes, read by structures of other hands (pyasn1-alt-modules: RFC 7030 and RFC 9908)."""

import pytest
from pyasn1.codec.der.decoder import decode
from pyasn1.codec.der.encoder import encode
from pyasn1_alt_modules import rfc7030, rfc9908

from troth.protocols.csr_attributes import build_csr_attributes
from troth.x509.algorithms import KeyAlgorithm

CHALLENGE_PASSWORD = "1.2.840.113549.1.9.7"
KEYS = {
    KeyAlgorithm.P256: "1.2.840.10045.2.1",
    KeyAlgorithm.P384: "1.2.840.10045.2.1",
    KeyAlgorithm.RSA3072: "1.2.840.113549.1.1.1",
    KeyAlgorithm.ED25519: "1.3.101.112",
    KeyAlgorithm.MLDSA65: "2.16.840.1.101.3.4.3.18",
}


@pytest.mark.parametrize("algorithm", KEYS)
def test_both_styles_say_which_key_is_wanted(algorithm: KeyAlgorithm) -> None:
    der = build_csr_attributes(algorithm, linked=False)
    told, rest = decode(der, asn1Spec=rfc7030.CsrAttrs())
    assert (rest, encode(told), len(told)) == (b"", der, 2)
    attribute = told[0]["attribute"]
    assert attribute["attrType"] == rfc9908.id_aa_certificationRequestInfoTemplate
    template, rest = decode(attribute["attrValues"][0], asn1Spec=rfc9908.CertificationRequestInfoTemplate())
    assert (rest, int(template["version"])) == (b"", 0)
    assert str(template["subjectPKInfo"]["algorithm"]["algorithm"]) == KEYS[algorithm]
    (part,) = template["subject"]["rdnSequence"]
    # The common name is asked for and not given: it is the thing's.
    assert (str(part[0]["type"]), part[0]["value"].isValue) == ("2.5.4.3", False)
    legacy = told[1]
    named = legacy["oid"] if legacy.getName() == "oid" else legacy["attribute"]["attrType"]
    assert str(named) == KEYS[algorithm]


def test_a_link_to_the_connection_is_asked_for() -> None:
    told, _ = decode(build_csr_attributes(KeyAlgorithm.P256, linked=True), asn1Spec=rfc7030.CsrAttrs())
    assert str(told[2]["oid"]) == CHALLENGE_PASSWORD
