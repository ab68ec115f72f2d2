"""Server-side keys, what requests are to hold, and requests tied to their connection: curl, openssl and pyOpenSSL."""

import base64
import re
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key, pkcs7
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import AttributeOID, NameOID, ObjectIdentifier
from OpenSSL import SSL
from tests.fixtures.doors import Answer, RunningDoors, curl
from tests.fixtures.enrolling import new_token
from tests.fixtures.issuance import certificates, entries
from tests.fixtures.linked import Make, post_linked

from troth.enrollment.definitions import BUILT_IN
from troth.enrollment.enrollments import create_enrollment
from troth.enrollment.linking import IDENTITY_LINKING
from troth.journal.change import change
from troth.keys.file import FileKey, generate, render_key
from troth.testing.authority import TestAuthority
from troth.x509.algorithms import KeyAlgorithm

pytestmark = pytest.mark.needs("curl", "openssl")

ASYMMETRIC = ObjectIdentifier("1.2.840.113549.1.9.16.2.54")
SYMMETRIC = ObjectIdentifier("1.2.840.113549.1.9.16.2.37")


def allow(site: TestAuthority, name: str, *lines: str) -> None:
    """Put an enrollment by token into force, with these lines more."""
    text = BUILT_IN.replace('name = "default"', f'name = "{name}"') + "\n".join(lines)
    with change(site.db, site.clock, "operator:anna") as changing:
        create_enrollment(changing, text)


def request(key: FileKey, *attributes: tuple[ObjectIdentifier, bytes, bool]) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lamp-1")])
    )
    for oid, value, is_text in attributes:
        kind = _ASN1Type.PrintableString if is_text else _ASN1Type.OctetString
        builder = builder.add_attribute(oid, value, _tag=kind)
    digest = None if key.algorithm is KeyAlgorithm.ED25519 else SHA256()
    return builder.sign(key.private_key, digest).public_bytes(Encoding.DER)


def to_own_key(key: FileKey) -> bytes:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key).digest
    return request(key, (ASYMMETRIC, identifier, False))


def generated(doors: RunningDoors, label: str, der: bytes, secret: str, *words: str) -> Answer:
    return curl(
        f"https://localhost:{doors.https}/.well-known/est/{label}/serverkeygen",
        *("--header", "Content-Type: application/pkcs10", "--user", f"lamp-1:{secret}", *words),
        root=doors.site.root_file,
        data=base64.b64encode(der),
    )


def parts(answer: Answer) -> list[tuple[str, bytes]]:
    """Return type and content of both parts of an answer."""
    assert answer.status == 200, answer
    kind, boundary = re.fullmatch(r'(multipart/mixed); boundary="([^"]+)"', answer.headers["content-type"]).groups()  # type: ignore[union-attr]
    first, *found, last = (b"\r\n" + answer.body).split(f"\r\n--{boundary}".encode())
    assert (kind, first, last.strip()) == ("multipart/mixed", b"", b"--")
    told = []
    for part in found:
        head, _, body = part.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().strip().split("\r\n"))
        assert headers["Content-Transfer-Encoding"] == "base64"
        assert b"\n" not in body
        told.append((headers["Content-Type"], base64.b64decode(body, validate=True)))
    assert told[1][0] == "application/pkcs7-mime; smime-type=certs-only"
    return told


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.RSA2048])
def test_a_key_comes_encrypted_to_who_asked(doors: RunningDoors, tmp_path: Path, algorithm: KeyAlgorithm) -> None:
    site, key = doors.site, generate(algorithm)
    allow(site, "tiny", 'server_keys = "encrypted"')
    (kind, envelope), (_, told) = parts(generated(doors, "tiny", to_own_key(key), new_token(site)))
    assert kind == "application/pkcs7-mime; smime-type=server-generated-key"
    key_file = tmp_path / "own.key"
    key_file.write_bytes(render_key(key, None))
    words = ["openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", str(key_file)]
    made = load_der_private_key(subprocess.run(words, input=envelope, capture_output=True, check=True).stdout, None)
    (certificate,) = pkcs7.load_der_pkcs7_certificates(told)
    assert certificate.public_key() == made.public_key() != key.public_key
    (row,) = certificates(site.db, "lamp-1")
    assert row.der == certificate.public_bytes(Encoding.DER)
    # Nothing that stays has the key: neither database nor journal, neither as it is nor encoded.
    assert secret_of(made) not in b"".join(file.read_bytes() for file in site.folder.glob("troth.db*"))


