"""What simpleenroll must refuse, with the right credentials. RFC 7030 sections 4.2.1 and 4.2.3, RFC 2986, RFC 9110."""

from tests.conformance.est import asking
from tests.conformance.est.checking import check, expect, expect_refused
from tests.conformance.est.target import Target
from tests.conformance.est.wire import Answer

OVERSIZED = 1024 * 1024


def _post(target: Target, spoil: asking.Spoil, content_type: str | None = asking.REQUEST_TYPE) -> Answer:
    credentials = target.spare
    _key, csr = target.request(credentials.user)
    return target.post(spoil(csr), credentials=credentials, content_type=content_type)


@check("RFC 7030 4.2.1, RFC 2986 4.2")
def refuse_bad_signature(target: Target) -> None:
    """A request that its key has not signed proves nothing."""
    answer = _post(target, lambda csr: asking.on_one_line(asking.badly_signed(csr)))
    expect_refused(answer, "a request with a wrong signature")


@check("RFC 7030 4.2.3, RFC 9110 15.5.1")
def refuse_no_base64(target: Target) -> None:
    """A body that is no base64."""
    expect_refused(_post(target, lambda csr: b"%" + csr), "a body that is no base64")


@check("RFC 7030 4.2.3, RFC 9110 15.5.1")
def refuse_no_request(target: Target) -> None:
    """Base64 of something else than a request."""
    expect_refused(_post(target, lambda _: asking.on_one_line(b"not a request at all")), "what is no request")


@check("RFC 7030 4.2.3, RFC 9110 15.5.1")
def refuse_half_a_request(target: Target) -> None:
    """A request that ends in the middle."""
    expect_refused(_post(target, lambda csr: asking.on_one_line(csr[: len(csr) // 2])), "half a request")


@check("RFC 7030 4.2.3, RFC 9110 15.5.1")
def refuse_empty(target: Target) -> None:
    """Nothing."""
    expect_refused(_post(target, lambda _: b""), "an empty body")


@check("RFC 7030 4.2.1, RFC 9110 15.5.16")
def refuse_wrong_type(target: Target) -> None:
    """A request that is said to be something else."""
    expect_refused(_post(target, asking.on_one_line, "text/plain"), "a request of type text/plain")


@check("RFC 7030 4.2.1")
def refuse_pem_or_read_it(target: Target) -> None:
    """PEM is not what EST sends: it is refused, or granted; it breaks nothing."""
    answer = _post(target, asking.in_pem)
    expect(answer.status == 200 or answer.is_refusal, f"PEM is answered {answer.status}")


@check("RFC 9110 15.5.14")
def refuse_oversized(target: Target) -> None:
    """A body of a mebibyte, though a request is somewhere in it."""
    try:
        answer = _post(target, lambda csr: asking.on_one_line(csr) + b"\r\n" * (OVERSIZED // 2))
    except OSError:
        return  # closed before all was read
    expect_refused(answer, "a body of a mebibyte")
