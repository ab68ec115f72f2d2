"""Keys that the server makes, and attributes that it wants in requests. RFC 7030 sections 4.4 and 4.5, RFC 9908."""

import email
import email.message
import email.policy
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tests.conformance.est import asking
from tests.conformance.est.checking import DENIED, check, expect
from tests.conformance.est.cms import Unreadable, certificates_in, decode, elements
from tests.conformance.est.enveloping import open_envelope
from tests.conformance.est.target import Blocked, Offer, Target
from tests.conformance.est.wire import Answer

_KEY_TYPES = frozenset({"application/pkcs8", "application/pkcs7-mime"})
_SEQUENCE, _OID = 0x30, 0x06


@dataclass(frozen=True)
class Part:
    """One part of a multipart answer."""

    content_type: str
    smime_type: str
    body: bytes


def _made(target: Target) -> Answer:
    return _made_for(target, asking.new_key(), is_encrypted=False)


def _made_for(target: Target, key: asking.Key, *, is_encrypted: bool) -> Answer:
    credentials = target.settings.credentials()
    csr = asking.request(key, target.settings.subject(credentials.user), to_own_key=is_encrypted)
    return target.post(asking.on_one_line(csr), "serverkeygen", credentials=credentials)


def _parts(answer: Answer) -> list[Part]:
    head = f"Content-Type: {answer.headers.get('content-type', '')}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.body, policy=email.policy.HTTP)
    found = []
    for each in message.iter_parts() if message.is_multipart() else ():
        body = each.get_payload(decode=False)
        kind = str(each.get_param("smime-type", "") or "")
        found.append(Part(each.get_content_type(), kind, body.encode("latin-1") if isinstance(body, str) else b""))
    return found


def _pair(answer: Answer) -> tuple[bytes, x509.Certificate]:
    """Return the public key of the private one that was sent, and the certificate. Raises `Blocked`."""
    if answer.status != 200:
        raise Blocked(f"serverkeygen is answered {answer.status}")
    parts = _parts(answer)
    try:
        private = next(part for part in parts if part.content_type == "application/pkcs8")
        certificate = next(part for part in parts if part is not private)
        key = serialization.load_der_private_key(decode(private.body), None)
        return asking.spki(key.public_key()), certificates_in(certificate.body)[0]
    except (StopIteration, Unreadable, ValueError, TypeError) as error:
        raise Blocked(f"there is no pair of a key and a certificate: {error}") from error


@check("RFC 7030 4.4.1, 3.2.3", Offer.SERVERKEYGEN)
def keygen_auth_required(target: Target) -> None:
    """For who shows nothing no key is made."""
    _key, csr = target.request("somebody")
    answer = target.post(asking.on_one_line(csr), "serverkeygen")
    expect(answer.status in DENIED, f"who shows nothing is answered {answer.status}")


@check("RFC 7030 4.4.2", Offer.SERVERKEYGEN)
def keygen_form(target: Target) -> None:
    """The answer is multipart/mixed of two parts, a private key and a certificate, each in base64."""
    answer = _made(target)
    expect(answer.status == 200, f"serverkeygen is answered {answer.status}")
    expect(answer.content_type == "multipart/mixed", f"its type is {answer.content_type}")
    parts = _parts(answer)
    expect(len(parts) == 2, f"it has {len(parts)} parts")
    kinds = [part.content_type for part in parts]
    expect(kinds[0] in _KEY_TYPES and "application/pkcs7-mime" in kinds, f"its parts are of types {kinds}")
    for part in parts:
        decode(part.body)


@check("RFC 7030 4.4.2", Offer.SERVERKEYGEN)
def keygen_key_matches(target: Target) -> None:
    """The certificate is for the key that comes with it."""
    key, certificate = _pair(_made(target))
    expect(asking.spki(certificate.public_key()) == key, "the certificate is for another key")


@check("RFC 7030 4.4", Offer.SERVERKEYGEN)
def keygen_new_keys(target: Target) -> None:
    """Two requests get two keys."""
    one, other = (_pair(_made(target))[0] for _ in range(2))
    expect(one != other, "a private key was handed out twice")


@check("RFC 7030 4.4.1.2, 4.4.2", Offer.SERVERKEYGEN)
def keygen_never_in_clear(target: Target) -> None:
    """Who asks for encryption gets no key in clear: encrypted, or none."""
    answer = _made_for(target, asking.new_key(), is_encrypted=True)
    if not answer.is_success:
        expect(answer.is_refusal or answer.status == 501, f"a key to be encrypted is answered {answer.status}")
        return
    for part in _parts(answer):
        expect(part.content_type != "application/pkcs8", "the key that was to be encrypted comes in clear")


@check("RFC 7030 4.4.2, RFC 5652 6", Offer.SERVERKEYGEN, Offer.ENCRYPTED_KEYS)
def keygen_encrypted(target: Target) -> None:
    """The key comes in EnvelopedData that the key named in the request opens, and is the certificate's."""
    own = asking.new_key()
    answer = _made_for(target, own, is_encrypted=True)
    parts = _parts(answer)
    if answer.status != 200 or len(parts) != 2 or parts[0].content_type == "application/pkcs8":
        raise Blocked(f"serverkeygen is answered {answer.status}, without an encrypted key")
    expect(parts[0].smime_type == "server-generated-key", f"its smime-type is {parts[0].smime_type or 'not told'}")
    inner = serialization.load_der_private_key(open_envelope(decode(parts[0].body), own), None)
    certified = certificates_in(parts[1].body)[0].public_key()
    expect(asking.spki(inner.public_key()) == asking.spki(certified), "the certificate is for another key")


@check("RFC 7030 4.5.2, RFC 9908", Offer.CSRATTRS)
def csrattrs_content_type(target: Target) -> None:
    """The answer is of type application/csrattrs."""
    answer = _attributes(target)
    expect(answer.content_type == "application/csrattrs", f"its type is {answer.content_type}")


@check("RFC 7030 4.5.2, RFC 9908 3.2, RFC 8951 3.1", Offer.CSRATTRS)
def csrattrs_form(target: Target) -> None:
    """The body is base64 of a SEQUENCE of object identifiers and attributes, in DER."""
    whole = tuple(elements(decode(_attributes(target).body)))
    expect(len(whole) == 1 and whole[0].tag == _SEQUENCE, "the attributes are no SEQUENCE")
    for each in whole[0].children():
        expect(each.tag in {_OID, _SEQUENCE}, "there is something else among the attributes")


def _attributes(target: Target) -> Answer:
    answer = target.wire.ask("GET", "csrattrs")
    if answer.status in DENIED:
        answer = target.wire.ask("GET", "csrattrs", credentials=target.settings.credentials())
    expect(answer.status == 200, f"csrattrs is answered {answer.status}")
    return answer
