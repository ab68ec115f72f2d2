"""What the faulty server grants and answers, below its HTTP: cacerts, enrollment, renewal, keys, attributes."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7
from tests.conformance.est.asking import DECRYPT_KEY_ID, key_id, new_key
from tests.conformance.est.enveloping import seal
from tests.conformance.est.faulty_ca import DAY, USED_SERIAL, Hierarchy, Spoiled

PKCS7: Final = "application/pkcs7-mime; smime-type=certs-only"
SEALED: Final = "application/pkcs7-mime; smime-type=server-generated-key"
WAITING: Final = "waiting"
_CN: Final = x509.NameOID.COMMON_NAME
_ATTRIBUTES: Final = bytes.fromhex("300b06092a864886f70d010907")
"""A SEQUENCE of one object identifier, challengePassword."""


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """Carries the answer."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.reply = Reply(status, text.encode(), headers or {})


class Registrar:
    """Grants what is asked for; `has` says which fault there is."""

    def __init__(self, hierarchy: Hierarchy, has: Callable[..., bool]) -> None:
        self.passwords: dict[str, str] = {}
        self._hierarchy = hierarchy
        self._has = has
        self._seen: dict[bytes, bytes] = {}
        self._one_key = new_key()

    def forget(self) -> None:
        """Begin anew."""
        self.passwords.clear()
        self._seen.clear()

    def cacerts(self) -> Reply:
        found, has = [self._hierarchy.root.certificate, self._hierarchy.issuing.certificate], self._has
        if has("cacerts-without-root"):
            found.pop(0)
        if has("cacerts-without-issuer"):
            found.pop(1)
        if has("cacerts-with-leaf"):
            found.append(self._hierarchy.server)
        if has("cacerts-with-expired"):
            found.append(self._hierarchy.expired.certificate)
        der = pkcs7.serialize_certificates(found, Encoding.DER)
        if has("cacerts-signed"):
            der = self._signed
        body = base64.b64encode(der)
        if has("cacerts-broken-base64"):
            body = body[:10] + b"!" + body[10:]
        if has("cacerts-pem"):
            body = pkcs7.serialize_certificates(found, Encoding.PEM)
        if has("cacerts-raw"):
            body = der
        return Reply(200, body, {"Content-Type": "text/html" if has("cacerts-of-wrong-type") else PKCS7})

    def csrattrs(self) -> Reply:
        body = b"challengePassword" if self._has("attributes-in-words") else base64.b64encode(_ATTRIBUTES)
        return Reply(200, body, {"Content-Type": "text/plain" if self._has("attributes-of-wrong-type") else
                                 "application/csrattrs"})  # fmt: skip

    def enroll(self, user: str | None, body: bytes, binding: bytes | None) -> Reply:
        if user == WAITING:
            return Reply(202, b"", {} if self._has("waits-for-ever") else {"Retry-After": "1"})
        request = self._request(body)
        self._require_linked(request, binding)
        name = _name(request.subject) if user is None or self._has("any-name") else user
        if self._has("breaks-on-repetition") and self._seen.get(body):
            raise Refused(500, "something broke")
        self._seen[body] = b"seen"
        subject = "somebody-else" if self._has("another-subject") else name
        key = new_key().public_key() if self._has("another-key") else request.public_key()
        issuer = self._hierarchy.other if self._has("another-ca") else self._hierarchy.issuing
        wished = _extension(request, x509.SubjectAlternativeName)
        names = list(wished) if wished is not None and self._has("any-alternative-name") else []
        certificate = issuer.certify(_dn(subject), key, self._spoiled(request), names)
        return self._granted(certificate)

    def renew(self, old: x509.Certificate | None, body: bytes) -> Reply:
        if self._has("renewal-breaks"):
            raise Refused(500, "something broke")
        request = self._request(body)
        subject = old.subject if old is not None else request.subject
        if request.subject != subject:
            if not self._has("renews-for-any-subject"):
                raise Refused(403, "the subject is another")
            subject = request.subject
        key = request.public_key()
        if self._has("renewal-changes-subject"):
            subject = x509.Name([*subject, x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "renewed")])
        if old is not None and self._has("renewal-for-old-key"):
            key = old.public_key()
        serial = old.serial_number if old is not None and self._has("renewal-with-old-serial") else None
        spoiled = Spoiled(serial=serial) if serial else self._spoiled(request)
        certificate = self._hierarchy.issuing.certify(subject, key, spoiled)
        if self._has("renewal-raw"):
            return Reply(200, certificate.public_bytes(Encoding.DER), {"Content-Type": "application/pkix-cert"})
        return self._certificates(certificate)

    def make_key(self, user: str | None, body: bytes) -> Reply:
        request = self._request(body)
        key = self._one_key if self._has("one-key-for-all") else new_key()
        certified = new_key() if self._has("key-of-another") else key
        certificate = self._hierarchy.issuing.certify(_dn(user or _name(request.subject)), certified.public_key())
        private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        if self._has("keys-in-clear-text"):
            return Reply(200, private, {"Content-Type": "application/pkcs8"})
        kind, own = "application/pkcs8", request.public_key()
        if _is_to_own_key(request) and isinstance(own, ec.EllipticCurvePublicKey) and not self._has("never-encrypts"):
            whom = new_key().public_key() if self._has("encrypts-to-another") else own
            kind, private = SEALED, seal(private, whom, key_id(own))
        parts = ((kind, private), (PKCS7, pkcs7.serialize_certificates([certificate], Encoding.DER)))
        text = "".join(
            f"--next\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            f"{base64.b64encode(der).decode()}\r\n"
            for kind, der in parts
        )
        return Reply(200, f"{text}--next--\r\n".encode(), {"Content-Type": "multipart/mixed; boundary=next"})

    def _request(self, body: bytes) -> x509.CertificateSigningRequest:
        """Read a request. Raises `Refused`."""
        has, wrong = self._has, 200 if self._has("errors-as-success") else 400
        if not body:
            raise Refused(500 if has("breaks-on-nothing") else wrong, "there is nothing")
        if body.startswith(b"-----"):
            raise Refused(500 if has("breaks-on-pem") else 400, "this is PEM")
        if b"\n" in body.strip() and has("one-line-only"):
            raise Refused(400, "this has line breaks")
        try:
            der = base64.b64decode(body.translate(None, b" \t\r\n"), validate=True)
        except ValueError:
            raise Refused(500 if has("breaks-on-base64") else wrong, "this is no base64") from None
        try:
            request = x509.load_der_x509_csr(der)
        except ValueError:
            is_half = der[:1] == b"\x30"
            breaks = has("breaks-on-half-requests") if is_half else has("breaks-on-requests")
            raise Refused(500 if breaks else wrong, "this is no request") from None
        try:
            is_signed = request.is_signature_valid
        except InvalidSignature:
            is_signed = False
        if not is_signed and not has("any-signature"):
            raise Refused(wrong, "its key has not signed this")
        return request

    def _require_linked(self, request: x509.CertificateSigningRequest, binding: bytes | None) -> None:
        links = [each.value for each in request.attributes if each.oid == x509.oid.AttributeOID.CHALLENGE_PASSWORD]
        is_wrong = any(link != base64.b64encode(binding or b"") for link in links) and not self._has("any-link")
        if is_wrong or (links and self._has("no-link")):
            raise Refused(403, "this is for another connection")

    def _spoiled(self, request: x509.CertificateSigningRequest) -> Spoiled:
        has, wished = self._has, _extension(request, x509.BasicConstraints)
        if has("expired-leaf"):
            return Spoiled(starts=-2 * DAY, ends=-DAY)
        if has("early-leaf"):
            return Spoiled(starts=timedelta(hours=1))
        if has("leaf-is-ca") or (has("obeys-ca") and wished is not None and wished.ca):
            return Spoiled(is_ca=True)
        if has("leaf-for-servers"):
            return Spoiled(usage=x509.oid.ExtendedKeyUsageOID.SERVER_AUTH)
        if has("leaf-for-nothing"):
            return Spoiled(usage=None)
        if has("issuer-not-named"):
            return Spoiled(names_issuer=False)
        return Spoiled(serial=USED_SERIAL) if has("one-serial") else Spoiled()

    def _granted(self, certificate: x509.Certificate) -> Reply:
        has, der = self._has, pkcs7.serialize_certificates([certificate], Encoding.DER)
        headers = {"Content-Type": "application/x-pem-file" if has("grants-wrong-type") else PKCS7}
        if has("grants-with-chain"):
            return self._certificates(certificate, self._hierarchy.issuing.certificate)
        if has("grants-broken-base64"):
            text = base64.b64encode(der)
            return Reply(200, text[:20] + b"*" + text[20:], headers)
        if has("grants-pem"):
            return Reply(200, certificate.public_bytes(Encoding.PEM), headers)
        if has("grants-bare-certificate"):
            return Reply(200, base64.b64encode(certificate.public_bytes(Encoding.DER)), headers)
        if has("refuses-everybody"):
            raise Refused(403, "not today")
        return Reply(200, base64.b64encode(der), headers)

    def _certificates(self, *certificates: x509.Certificate) -> Reply:
        body = base64.b64encode(pkcs7.serialize_certificates(list(certificates), Encoding.DER))
        return Reply(200, body, {"Content-Type": PKCS7})

    @cached_property
    def _signed(self) -> bytes:
        """The CA certificates, as a signed message."""
        root, issuing = self._hierarchy.root, self._hierarchy.issuing
        builder = pkcs7.PKCS7SignatureBuilder().set_data(b"x").add_signer(root.certificate, root.key, hashes.SHA256())
        builder = builder.add_certificate(issuing.certificate)
        return builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])


def _extension(
    request: x509.CertificateSigningRequest, kind: type[x509.extensions.ExtensionTypeVar]
) -> x509.extensions.ExtensionTypeVar | None:
    try:
        return request.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _is_to_own_key(request: x509.CertificateSigningRequest) -> bool:
    return any(each.oid == DECRYPT_KEY_ID for each in request.attributes)


def _name(subject: x509.Name) -> str:
    found = subject.get_attributes_for_oid(_CN)
    return str(found[0].value) if found else "nobody"


def _dn(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(_CN, name)])
