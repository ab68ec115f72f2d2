"""One good certificate of each kind, and for each rule a certificate that breaks it."""

import dataclasses
import ipaddress
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from tests.fixtures.hierarchy import NOW, PUBLIC_URL, SHARD, Maker, remade, tlv

from troth.keys.file import generate
from troth.x509 import signed
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.building import Template, build_tbs
from troth.x509.certificates import find_extension
from troth.x509.lint import RULES, lint
from troth.x509.profiles import Profile, Purpose
from troth.x509.subjects import issuer_subject, named_subject, parse_alternative_names, permitted_at, thing_subject

KEY = generate(KeyAlgorithm.P256)
WHOLE = NOW.replace(microsecond=0)
ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")


class Bench:
    """Makes certificates that `build_tbs` would make, but for one thing."""

    def __init__(self, maker: Maker) -> None:
        self.maker = maker
        self.profile = maker.profiles["device"]
        self.issuer = maker.devices.certificate

    def template(self) -> Template:
        return self.maker.template(self.profile, thing_subject("lamp"), KEY, self.issuer)

    def server(self) -> Template:
        self.profile, self.issuer = self.maker.profiles["server"], self.maker.servers.certificate
        names = parse_alternative_names(["home.example"])
        return self.maker.template(self.profile, named_subject("home.example"), KEY, self.issuer, san=names)

    def issuing(self, permitted: tuple[x509.GeneralName, ...] = ()) -> Template:
        self.profile, self.issuer = self.maker.profiles["issuing-servers"], self.maker.root.certificate
        subject = issuer_subject("home.example", Purpose.SERVERS, 2)
        return self.maker.template(self.profile, subject, KEY, self.issuer, permitted=permitted)

    def ocsp_signer(self) -> Template:
        self.profile = self.maker.profiles["ocsp-signer"]
        return self.maker.template(self.profile, named_subject("OCSP"), KEY, self.issuer)

    def build(self, template: Template | None = None, **changes: object) -> x509.Certificate:
        template = dataclasses.replace(template or self.template(), **changes)  # type: ignore[arg-type]
        return build_tbs(template, KeyAlgorithm.P256, self.maker.throwaway.private_key)

    def rebuild(
        self,
        template: Template | None = None,
        *,
        without: type[x509.ExtensionType] | None = None,
        extra: tuple[x509.ExtensionType, bool] | None = None,
        digest: hashes.HashAlgorithm | None = None,
        issuer_name: x509.Name | None = None,
    ) -> x509.Certificate:
        """Build with one extension left out, another put in, another hash or another issuer's name."""
        made = self.build(template)
        builder = x509.CertificateBuilder(
            issuer_name=made.issuer if issuer_name is None else issuer_name,
            subject_name=made.subject,
            public_key=made.public_key(),
            serial_number=made.serial_number,
            not_valid_before=made.not_valid_before_utc,
            not_valid_after=made.not_valid_after_utc,
        )
        for extension in made.extensions:
            if without is None or extension.oid != without.oid:
                builder = builder.add_extension(extension.value, extension.critical)
        if extra:
            builder = builder.add_extension(*extra)
        return builder.sign(self.maker.throwaway.private_key, digest or hashes.SHA256())  # type: ignore[arg-type]

    def changed(self, template: Template | None = None, **changes: object) -> x509.Certificate:
        """Build and then change what no builder would."""
        return x509.load_der_x509_certificate(remade(self.build(template), **changes))  # type: ignore[arg-type]

    def findings(self, certificate: x509.Certificate) -> set[str]:
        return {finding.rule for finding in lint(certificate, self.profile, self.issuer)}


@pytest.fixture
def bench(maker: Maker) -> Bench:
    return Bench(maker)


def test_good_certificates_are_found_good(maker: Maker) -> None:
    for certificate, profile, issuer in (
        (maker.device().certificate, "device", maker.devices.certificate),
        (maker.device("t" * 128).certificate, "device", maker.devices.certificate),
        (maker.server().certificate, "server", maker.servers.certificate),
        (maker.devices.certificate, "issuing-devices", maker.root.certificate),
        (maker.servers.certificate, "issuing-servers", maker.root.certificate),
        (maker.root.certificate, "root", None),
    ):
        assert [str(finding) for finding in lint(certificate, maker.profiles[profile], issuer)] == []


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _validity(bench: Bench) -> signed._Validity:
    template = bench.template()
    return signed._Validity(
        not_before=tlv(asn1.GeneralizedTime(template.not_before)), not_after=tlv(asn1.UTCTime(template.not_after))
    )


def _access(*methods: x509.ObjectIdentifier) -> x509.AuthorityInformationAccess:
    where = x509.UniformResourceIdentifier("http://a/")
    return x509.AuthorityInformationAccess([x509.AccessDescription(method, where) for method in methods])


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, _validate=False)])


