"""Paths among many certificates, and CRLs on the way; `tests/conformance/test_pkits.py` has NIST's own cases."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from troth.errors import PeerFault
from troth.keys.file import FileKey, generate
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import parse_certificate
from troth.x509.distinguished_names import is_at_or_below, is_self_issued, name_key, same_name
from troth.x509.profiles import ExtendedUse
from troth.x509.signed import assemble_signed
from troth.x509.steps import Refusal
from troth.x509.verify import find_path, verify_chain

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CLIENT = ExtendedUse.CLIENT_AUTH
ODD = x509.ObjectIdentifier("1.2.3.4")
CRL_SIGN = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def name(*texts: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text) for text in texts])


class Authority:
    """A CA made by hand, with whatever names a test wants."""

    def __init__(self, subject: str, above: "Authority | None" = None, *, serial: int = 1) -> None:
        self.key = generate(KeyAlgorithm.P256)
        self.subject = name(subject)
        self.certificate = (above or self).certify(self.subject, self.key, serial=serial, is_ca=True)

    def certify(
        self,
        subject: x509.Name,
        key: FileKey,
        *,
        serial: int,
        is_ca: bool = False,
        end: datetime = NOW + DAY,
        more: x509.ExtensionType | None = None,
        critical: bool = True,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(self.subject, subject, key.public_key, serial, NOW - DAY, end)
        if more is not None:
            builder = builder.add_extension(more, critical=critical)
        if is_ca:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        else:
            builder = builder.add_extension(x509.ExtendedKeyUsage([x509.OID_CLIENT_AUTH]), critical=False)
        return builder.sign(self.key.private_key, hashes.SHA256())

    def leaf(self, serial: int = 77) -> x509.Certificate:
        return self.certify(name("leaf"), generate(KeyAlgorithm.P256), serial=serial)

    def crl(
        self, *serials: int, updated: datetime = NOW, until: datetime = NOW + DAY
    ) -> x509.CertificateRevocationList:
        builder = x509.CertificateRevocationListBuilder(self.subject, updated, until)
        for serial in serials:
            entry = x509.RevokedCertificateBuilder(serial, NOW)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key.private_key, hashes.SHA256())


def refused(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchor: Authority,
    crls: Sequence[x509.CertificateRevocationList] | None = None,
) -> Refusal:
    with pytest.raises(Refusal) as caught:
        find_path(leaf, others, [anchor.certificate], at=NOW, use=CLIENT, crls=crls)
    return caught.value


def crl_of_cas(root: Authority) -> x509.CertificateRevocationList:
    """What the root says of CAs alone, so that it tells nothing of a leaf."""
    scope = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)
    builder = x509.CertificateRevocationListBuilder(root.subject, NOW, NOW + DAY).add_extension(scope, critical=True)
    return builder.sign(root.key.private_key, hashes.SHA256())


def test_the_one_good_path_among_namesakes_is_found() -> None:
    root, strangers = Authority("root"), [Authority("root") for _ in range(20)]
    issuing = Authority("issuing", root)
    namesakes = [Authority("issuing", each).certificate for each in strangers]
    leaf = issuing.leaf()
    anchors = [each.certificate for each in (*strangers[:3], root)]
    path = find_path(leaf, [*namesakes[:3], issuing.certificate], anchors, at=NOW, use=CLIENT)
    assert path == (leaf, issuing.certificate, root.certificate)


def test_the_search_is_bounded() -> None:
    """Certificates that all issue one another: as many paths as there are orders of them."""
    ring = [Authority("ring") for _ in range(12)]
    tangle = [one.certify(name("ring"), other.key, serial=9, is_ca=True) for one in ring for other in ring]
    assert refused(ring[0].leaf(), tangle, Authority("root")).step == 0


def test_names_are_compared_without_case_and_white_space() -> None:
    root = Authority("The  Root")
    other = Authority.__new__(Authority)
    other.key, other.subject = root.key, name("the root")
    leaf = other.leaf()
    assert find_path(leaf, [], [root.certificate], at=NOW, use=CLIENT) == (leaf, root.certificate)
    forged = Authority("the root").leaf()
    assert refused(forged, [], root).step == 2


def test_an_anchor_alone_is_no_chain() -> None:
    root = Authority("root")
    assert refused(root.certificate, [], root).step == 0


def test_a_self_issued_ca_does_not_count_for_the_length() -> None:
    root = Authority("root")
    renewed = Authority("root", root, serial=2)
    assert is_self_issued(renewed.certificate)
    leaf = renewed.leaf()
    assert verify_chain([leaf, renewed.certificate], [root.certificate], at=NOW, use=CLIENT) == root.certificate


def test_revocation_is_asked_only_where_crls_are_given() -> None:
    root = Authority("root")
    leaf = root.leaf(5)
    assert find_path(leaf, [], [root.certificate], at=NOW, use=CLIENT)
    assert find_path(leaf, [], [root.certificate], at=NOW, use=CLIENT, crls=[root.crl(6)])
    assert "is revoked" in refused(leaf, [], root, [root.crl(5)]).message


@pytest.mark.parametrize(
    "crls",
    [
        lambda root: [],
        lambda root: [Authority("root").crl()],  # a namesake's
        lambda root: [Authority("other").crl()],
        lambda root: [root.crl(updated=NOW + timedelta(hours=1))],
        lambda root: [root.crl(updated=NOW - DAY, until=NOW - timedelta(hours=1))],
    ],
)
def test_what_cannot_be_told_is_a_refusal(crls: object) -> None:
    root = Authority("root")
    assert callable(crls)
    refusal = refused(root.leaf(), [], root, crls(root))
    assert (refusal.step, "nothing at hand tells" in refusal.message) == (8, True)
    assert find_path(root.leaf(), [], [root.certificate], at=NOW, use=CLIENT, crls=[*crls(root), root.crl()])


def test_a_revoked_ca_takes_those_below_with_it() -> None:
    root = Authority("root")
    issuing = Authority("issuing", root, serial=3)
    leaf = issuing.leaf()
    others, good = [issuing.certificate], [root.crl(), issuing.crl()]
    assert find_path(leaf, others, [root.certificate], at=NOW, use=CLIENT, crls=good)
    assert "is revoked" in refused(leaf, others, root, [root.crl(3), issuing.crl()]).message


def test_nonsense_in_a_certificate_is_a_typed_error() -> None:
    root = Authority("root")
    der = bytearray(root.leaf().public_bytes(Encoding.DER))
    outcomes = set()
    for place in range(len(der)):
        der[place] ^= 0x41
        try:
            leaf = parse_certificate(bytes(der))
            find_path(leaf, [], [root.certificate], at=NOW, use=CLIENT)
            outcomes.add("accepted")
        except PeerFault as fault:
            outcomes.add(type(fault).__name__)
        der[place] ^= 0x41
    assert outcomes == {"PeerFault", "Refusal"}


def test_an_anchor_is_held_to_its_own_time_and_extensions() -> None:
    root = Authority("root")
    late = root.certify(root.subject, root.key, serial=1, is_ca=True, end=NOW - timedelta(hours=1))
    odd = root.certify(root.subject, root.key, serial=1, is_ca=True, more=x509.UnrecognizedExtension(ODD, b"\x05\x00"))
    leaf = root.leaf()
    for anchor, step in ((late, 3), (odd, 5)):
        with pytest.raises(Refusal) as caught:
            find_path(leaf, [], [anchor], at=NOW, use=CLIENT)
        assert caught.value.step == step
    assert find_path(leaf, [], [root.certificate], at=NOW, use=CLIENT)


def test_a_leaf_that_is_called_as_its_ca_signs_no_crl() -> None:
    root = Authority("root")
    thief = Authority("root")
    namesake = root.certify(root.subject, thief.key, serial=8)
    leaf = root.leaf(5)
    assert refused(leaf, [namesake], root, [thief.crl(), root.crl(5)]).message.startswith("the certificate is revoked")
    assert "nothing at hand tells" in refused(leaf, [namesake], root, [thief.crl()]).message
    assert find_path(leaf, [namesake], [root.certificate], at=NOW, use=CLIENT, crls=[root.crl(8)])


def test_a_crl_with_an_entry_that_is_not_understood_tells_nothing() -> None:
    root = Authority("root")
    leaf = root.leaf(5)
    unknown = x509.UnrecognizedExtension(ODD, b"\x05\x00")
    for critical in (True, False):
        entry = x509.RevokedCertificateBuilder(6, NOW).add_extension(unknown, critical).build()
        crl = x509.CertificateRevocationListBuilder(root.subject, NOW, NOW + DAY).add_revoked_certificate(entry)
        signed = crl.sign(root.key.private_key, hashes.SHA256())
        if critical:
            assert "nothing at hand tells" in refused(leaf, [], root, [signed]).message
        else:
            assert find_path(leaf, [], [root.certificate], at=NOW, use=CLIENT, crls=[signed])


def test_who_issues_crls_for_another_says_so_in_them() -> None:
    """A CRL of the issuer that a distribution point names counts when it is indirect (RFC 5280, 6.3.3 (b) (1))."""
    root = Authority("root")
    lists = Authority("lists", root, serial=2)
    where = x509.UniformResourceIdentifier("http://lists.example/a.crl")
    point = x509.DistributionPoint([where], None, None, [x509.DirectoryName(lists.subject)])
    leaf = root.certify(
        name("leaf"), generate(KeyAlgorithm.P256), serial=5, more=x509.CRLDistributionPoints([point]), critical=False
    )
    others = [root.certify(lists.subject, lists.key, serial=2, is_ca=True, more=CRL_SIGN)]
    own = root.certificate
    for indirect in (True, False):
        scope = x509.IssuingDistributionPoint([where], None, False, False, None, indirect, False)
        crl = x509.CertificateRevocationListBuilder(lists.subject, NOW, NOW + DAY).add_extension(scope, critical=True)
        at_hand = [crl.sign(lists.key.private_key, hashes.SHA256()), crl_of_cas(root)]
        if indirect:
            assert find_path(leaf, others, [own], at=NOW, use=CLIENT, crls=at_hand)
        else:
            assert "nothing at hand tells" in refused(leaf, others, root, at_hand).message


def test_the_algorithm_that_is_signed_is_the_one_beside_the_signature() -> None:
    """RFC 5280, 4.1.1.2, also where the names are alike but for their case."""
    root = Authority("The Root")
    lower = Authority.__new__(Authority)
    lower.key, lower.subject = root.key, name("the root")
    tbs = lower.leaf().tbs_certificate_bytes
    sha256, sha384 = bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d040303")
    for signed, good in ((tbs, True), (tbs.replace(sha256, sha384, 1), False)):
        der = assemble_signed(signed, KeyAlgorithm.P256, root.key.sign(signed))
        leaf = x509.load_der_x509_certificate(der)
        if good:
            assert find_path(leaf, [], [root.certificate], at=NOW, use=CLIENT)
        else:
            assert refused(leaf, [], root).step == 2


def test_names() -> None:
    assert same_name(name("a", "B c"), name("A", "b   C"))
    assert not same_name(name("a", "b"), name("b", "a"))
    assert name_key(name("a", "B c")) == name_key(name("A", "b   C"))
    assert name_key(name("a", "b")) != name_key(name("b", "a"))
    assert is_at_or_below(name("a", "b"), name("A"))
    assert not is_at_or_below(name("a"), name("a", "b"))
