"""What simpleenroll grants: the form of the answer, and the certificate. RFC 7030 section 4.2, RFC 8951, RFC 5280."""

from cryptography import x509
from tests.conformance.est import asking
from tests.conformance.est.checking import check, expect, expect_refused
from tests.conformance.est.cms import Unreadable, certificates_in, decode, require_certs_only
from tests.conformance.est.forms import require_certs_only_type
from tests.conformance.est.target import Blocked, Offer, Target, certificate_of, granted, in_time
from tests.conformance.est.wire import Answer

VICTIM = "victim.example"


def _granted(target: Target) -> Answer:
    answer = target.enrollment.answer
    if answer.status != 200:
        raise Blocked(f"the request is answered {answer.status}")
    return answer


@check("RFC 7030 4.2.3")
def enroll_granted(target: Target) -> None:
    """An honest request is granted."""
    status = target.enrollment.answer.status
    expect(status == 200, f"an honest request is answered {status}")


@check("RFC 7030 4.2.3")
def enroll_content_type(target: Target) -> None:
    """The answer is of type application/pkcs7-mime, certs-only."""
    require_certs_only_type(_granted(target))


@check("RFC 8951 3.1, RFC 4648 4")
def enroll_base64(target: Target) -> None:
    """The body is base64, whatever Content-Transfer-Encoding says."""
    decode(_granted(target).body)


@check("RFC 7030 4.2.3, RFC 5272 4.1")
def enroll_certs_only(target: Target) -> None:
    """The body is PKCS#7 with certificates, without content and without a signature."""
    try:
        der = decode(_granted(target).body)
    except Unreadable as error:
        raise Blocked(str(error)) from error
    require_certs_only(der)


@check("RFC 7030 4.2.3")
def enroll_alone(target: Target) -> None:
    """The answer holds the certificate that was issued, and no other."""
    found = certificates_in(_granted(target).body)
    expect(len(found) == 1, f"the answer holds {len(found)} certificates")


@check("RFC 7030 4.2, RFC 2986 3")
def enroll_key(target: Target) -> None:
    """The certificate is for the key that has signed the request."""
    same = asking.spki(target.certificate.public_key()) == asking.spki(target.enrollment.key.public_key())
    expect(same, "the certificate is for another key")


@check("RFC 7030 4.1.3, RFC 5280 6.1")
def enroll_chain(target: Target) -> None:
    """The certificate leads to the root over those of cacerts; every signature on the way is right."""
    expect(target.chains(target.certificate), "the certificate does not lead to the root")


@check("RFC 5280 4.1.2.5")
def enroll_in_time(target: Target) -> None:
    """The certificate is good now."""
    certificate = target.certificate
    span = f"{certificate.not_valid_before_utc} to {certificate.not_valid_after_utc}"
    expect(in_time(certificate), f"the certificate is for {span}")


@check("RFC 5280 4.2.1.9, 4.2.1.3")
def enroll_no_ca(target: Target) -> None:
    """The certificate is no CA's."""
    expect(not may_sign(target.certificate), "the certificate may sign others")


@check("RFC 5280 4.2.1.12", Offer.CLIENT_AUTH)
def enroll_client_auth(target: Target) -> None:
    """The certificate says that it is for TLS clients."""
    try:
        usages = target.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usages = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION])
    expect(x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH in usages, "the certificate is not for TLS clients")


@check("RFC 5280 4.2.1.1")
def enroll_authority_key_id(target: Target) -> None:
    """The certificate names its issuer's key as the issuer's own certificate does."""
    extensions = target.certificate.extensions
    try:
        named = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        named = None
    above = [each for each in target.authorities if each.subject == target.certificate.issuer]
    if not above:
        raise Blocked("the issuer is not among the CA certificates")
    own = {each.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest for each in above}
    expect(named in own, "the authority key identifier is not the issuer's")


