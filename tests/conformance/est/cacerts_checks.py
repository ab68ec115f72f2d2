"""Distribution of CA certificates. RFC 7030 section 4.1, RFC 8951 section 3, RFC 5280."""

from cryptography import x509
from tests.conformance.est.checking import check, expect
from tests.conformance.est.cms import Unreadable, decode, require_certs_only
from tests.conformance.est.forms import require_certs_only_type
from tests.conformance.est.target import Blocked, Target, in_time


@check("RFC 7030 4.1.2")
def cacerts_open(target: Target) -> None:
    """Anybody is told the CA certificates, without a proof of who asks."""
    answer = target.wire.ask("GET", "cacerts")
    expect(answer.status == 200, f"cacerts is answered {answer.status}")


@check("RFC 7030 4.1.3")
def cacerts_content_type(target: Target) -> None:
    """The answer is of type application/pkcs7-mime, certs-only."""
    require_certs_only_type(target.cacerts)


@check("RFC 8951 3.1, RFC 4648 4")
def cacerts_base64(target: Target) -> None:
    """The body is base64, whatever Content-Transfer-Encoding says."""
    decode(target.cacerts.body)


@check("RFC 7030 4.1.3, RFC 5272 4.1")
def cacerts_certs_only(target: Target) -> None:
    """The body is PKCS#7 with certificates, without content and without a signature."""
    try:
        der = decode(target.cacerts.body)
    except Unreadable as error:
        raise Blocked(str(error)) from error
    require_certs_only(der)


@check("RFC 7030 4.1.3")
def cacerts_root(target: Target) -> None:
    """The root is among the certificates."""
    expect(target.settings.root in target.authorities, "the root is not among the CA certificates")


@check("RFC 5280 4.2.1.9, 4.2.1.3")
def cacerts_are_cas(target: Target) -> None:
    """Every certificate is a CA's, and may sign certificates."""
    for each in target.authorities:
        name = each.subject.rfc4514_string()
        try:
            constraints = each.extensions.get_extension_for_class(x509.BasicConstraints).value
            usage = each.extensions.get_extension_for_class(x509.KeyUsage).value
        except x509.ExtensionNotFound as error:
            expect(False, f"{name} is no CA: {error}")
        expect(constraints.ca, f"{name} is no CA")
        expect(usage.key_cert_sign, f"{name} may not sign certificates")


@check("RFC 5280 4.1.2.5")
def cacerts_in_time(target: Target) -> None:
    """No certificate is over, or has not begun."""
    for each in target.authorities:
        expect(in_time(each), f"{each.subject.rfc4514_string()} is out of its time")
