"""Each step of verification, by a certificate that fails at that step and its twin that passes all."""

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.hierarchy import NOW, Maker, Signed

from troth.errors import Kind, PeerFault
from troth.keys.file import FileKey, generate
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.building import key_identifier
from troth.x509.profiles import ExtendedUse, Profile, Purpose
from troth.x509.subjects import issuer_subject, thing_subject
from troth.x509.verify import verify_chain, verify_issued_by

CLIENT = ExtendedUse.CLIENT_AUTH
SERVER = ExtendedUse.SERVER_AUTH


def _refused(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    at: datetime = NOW,
    use: ExtendedUse | None = CLIENT,
    below: int = 0,
) -> tuple[Kind, str]:
    with pytest.raises(PeerFault) as caught:
        verify_issued_by(certificate, issuer, at=at, use=use, below=below)
    assert caught.value.detail
    return caught.value.kind, caught.value.detail.removeprefix("verification, ")


def test_what_was_issued_is_verified(maker: Maker) -> None:
    verify_issued_by(maker.device().certificate, maker.devices.certificate, at=NOW, use=CLIENT)
    verify_issued_by(maker.server().certificate, maker.servers.certificate, at=NOW, use=SERVER)
    verify_issued_by(maker.devices.certificate, maker.root.certificate, at=NOW, use=None, below=1)


def test_1_another_issuers_name(maker: Maker) -> None:
    leaf = maker.device().certificate
    assert _refused(leaf, maker.servers.certificate) == (Kind.UNAUTHENTICATED, "step 1")


def test_1_another_key_under_the_issuers_name(maker: Maker, profiles: dict[str, Profile]) -> None:
    impostor = Maker(profiles)
    assert impostor.devices.certificate.subject == maker.devices.certificate.subject
    leaf = impostor.device().certificate
    assert _refused(leaf, maker.devices.certificate) == (Kind.UNAUTHENTICATED, "step 1")


def _raw(
    issuer: Signed,
    signer: FileKey,
    *extensions: tuple[x509.ExtensionType, bool],
    subject: x509.Name | None = None,
    digest: hashes.SHA256 | hashes.SHA512 | hashes.SHA224 | None = None,
) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        issuer_name=issuer.certificate.subject,
        subject_name=subject or thing_subject("lamp"),
        public_key=generate(KeyAlgorithm.P256).public_key,
        serial_number=1,
        not_valid_before=NOW - timedelta(hours=1),
        not_valid_after=NOW + timedelta(hours=1),
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer.private_key, digest or hashes.SHA256())


FOR_CLIENTS = (x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), False)
IS_CA = (x509.BasicConstraints(ca=True, path_length=None), True)
IS_NO_CA = (x509.BasicConstraints(ca=False, path_length=None), True)


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> tuple[x509.KeyUsage, bool]:
    usage = x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return usage, True


def test_2_a_signature_by_another_key(maker: Maker) -> None:
    # name and key identifier are the issuer's, as a thief of everything but the key would write them
    identifier = x509.AuthorityKeyIdentifier(key_identifier(maker.devices.key.public_key), None, None)
    forged = _raw(maker.devices, maker.throwaway, FOR_CLIENTS, (identifier, False))
    assert _refused(forged, maker.devices.certificate) == (Kind.UNAUTHENTICATED, "step 2")
    honest = _raw(maker.devices, maker.devices.key, FOR_CLIENTS, (identifier, False))
    verify_issued_by(honest, maker.devices.certificate, at=NOW, use=CLIENT)


def test_2_a_signature_over_a_weak_hash(maker: Maker) -> None:
    weak = _raw(maker.devices, maker.devices.key, FOR_CLIENTS, digest=hashes.SHA224())
    assert _refused(weak, maker.devices.certificate) == (Kind.UNAUTHENTICATED, "step 2")
    verify_issued_by(
        _raw(maker.devices, maker.devices.key, FOR_CLIENTS, digest=hashes.SHA512()),
        maker.devices.certificate,
        at=NOW,
        use=CLIENT,
    )


def test_3_time(maker: Maker) -> None:
    leaf, issuer = maker.device().certificate, maker.devices.certificate
    second = timedelta(seconds=1)
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    for at in (begin, end, end + second / 2):
        verify_issued_by(leaf, issuer, at=at, use=CLIENT)
    for at in (begin - second / 2, end + second):
        assert _refused(leaf, issuer, at) == (Kind.EXPIRED, "step 3")


