"""One good certificate of each kind, and for each rule a certificate that breaks it."""

import dataclasses
import ipaddress
import math
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from tests.fixtures.hierarchy import NOW, PUBLIC_URL, SHARD, Maker, remade, tlv

from troth.keys.file import generate
from troth.x509 import signed
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.building import Template, build_tbs, show
from troth.x509.certificates import find_extension
from troth.x509.lint import RULES, lint
from troth.x509.lint.known import Known
from troth.x509.lint.rsa_modulus import SMALL_PRIMES
from troth.x509.profiles import KeyUse, NameKind, Profile, Purpose
from troth.x509.samples import sample_public_key
from troth.x509.signed import read_parts
from troth.x509.subjects import (
    issuer_subject,
    named_subject,
    parse_alternative_names,
    parse_bound,
    permitted_at,
    thing_subject,
)

KEY = generate(KeyAlgorithm.P256)
OTHER_KEY = generate(KeyAlgorithm.P256)
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

    def server(self, *more: x509.GeneralName) -> Template:
        self.profile, self.issuer = self.maker.profiles["server"], self.maker.servers.certificate
        names = (*parse_alternative_names(["home.example"]), *more)
        return self.maker.template(self.profile, named_subject("home.example"), KEY, self.issuer, san=names)

    def issuing(self, permitted: tuple[x509.GeneralName, ...] = ()) -> Template:
        self.profile, self.issuer = self.maker.profiles["issuing-servers"], self.maker.root.certificate
        subject = issuer_subject("home.example", Purpose.SERVERS, 2)
        return self.maker.template(self.profile, subject, KEY, self.issuer, permitted=permitted)

    def camera(self, name: str) -> Template:
        self.profile = dataclasses.replace(
            self.profile, san_allowed=frozenset({NameKind.DNS}), san_within=(parse_bound("home.example"),)
        )
        return dataclasses.replace(self.template(), san=parse_alternative_names([name]))

    def peer(self, *names: str) -> Template:
        self.profile = dataclasses.replace(self.profile, san_thing=True)
        return dataclasses.replace(self.template(), san=parse_alternative_names(names))

    def for_uses(self, *uses: KeyUse) -> Template:
        self.profile = dataclasses.replace(self.profile, key_usage=frozenset(uses))
        return self.template()

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
        found = {finding.rule for finding in lint(certificate, self.profile, self.issuer)}
        self._check_known(certificate.tbs_certificate_bytes)
        return found

    def _check_known(self, tbs: bytes) -> None:
        """What takes the place of the rules lets nothing through that they do not."""
        known = Known(self.profile, self.issuer)
        honest = self.maker.template(self.profile, thing_subject("other"), OTHER_KEY, self.issuer)
        shown = self.build(honest)
        if not lint(shown, self.profile, self.issuer):
            known.learn(shown.tbs_certificate_bytes)
        if known.has(tbs):
            certificate = show(tbs, KeyAlgorithm.P256, self.maker.throwaway.private_key)
            assert lint(certificate, self.profile, self.issuer) == ()


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


ED25519 = generate(KeyAlgorithm.ED25519)
TELETEX = x509.NameAttribute(NameOID.COMMON_NAME, "lamp", _type=_ASN1Type.T61String)
ORGANIZATION = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme")
TWO_IN_ONE = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "lamp"), ORGANIZATION])
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


def _twice(certificate: x509.Certificate) -> list[signed._Extension]:
    found = asn1.decode_der(signed._Certificate, certificate.tbs_certificate_bytes).extensions
    assert found
    return [*found, found[0]]