def secret_of(key: object) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        prime = key.private_numbers().p
        return prime.to_bytes(prime.bit_length() // 8, "big")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_numbers().private_value.to_bytes(32, "big")


def test_a_key_comes_as_it_is_where_that_is_allowed_and_asked(doors: RunningDoors) -> None:
    site = doors.site
    allow(site, "open", 'server_keys = "any"')
    (kind, der), (_, told) = parts(generated(doors, "open", request(generate(KeyAlgorithm.P256)), new_token(site)))
    assert kind == "application/pkcs8"
    (certificate,) = pkcs7.load_der_pkcs7_certificates(told)
    assert load_der_private_key(der, None).public_key() == certificate.public_key()


def test_no_key_is_made_where_the_enrollment_does_not_say_so(doors: RunningDoors) -> None:
    site, key = doors.site, generate(KeyAlgorithm.P256)
    allow(site, "strict", 'server_keys = "encrypted"')
    secret = new_token(site)
    assert generated(doors, "default", to_own_key(key), secret).status == 403
    assert generated(doors, "strict", request(key), secret).status == 403
    assert generated(doors, "nowhere", to_own_key(key), secret).status == 404
    assert generated(doors, "strict", to_own_key(key), "A" * 22).status == 401
    assert certificates(site.db, "lamp-1") == []
    assert entries(site.db, "token.spent") == []
    assert generated(doors, "strict", to_own_key(key), secret).status == 200


def test_it_is_encrypted_to_nobody_else(doors: RunningDoors) -> None:
    site, key, other = doors.site, generate(KeyAlgorithm.P256), generate(KeyAlgorithm.P256)
    allow(site, "tiny", 'server_keys = "any"')
    secret = new_token(site)
    stranger = x509.SubjectKeyIdentifier.from_public_key(other.public_key).digest
    assert generated(doors, "tiny", request(key, (ASYMMETRIC, stranger, False)), secret).status == 422
    assert generated(doors, "tiny", request(key, (SYMMETRIC, b"secret", False)), secret).status == 501
    assert generated(doors, "tiny", to_own_key(generate(KeyAlgorithm.ED25519)), secret).status == 422
    assert entries(site.db, "token.spent") == []
    assert generated(doors, "tiny", to_own_key(key), secret).status == 200


def test_it_may_be_encrypted_to_the_certificate_of_the_connection(doors: RunningDoors, tmp_path: Path) -> None:
    site = doors.site
    allow(site, "tiny", 'server_keys = "encrypted"')
    held, key = site.device("lamp-1"), generate(KeyAlgorithm.P256)
    identifier = held.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    own = ("--cert", str(held.chain_file), "--key", str(held.key_file))
    answer = generated(doors, "tiny", request(key, (ASYMMETRIC, identifier, False)), new_token(site), *own)
    (_, envelope), _ = parts(answer)
    words = ["openssl", "cms", "-decrypt", "-inform", "DER", "-recip", str(held.chain_file)]
    words += ["-inkey", str(held.key_file)]
    made = subprocess.run(words, input=envelope, capture_output=True, check=True).stdout
    assert load_der_private_key(made, None).public_key() != held.certificate.public_key()


def test_what_a_request_is_to_hold_is_told_to_anybody(doors: RunningDoors) -> None:
    allow(doors.site, "bound", "linked = true")

    def told(label: str) -> Answer:
        return curl(f"https://localhost:{doors.https}/.well-known/est/{label}csrattrs", root=doors.site.root_file)

    answer = told("")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/csrattrs")
    challenge = bytes.fromhex("06092a864886f70d010907")
    assert challenge not in base64.b64decode(answer.body, validate=True)
    assert base64.b64decode(told("bound/").body, validate=True).endswith(challenge)
    assert told("nowhere/").status == 404


VERSIONS = {"tls-unique": SSL.TLS1_2_VERSION, "tls-exporter": SSL.TLS1_3_VERSION}


@pytest.mark.parametrize("attribute", [AttributeOID.CHALLENGE_PASSWORD, IDENTITY_LINKING])
@pytest.mark.parametrize("binding", VERSIONS)
def test_a_request_is_good_on_the_connection_that_it_was_made_for(
    doors: RunningDoors, binding: str, attribute: ObjectIdentifier
) -> None:
    site, key = doors.site, generate(KeyAlgorithm.P256)
    allow(site, "bound", "linked = true")
    user = f"lamp-1:{new_token(site)}"
    made: list[bytes] = []

    def linked(found: bytes) -> bytes:
        made.append(request(key, (attribute, base64.b64encode(found), True)))
        return made[-1]

    def ask(make: Make) -> int:
        return post_linked(doors, "bound/simpleenroll", make, VERSIONS[binding], user).status

    # Recorded on another connection, and not tied to any.
    assert ask(lambda _: request(key, (attribute, base64.b64encode(bytes(32)), True))) == 401
    assert ask(lambda _: request(key)) == 401
    assert certificates(site.db, "lamp-1") == []
    assert ask(linked) == 200
    assert ask(lambda _: made[0]) == 401


def test_a_request_that_is_not_linked_is_good_where_none_need_be(doors: RunningDoors) -> None:
    site, key = doors.site, generate(KeyAlgorithm.P256)
    user = f"lamp-1:{new_token(site)}"
    answer = post_linked(doors, "simpleenroll", lambda _: request(key), SSL.TLS1_3_VERSION, user)
    assert answer.status == 200