def test_3_the_issuers_time(maker: Maker, profiles: dict[str, Profile]) -> None:
    short = dataclasses.replace(profiles["issuing-devices"], validity=timedelta(days=1))
    other = Maker({**profiles, "issuing-devices": short})
    forever = _raw(other.devices, other.devices.key, FOR_CLIENTS)
    verify_issued_by(forever, other.devices.certificate, at=NOW, use=CLIENT)
    assert _refused(forever, other.devices.certificate, NOW + timedelta(days=2)) == (Kind.EXPIRED, "step 3")
    leaf = other.device().certificate
    assert leaf.not_valid_after_utc == other.devices.certificate.not_valid_after_utc


def test_4_a_leaf_issues_nothing(maker: Maker) -> None:
    device = maker.device()
    child = _raw(device, device.key, FOR_CLIENTS)
    assert _refused(child, device.certificate) == (Kind.UNAUTHENTICATED, "step 4")


@pytest.mark.parametrize(
    "extensions", [(FOR_CLIENTS,), (FOR_CLIENTS, IS_NO_CA), (FOR_CLIENTS, IS_CA, _usage(digital_signature=True))]
)
def test_4_only_a_ca_may_sign(maker: Maker, extensions: tuple[tuple[x509.ExtensionType, bool], ...]) -> None:
    key = generate(KeyAlgorithm.P256)
    builder = x509.CertificateBuilder(
        thing_subject("ca"), thing_subject("ca"), key.public_key, 1, NOW - timedelta(hours=2), NOW + timedelta(hours=2)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    issuer = Signed(builder.sign(key.private_key, hashes.SHA256()), key)
    assert _refused(_raw(issuer, key, FOR_CLIENTS), issuer.certificate) == (Kind.UNAUTHENTICATED, "step 4")


def test_4_path_length(maker: Maker) -> None:
    leaf = maker.device().certificate
    assert _refused(leaf, maker.devices.certificate, below=1) == (Kind.UNAUTHENTICATED, "step 4")
    allowed = maker.profiles["root"].ca
    assert allowed is not None
    below = allowed.path_length + 1
    assert _refused(maker.devices.certificate, maker.root.certificate, below=below) == (Kind.UNAUTHENTICATED, "step 4")


def test_5_a_critical_extension_that_is_not_understood(maker: Maker) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    critical = _raw(maker.devices, maker.devices.key, FOR_CLIENTS, (unknown, True))
    assert _refused(critical, maker.devices.certificate) == (Kind.UNSUPPORTED, "step 5")
    harmless = _raw(maker.devices, maker.devices.key, FOR_CLIENTS, (unknown, False))
    verify_issued_by(harmless, maker.devices.certificate, at=NOW, use=CLIENT)


def test_6_another_use(maker: Maker) -> None:
    server, issuer = maker.server().certificate, maker.servers.certificate
    assert _refused(server, issuer) == (Kind.UNAUTHENTICATED, "step 6")


def test_6_a_leaf_must_name_its_use(maker: Maker) -> None:
    silent = _raw(maker.devices, maker.devices.key)
    assert _refused(silent, maker.devices.certificate) == (Kind.UNAUTHENTICATED, "step 6")


def test_6_the_issuer_must_be_for_the_use(maker: Maker) -> None:
    # the servers' CA, its key stolen, certifies a client
    client = _raw(maker.servers, maker.servers.key, FOR_CLIENTS)
    assert _refused(client, maker.servers.certificate) == (Kind.UNAUTHENTICATED, "step 6")


def test_6_the_key_must_be_for_signing(maker: Maker) -> None:
    silent = _raw(maker.devices, maker.devices.key, FOR_CLIENTS, _usage())
    assert _refused(silent, maker.devices.certificate) == (Kind.UNAUTHENTICATED, "step 6")


def test_7_names_that_the_issuer_may_not_certify(maker: Maker) -> None:
    uses = (x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), False)
    names = (x509.SubjectAlternativeName([x509.DNSName("bank.example")]), False)
    stolen = _raw(maker.servers, maker.servers.key, uses, names)
    assert _refused(stolen, maker.servers.certificate, use=SERVER) == (Kind.UNAUTHENTICATED, "step 7")