def _rsa(factor: int) -> rsa.RSAPublicKey:
    """Return a key whose modulus has 2,048 bits and this factor."""
    odd = (((1 << 2048) - 1) // factor) | 1
    modulus = next(each for each in range(odd, odd - 10_000, -2) if math.gcd(each * factor, SMALL_PRIMES) == factor)
    return rsa.RSAPublicNumbers(65_537, modulus * factor).public_key()


# Every rule that looks into an extension says so of extensions that cannot be read.
READ_EXTENSIONS = {
    "basic-constraints",
    "key-usage",
    "key-usage-for-key",
    "extended-key-usage",
    "alternative-names",
    "server-name",
    "name-constraints",
    "subject-key-identifier",
    "authority-key-identifier",
    "crl-distribution-points",
    "authority-information-access",
    "ocsp-no-check",
}


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
    ("public-key", set(), lambda b: _with_key(b, ec.SECP521R1())),
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
    ("alternative-names", set(), lambda b: b.build(b.server(x509.RFC822Name("a@home.example")))),
    ("alternative-names", set(), lambda b: b.build(b.server(x509.DNSName("a_b.home.example")))),
    ("alternative-names", set(), lambda b: b.build(b.camera("camera-1.elsewhere.example"))),
    ("alternative-names", set(), lambda b: b.build(b.peer())),
    ("alternative-names", set(), lambda b: b.build(b.peer("other.troth.alt"))),
    ("alternative-names", set(), lambda b: b.build(b.peer("lamp.troth.alt", "home.example"))),
    ("server-name", set(), lambda b: b.build(b.server(), san=(x509.DNSName("mqtt.home.example"),))),
    ("empty-sequences", set(), lambda b: b.rebuild(extra=(SAN([]), False))),
    ("duplicate-extensions", READ_EXTENSIONS, lambda b: b.changed(extensions=_twice(b.build()))),
    ("unique-identifiers", set(), lambda b: b.changed(issuer_id=asn1.BitString(b"\x01", 0))),
    ("unique-identifiers", set(), lambda b: b.changed(subject_id=asn1.BitString(b"\x01", 0))),
    ("name-encoding", set(), lambda b: b.build(subject=x509.Name([TELETEX]))),
    ("name-encoding", {"subject"}, lambda b: b.build(subject=x509.Name([TWO_IN_ONE]))),
    ("key-usage-for-key", set(), lambda b: b.build(b.for_uses(KeyUse.KEY_ENCIPHERMENT))),
    ("key-usage-for-key", set(), lambda b: b.build(b.for_uses(KeyUse.KEY_AGREEMENT), public_key=ED25519.public_key)),
    ("rsa-modulus", set(), lambda b: b.build(public_key=_rsa(3))),
    ("rsa-modulus", set(), lambda b: b.build(public_key=_rsa(751))),
    ("name-constraints", set(), lambda b: b.build(b.issuing())),
    ("name-constraints", set(), lambda b: b.build(permitted=permitted_at("home.example"))),
    ("name-constraints", set(), lambda b: b.build(b.server(x509.DNSName("bank.example")))),
    ("name-constraints", set(), lambda b: b.build(b.server(_address("8.8.8.8")))),
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


def test_what_is_within_the_bounds_is_let_in(bench: Bench) -> None:
    template = bench.camera("camera-1.home.example")
    assert bench.findings(bench.build(template)) == set()


def test_uses_that_a_key_has_are_let_in(bench: Bench) -> None:
    template = bench.for_uses(KeyUse.KEY_AGREEMENT)
    assert bench.findings(bench.build(template)) == set()
    template = bench.for_uses(KeyUse.KEY_ENCIPHERMENT)
    assert bench.findings(bench.build(template, public_key=sample_public_key(KeyAlgorithm.RSA2048))) == set()


@pytest.mark.parametrize("year", [1970, 2038, 2049, 2050, 2051, 2105])
def test_times_are_written_as_their_year_wants(profiles: dict[str, Profile], year: int) -> None:
    # The hierarchy of that day is linted as it is made.
    maker = Maker(profiles, datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC))
    parts = read_parts(maker.device().certificate)
    assert parts.not_before.tag == (b"\x17" if year < 2050 else b"\x18")
    # 90 days later is the next year
    assert parts.not_after.tag == (b"\x17" if year < 2049 else b"\x18")


def test_extensions_that_cannot_be_read_are_found_by_the_rules_that_read_them(bench: Bench) -> None:
    unreadable = bench.changed(extensions=[_garbled(each) for each in _twice(bench.build())[:-1]])
    findings = lint(unreadable, bench.profile, bench.issuer)
    assert {finding.rule for finding in findings} == READ_EXTENSIONS
    assert all(finding.message.startswith("cannot be read") for finding in findings)


def _garbled(extension: signed._Extension) -> signed._Extension:
    if extension.type == x509.KeyUsage.oid:
        extension.value = b"\x03\x7f"
    return extension


def test_the_page_has_every_rule() -> None:
    page = (Path(__file__).parents[4] / "docs" / "lint.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \| (.+?) \| (.+?) \|$", page, re.M)
    said = {
        rule.name: (" ".join((sys.modules[rule.check.__module__].__doc__ or "").split("\n\n")[0].split()))
        for rule in RULES
    }
    assert rows == [(rule.name, said[rule.name], rule.clause) for rule in RULES]