ORGANIZATION = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme")
OCSP = AuthorityInformationAccessOID.OCSP
REPOSITORY = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.5")
CRL = f"{PUBLIC_URL}/crl/{'0' * 64}"
POINT = x509.DistributionPoint([x509.UniformResourceIdentifier(f"{CRL}/{SHARD}.crl")], None, None, None)
SAN = x509.SubjectAlternativeName


def _address(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address(text))


def _replaced(bench: Bench, extension: x509.ExtensionType, critical: bool) -> x509.Certificate:
    return bench.rebuild(without=type(extension), extra=(extension, critical))


def _issuing_with(bench: Bench, extension: x509.ExtensionType) -> x509.Certificate:
    template = bench.issuing(permitted=permitted_at("home.example"))
    return bench.rebuild(template, without=type(extension), extra=(extension, True))


def _with_critical_use(bench: Bench) -> x509.Certificate:
    own = find_extension(bench.build(), x509.ExtendedKeyUsage)
    assert own is not None
    return _replaced(bench, own, True)


def _with_key(bench: Bench, curve: ec.EllipticCurve) -> x509.Certificate:
    made = bench.build()
    builder = x509.CertificateBuilder(
        issuer_name=made.issuer,
        subject_name=made.subject,
        public_key=ec.generate_private_key(curve).public_key(),
        serial_number=made.serial_number,
        not_valid_before=made.not_valid_before_utc,
        not_valid_after=made.not_valid_after_utc,
    )
    for extension in made.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(bench.maker.throwaway.private_key, hashes.SHA256())


