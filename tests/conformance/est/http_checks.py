"""The HTTP that EST runs over: paths, methods, connections, errors. RFC 7030 section 3.2, RFC 9110, RFC 9112."""

from tests.conformance.est.asking import REQUEST_TYPE, on_one_line
from tests.conformance.est.checking import check, expect, expect_refused
from tests.conformance.est.cms import Unreadable, certificates_in
from tests.conformance.est.target import OPERATIONS, Blocked, Offer, Target
from tests.conformance.est.wire import read_answer

NO_LABEL = "no-such-label"
_CHUNK = 65536


@check("RFC 9112 9.3, 6.3")
def http_connection_kept(target: Target) -> None:
    """One connection serves several requests, unless the server says that it will close; also after an error."""
    connection = target.wire.connect()
    try:
        for method, operation in (("GET", "cacerts"), ("GET", "no-such-operation"), ("GET", "cacerts")):
            connection.request(method, f"{target.wire.path}/{operation}")
            read_answer(connection)
            if connection.sock is None:
                return  # announced, and so allowed
    finally:
        connection.close()


@check("RFC 9110 9.3.2")
def http_head(target: Target) -> None:
    """HEAD is answered as GET is, without the body, or not allowed."""
    got = str(target.cacerts.status).encode()
    connection = target.wire.connect()
    head = f"HEAD {target.wire.path}/cacerts HTTP/1.1\r\nHost: {target.wire.host}\r\nConnection: close\r\n\r\n"
    try:
        # `http.client` drops what follows the head of such an answer; here it is looked at.
        connection.sock.sendall(head.encode())
        told = b"".join(iter(lambda: connection.sock.recv(_CHUNK), b""))
    finally:
        connection.close()
    start, _, body = told.partition(b"\r\n\r\n")
    expect(start.split(b" ")[1:2] in ([got], [b"405"], [b"501"]), f"HEAD is answered {start[:40]!r}")
    expect(not body, "HEAD is answered with a body")


@check("RFC 9110 15.5.5")
def http_unknown_operation(target: Target) -> None:
    """An operation that does not exist is not found."""
    expect_refused(target.wire.ask("GET", "no-such-operation"), "an unknown operation")


@check("RFC 7030 4.2.1, RFC 9110 15.5.6")
def http_get_does_not_enroll(target: Target) -> None:
    """A GET enrolls nobody, whatever it brings along."""
    credentials = target.settings.credentials()
    _key, csr = target.request(credentials.user)
    answer = target.wire.ask(
        "GET", "simpleenroll", on_one_line(csr), content_type=REQUEST_TYPE, credentials=credentials
    )
    expect(not answer.is_success, f"a GET of simpleenroll is answered {answer.status}")


@check("RFC 7030 4.1.2, RFC 9110 15.5.6")
def http_post_on_cacerts(target: Target) -> None:
    """A POST to cacerts is not allowed."""
    answer = target.wire.ask("POST", "cacerts", b"", content_type=REQUEST_TYPE)
    expect(not answer.is_success, f"a POST to cacerts is answered {answer.status}")


@check("RFC 9110 15.5.6")
def http_405_says_what_is_allowed(target: Target) -> None:
    """Where a method is not allowed, the answer names those that are."""
    for method, operation in (("DELETE", "cacerts"), ("DELETE", "simpleenroll")):
        answer = target.wire.ask(method, operation)
        expect(not answer.is_success, f"{method} is answered {answer.status}")
        expect(answer.status != 405 or "allow" in answer.headers, f"405 for {method} of {operation} has no Allow")


@check("RFC 7030 4.2.3, 4.3, 4.4, 4.5.2")
def http_unoffered_operations(target: Target) -> None:
    """Operations of which nothing is claimed may be there or not; asked for by nobody, they do not break."""
    for operation in OPERATIONS:
        if operation not in target.settings.offers:
            method = "GET" if operation is Offer.CSRATTRS else "POST"
            answer = target.wire.ask(method, operation.value, b"" if method == "POST" else None)
            expect(answer.status < 500 or answer.status == 501, f"{operation.value} is answered {answer.status}")


@check("RFC 7030 3.2.2", Offer.LABEL)
def http_label_served(target: Target) -> None:
    """Operations are there below the label too."""
    without = target.cacerts.status
    answer = target.wire.ask("GET", "cacerts", label=target.settings.label)
    expect(answer.status == without, f"cacerts below the label is answered {answer.status}")


@check("RFC 7030 3.2.2", Offer.LABEL)
def http_unknown_label(target: Target) -> None:
    """A label that does not exist enrolls nobody."""
    credentials = target.spare
    _key, csr = target.request(credentials.user)
    answer = target.post(on_one_line(csr), credentials=credentials, label=NO_LABEL)
    expect_refused(answer, "an unknown label")


@check("RFC 7030 4.2.3, RFC 9110 8.3")
def http_errors_are_text(target: Target) -> None:
    """An error has a text that a person can read, or none; it is no certificate, and of no certificate's type."""
    answer = target.post(b"", credentials=target.spare)
    if not answer.is_refusal:
        raise Blocked(f"an empty body is answered {answer.status}")
    kind = answer.content_type or "text/plain"
    is_text = kind.startswith("text/") or kind.endswith(("json", "xml"))
    expect(is_text or not answer.body, f"an error is of type {kind}")
    try:
        answer.body.decode()
    except UnicodeDecodeError:
        expect(False, "an error is no text")
    try:
        certificates_in(answer.body)
    except Unreadable:
        return
    expect(False, "an error holds a certificate")


@check("RFC 7030 6, RFC 7617 4")
def http_errors_keep_secrets(target: Target) -> None:
    """An error does not repeat the password."""
    credentials = target.spare
    answer = target.post(b"AAAA", credentials=credentials)
    told = answer.body.decode("latin-1") + " ".join(answer.headers.values())
    expect(credentials.password not in told, "an error repeats the password")
