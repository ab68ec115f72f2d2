"""The TLS that EST runs over. RFC 7030 section 3.3, RFC 8996, RFC 9325."""

import ssl

from tests.conformance.est.asking import on_one_line
from tests.conformance.est.checking import check, expect
from tests.conformance.est.target import Offer, Target


def _shakes_hands(target: Target, context: ssl.SSLContext) -> bool:
    try:
        connection = target.wire.connect(context)
    except OSError:
        return False
    connection.close()
    return True


@check("RFC 9325 3.1.1")
def tls_1_2_spoken(target: Target) -> None:
    """A client that knows TLS 1.2 and nothing newer is served."""
    context = target.wire.context_for(ssl.TLSVersion.TLSv1_2)
    expect(_shakes_hands(target, context), "there is no TLS 1.2")


@check("RFC 8996 5")
def tls_1_1_refused(target: Target) -> None:
    """A client that knows TLS 1.1 and nothing newer is not served."""
    context = target.wire.context_for(ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0")
    expect(not _shakes_hands(target, context), "a handshake with TLS 1.1 is completed")


@check("RFC 7030 3.3.1, RFC 9325 4.1")
def tls_anonymous_refused(target: Target) -> None:
    """No cipher suite is agreed on in which the server proves nothing."""
    context = target.wire.context_for(ssl.TLSVersion.TLSv1_2, "aNULL:@SECLEVEL=0")
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    expect(not _shakes_hands(target, context), "an anonymous cipher suite is agreed on")


@check("RFC 7030 3.3.2", Offer.SIMPLEREENROLL)
def tls_stranger_proves_nothing(target: Target) -> None:
    """A client certificate that no known CA has signed lets nobody renew."""
    _key, csr = target.request("stranger")
    try:
        answer = target.post(on_one_line(csr), "simplereenroll", who=target.stranger)
    except OSError:
        return  # refused in the handshake
    expect(not answer.is_success, f"a stranger's certificate is answered {answer.status}")