# rule, and every other rule that the same fault breaks, and the certificate
BAD: list[tuple[str, set[str], Callable[[Bench], x509.Certificate]]] = [
    ("version", set(), lambda b: b.changed(version=0)),
    ("serial-number", set(), lambda b: b.build(b.server(), serial=1)),
    ("serial-number", set(), lambda b: b.changed(b.server(), serial=1 << 159)),
    ("serial-number", set(), lambda b: b.changed(b.server(), serial=0)),
    ("signature-algorithm", set(), lambda b: b.rebuild(digest=hashes.SHA384())),
    ("signature-algorithm", set(), lambda b: b.changed(signature_identifier=ECDSA_SHA384)),
    ("issuer-name", set(), lambda b: b.rebuild(issuer_name=_common_name("another"))),
    ("issuer-name", set(), lambda b: b.rebuild(issuer_name=x509.Name([]))),
    ("validity", set(), lambda b: b.build(not_after=WHOLE + timedelta(days=91))),
    ("validity", set(), lambda b: b.build(not_before=WHOLE - timedelta(hours=2))),
    ("time-encoding", set(), lambda b: b.changed(validity=_validity(b))),
    ("subject", set(), lambda b: b.build(subject=x509.Name([]))),
    ("subject", set(), lambda b: b.build(subject=_common_name("n" * 65))),
    ("subject", set(), lambda b: b.build(subject=_common_name("no thing"))),
    ("subject", set(), lambda b: b.build(subject=x509.Name([*thing_subject("lamp"), ORGANIZATION]))),
    ("subject", set(), lambda b: b.build(b.server(), subject=x509.Name([ORGANIZATION]))),
    ("subject", set(), lambda b: b.build(b.issuing(permitted=permitted_at("a")), subject=b.issuer.subject)),
    ("public-key", {"subject-key-identifier"}, lambda b: _with_key(b, ec.SECP521R1())),
    ("known-extensions", set(), lambda b: b.rebuild(extra=(x509.PrecertPoison(), True))),
    ("ocsp-no-check", set(), lambda b: b.rebuild(extra=(x509.OCSPNoCheck(), False))),
    ("ocsp-no-check", set(), lambda b: b.rebuild(b.ocsp_signer(), without=x509.OCSPNoCheck)),
    ("known-extensions", set(), _with_critical_use),
    ("basic-constraints", set(), lambda b: b.rebuild(without=x509.BasicConstraints)),
    ("basic-constraints", set(), lambda b: _replaced(b, x509.BasicConstraints(ca=True, path_length=None), True)),
    ("basic-constraints", {"key-usage"}, lambda b: _issuing_with(b, x509.BasicConstraints(False, None))),
    ("basic-constraints", set(), lambda b: _issuing_with(b, x509.BasicConstraints(True, 1))),
    ("key-usage", set(), lambda b: b.rebuild(without=x509.KeyUsage)),
    ("key-usage", set(), lambda b: _replaced(b, _usage(sign=True), True)),
    ("extended-key-usage", set(), lambda b: b.rebuild(without=x509.ExtendedKeyUsage)),
    (
        "extended-key-usage",
        set(),
        lambda b: _replaced(b, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
    ),
    ("alternative-names", set(), lambda b: b.build(b.server(), san=())),
    ("alternative-names", set(), lambda b: b.build(san=(x509.DNSName("lamp"),))),
    ("alternative-names", set(), lambda b: b.build(b.server(), san=(x509.RFC822Name("a@home.example"),))),
    ("alternative-names", set(), lambda b: b.build(b.server(), san=(x509.DNSName("a_b.home.example"),))),
    ("alternative-names", set(), lambda b: b.rebuild(extra=(SAN([]), False))),
    ("name-constraints", set(), lambda b: b.build(b.issuing())),
    ("name-constraints", set(), lambda b: b.build(permitted=permitted_at("home.example"))),
    ("name-constraints", set(), lambda b: b.build(b.server(), san=(x509.DNSName("bank.example"),))),
    ("name-constraints", set(), lambda b: b.build(b.server(), san=(_address("8.8.8.8"),))),
    ("subject-key-identifier", set(), lambda b: b.rebuild(without=x509.SubjectKeyIdentifier)),
    ("subject-key-identifier", set(), lambda b: _replaced(b, x509.SubjectKeyIdentifier(bytes(20)), False)),
    ("authority-key-identifier", set(), lambda b: b.rebuild(without=x509.AuthorityKeyIdentifier)),
    (
        "authority-key-identifier",
        set(),
        lambda b: _replaced(b, x509.AuthorityKeyIdentifier(bytes(20), None, None), False),
    ),
    ("crl-distribution-points", set(), lambda b: b.build(crl_url=None)),
    ("crl-distribution-points", set(), lambda b: b.build(crl_url=f"{CRL}/8.crl")),
    ("crl-distribution-points", set(), lambda b: b.build(crl_url=f"{CRL.replace('http', 'https')}/7.crl")),
    ("crl-distribution-points", set(), lambda b: b.build(b.ocsp_signer(), crl_url=f"{CRL}.crl")),
    ("crl-distribution-points", set(), lambda b: _replaced(b, x509.CRLDistributionPoints([POINT, POINT]), False)),
    ("authority-information-access", set(), lambda b: b.build(ocsp_url=None)),
    ("authority-information-access", set(), lambda b: b.build(aia_url="https://a/")),
    ("authority-information-access", set(), lambda b: b.build(b.ocsp_signer(), ocsp_url="http://a/")),
    ("authority-information-access", set(), lambda b: _replaced(b, x509.AuthorityInformationAccess([]), False)),
    ("authority-information-access", set(), lambda b: _replaced(b, _access(OCSP, OCSP), False)),
    ("authority-information-access", set(), lambda b: _replaced(b, _access(OCSP, REPOSITORY), False)),
]


@pytest.mark.filterwarnings("ignore:Attribute's length", "ignore:Parsed a serial number")
@pytest.mark.parametrize(("rule", "others", "make"), BAD)
def test_a_rule_finds_what_breaks_it(
    bench: Bench, rule: str, others: set[str], make: Callable[[Bench], x509.Certificate]
) -> None:
    assert bench.findings(make(bench)) == {rule, *others}


def test_every_rule_is_broken_by_a_certificate_here() -> None:
    assert {rule.name for rule in RULES} == {name for name, _, _ in BAD}


def test_every_rule_cites_its_clause() -> None:
    assert all(rule.clause.startswith("RFC ") for rule in RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_a_finding_is_one_line(bench: Bench) -> None:
    (finding,) = lint(bench.build(bench.server(), serial=1), bench.profile, bench.issuer)
    assert str(finding) == "serial-number: the serial number has fewer than 64 bits (RFC 5280, 4.1.2.2)"


def test_a_use_that_the_issuer_may_not_certify_is_found(maker: Maker, profiles: dict[str, Profile]) -> None:
    bench = Bench(maker)
    # a server profile whose issuer was chosen wrongly
    bench.profile = profiles["server"]
    names = parse_alternative_names(["home.example"])
    template = maker.template(bench.profile, named_subject("home.example"), KEY, bench.issuer, san=names)
    found = lint(bench.build(template), bench.profile, bench.issuer)
    assert [finding.message for finding in found] == ["it is for a use that its issuer may not certify"]


def test_what_cannot_be_read_is_found_by_the_rules_that_read_it(bench: Bench) -> None:
    der = remade(bench.build())
    broken = x509.load_der_x509_certificate(der.replace(bytes.fromhex("0603551d0f"), bytes.fromhex("0603551d13")))
    findings = lint(broken, bench.profile, bench.issuer)
    assert "known-extensions" in {finding.rule for finding in findings}
    assert any(finding.message.startswith("cannot be read") for finding in findings)