def test_a_chain_leads_to_its_anchor(maker: Maker) -> None:
    leaf, issuing, root = maker.device().certificate, maker.devices.certificate, maker.root.certificate
    for chain, anchors in (
        ([leaf, issuing], [root]),
        ([leaf, issuing, root], [root]),
        ([leaf], [issuing]),
        ([leaf, issuing], [maker.servers.certificate, issuing]),
    ):
        assert verify_chain(chain, anchors, at=NOW, use=CLIENT) == anchors[-1]


@pytest.mark.parametrize(
    "pick",
    [
        lambda m: ([], [m.root]),
        lambda m: ([m.device(), *[m.devices] * 10], [m.root]),
        lambda m: ([m.device()], []),
        lambda m: ([m.device()], [m.root]),
        lambda m: ([m.root], [m.root]),
        lambda m: ([m.device(), m.servers], [m.root]),
        lambda m: ([m.device(), m.root], [m.root]),
        lambda m: ([m.server(), m.servers], [m.root]),
        lambda m: ([m.device(), m.devices], [Maker(m.profiles).root]),
    ],
)
def test_any_other_chain_is_refused(maker: Maker, pick: Callable[[Maker], tuple[list[Signed], list[Signed]]]) -> None:
    chain, anchors = pick(maker)
    with pytest.raises(PeerFault) as caught:
        verify_chain([each.certificate for each in chain], [each.certificate for each in anchors], at=NOW, use=CLIENT)
    assert caught.value.kind is Kind.UNAUTHENTICATED


def test_7_names_that_an_issuer_further_above_may_not_certify(maker: Maker) -> None:
    """The constraint stands in the root of the chain, two steps above the name."""

    def signed(name: str, issuer: Signed | None, *extensions: tuple[x509.ExtensionType, bool]) -> Signed:
        key = generate(KeyAlgorithm.P256)
        subject, above = thing_subject(name), issuer or Signed(maker.root.certificate, key)
        builder = x509.CertificateBuilder(
            issuer_name=above.certificate.subject if issuer else subject,
            subject_name=subject,
            public_key=key.public_key,
            serial_number=1,
            not_valid_before=NOW,
            not_valid_after=NOW,
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return Signed(builder.sign(above.key.private_key, hashes.SHA256()), key)

    permitted = (x509.NameConstraints([x509.DNSName("home.example")], None), True)
    root = signed("root", None, IS_CA, permitted)
    issuing = signed("issuing", root, IS_CA)
    for name, free in (("a.home.example", True), ("bank.example", False)):
        san = (x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        leaf = signed("leaf", issuing, FOR_CLIENTS, san)
        chain = [leaf.certificate, issuing.certificate]
        if free:
            assert verify_chain(chain, [root.certificate], at=NOW, use=CLIENT) == root.certificate
            continue
        with pytest.raises(PeerFault) as caught:
            verify_chain(chain, [root.certificate], at=NOW, use=CLIENT)
        assert caught.value.detail == "verification, step 7"


def test_a_name_that_cannot_be_read_is_malformed(maker: Maker) -> None:
    der = maker.devices.certificate.public_bytes(Encoding.DER)
    # a UTF8String that is none
    broken = x509.load_der_x509_certificate(der.replace(b"home.example root", b"home.example\xff\xffoot"))
    for chain in ([broken], [maker.device().certificate, broken]):
        with pytest.raises(PeerFault) as caught:
            verify_chain(chain, [maker.root.certificate], at=NOW, use=CLIENT)
        assert caught.value.kind is Kind.MALFORMED
    with pytest.raises(PeerFault) as caught:
        verify_issued_by(broken, maker.root.certificate, at=NOW, use=CLIENT)
    assert caught.value.kind is Kind.MALFORMED


def test_an_issuing_ca_certifies_no_ca(maker: Maker) -> None:
    """A stolen issuing key makes no CA of its own: the path length of the issuing CA is 0."""
    key = generate(KeyAlgorithm.P256)
    template = maker.template(
        dataclasses.replace(maker.profiles["issuing-devices"]),
        issuer_subject("evil", Purpose.DEVICES, 1),
        key,
        maker.devices.certificate,
    )
    below = Signed(maker.sign(template, maker.devices.key), key)
    leaf = _raw(below, key, FOR_CLIENTS)
    chain = [leaf, below.certificate, maker.devices.certificate]
    with pytest.raises(PeerFault) as caught:
        verify_chain(chain, [maker.root.certificate], at=NOW, use=CLIENT)
    assert caught.value.detail == "verification, step 4"