@check("RFC 7030 4.2, 3.7", Offer.BOUND_NAMES)
def enroll_subject(target: Target) -> None:
    """The certificate is for the name of who was authenticated."""
    expect(target.enrollment.credentials.user in _common_names(target.certificate), "the certificate has another name")


@check("RFC 5280 4.1.2.2")
def enroll_serials_differ(target: Target) -> None:
    """No two certificates of a CA have the same serial number."""
    one, other = target.certificate, certificate_of(target.second)
    expect(one.issuer != other.issuer or one.serial_number != other.serial_number, "a serial number comes twice")


@check("RFC 8951 3.1, RFC 4648 3.1")
def enroll_line_breaks(target: Target) -> None:
    """A request in base64 with line breaks is granted too."""
    status = target.second.answer.status
    expect(status == 200, f"a request with line breaks is answered {status}")


@check("RFC 7030 4.2")
def enroll_again(target: Target) -> None:
    """The same request with the same credentials again is granted or refused, and breaks nothing."""
    first = target.enrollment
    if first.answer.status != 200:
        raise Blocked(f"the first is answered {first.answer.status}")
    answer = target.ask_patiently(asking.on_one_line(first.csr), first.credentials)
    expect(answer.is_success or answer.is_refusal, f"the same request again is answered {answer.status}")


@check("RFC 7030 4.2.1, 3.7, RFC 5280 4.2.1.9")
def enroll_ca_not_obeyed(target: Target) -> None:
    """A request to become a CA is refused, or heard without that wish."""
    credentials = target.settings.credentials()
    key = asking.new_key()
    csr = asking.request(key, target.settings.subject(credentials.user), ca=True)
    answer = target.ask_patiently(asking.on_one_line(csr), credentials)
    if not answer.is_success:
        expect_refused(answer, "a request to become a CA")
        return
    expect(not may_sign(granted(answer, key)), "who asks to be a CA becomes one")


@check("RFC 7030 3.7, 4.2", Offer.BOUND_NAMES)
def enroll_foreign_subject(target: Target) -> None:
    """Who was authenticated under one name gets no certificate for another."""
    credentials = target.settings.credentials()
    key = asking.new_key()
    answer = target.ask_patiently(asking.on_one_line(asking.request(key, target.settings.subject(VICTIM))), credentials)
    if not answer.is_success:
        expect_refused(answer, "a request for another's name")
        return
    expect(VICTIM not in _common_names(granted(answer, key)), "who asks for another's name gets it")


@check("RFC 7030 3.7, 4.2", Offer.BOUND_NAMES)
def enroll_foreign_alternative_name(target: Target) -> None:
    """Nor one with another as its alternative name."""
    credentials = target.settings.credentials()
    key = asking.new_key()
    csr = asking.request(key, target.settings.subject(credentials.user), dns_names=[VICTIM])
    answer = target.ask_patiently(asking.on_one_line(csr), credentials)
    if not answer.is_success:
        expect_refused(answer, "a request for another's name")
        return
    expect(VICTIM not in asking.dns_names(granted(answer, key)), "who asks for another's alternative name gets it")


@check("RFC 7030 4.2.3", Offer.WAITING)
def enroll_retry_after(target: Target) -> None:
    """A request that waits for a person is answered 202, with Retry-After."""
    assert target.settings.waiting is not None
    credentials = target.settings.waiting()
    _key, csr = target.request(credentials.user)
    label = target.settings.waiting_label
    answer = target.post(asking.on_one_line(csr), credentials=credentials, label=label)
    expect(answer.status == 202, f"a request that waits is answered {answer.status}")
    expect(bool(answer.headers.get("retry-after")), "202 comes without Retry-After")


def may_sign(certificate: x509.Certificate) -> bool:
    """Say whether a certificate is a CA's, by one extension or the other."""
    found = certificate.extensions
    try:
        if found.get_extension_for_class(x509.BasicConstraints).value.ca:
            return True
    except x509.ExtensionNotFound:
        pass
    try:
        return found.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return False


def _common_names(certificate: x509.Certificate) -> list[str]:
    return [str(each.value) for each in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
