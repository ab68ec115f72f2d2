"""Requests that are made for the very connection which brings them. RFC 7030 section 3.5, RFC 5929 section 3."""

import ssl

from tests.conformance.est import asking
from tests.conformance.est.checking import check, expect, expect_refused
from tests.conformance.est.target import Blocked, Offer, Target
from tests.conformance.est.wire import Answer, Credentials


def _linked(target: Target, credentials: Credentials, *, rightly: bool) -> Answer:
    """Enroll over TLS 1.2, whose tls-unique `ssl` knows, with a request linked to this connection or to another."""
    try:
        connection = target.wire.connect(target.wire.context_for(ssl.TLSVersion.TLSv1_2))
    except OSError as error:
        raise Blocked(f"there is no TLS 1.2: {error}") from error
    try:
        binding = bytes(connection.sock.get_channel_binding("tls-unique") or b"")
        link = binding if rightly else bytes(len(binding))
        csr = asking.request(asking.new_key(), target.settings.subject(credentials.user), link=link)
        headers = {"Content-Type": asking.REQUEST_TYPE, "Authorization": credentials.header}
        return target.wire.post_on(connection, "simpleenroll", asking.on_one_line(csr), headers)
    finally:
        connection.close()


@check("RFC 7030 3.5", Offer.CHANNEL_BINDING)
def link_to_this_connection(target: Target) -> None:
    """A request that holds tls-unique of its connection is granted."""
    if target.enrollment.answer.status != 200:
        raise Blocked("a request that is not linked is not granted either")
    answer = _linked(target, target.settings.credentials(), rightly=True)
    expect(answer.status == 200, f"a request that is linked to its connection is answered {answer.status}")


@check("RFC 7030 3.5", Offer.CHANNEL_BINDING)
def link_to_another_connection(target: Target) -> None:
    """A request that was made for another connection is refused."""
    answer = _linked(target, target.settings.credentials(), rightly=False)
    expect_refused(answer, "a request that is linked to another connection")
