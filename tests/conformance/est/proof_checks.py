"""Who may enroll: HTTP Basic at simpleenroll. RFC 7030 section 3.2.3, RFC 7617."""

import base64

from tests.conformance.est.asking import on_one_line
from tests.conformance.est.checking import DENIED, check, expect, expect_refused
from tests.conformance.est.target import Blocked, Target
from tests.conformance.est.wire import Answer, Credentials


def _enroll_as(target: Target, credentials: Credentials | None) -> Answer:
    _key, csr = target.request(credentials.user if credentials else "somebody")
    return target.post(on_one_line(csr), credentials=credentials)


@check("RFC 7030 3.2.3")
def auth_required(target: Target) -> None:
    """Who shows nothing is not enrolled."""
    answer = _enroll_as(target, None)
    expect(answer.status in DENIED, f"who shows nothing is answered {answer.status}")


@check("RFC 7030 3.2.3, RFC 9110 15.5.2")
def auth_challenge(target: Target) -> None:
    """401 says by WWW-Authenticate which proof is wanted."""
    answer = _enroll_as(target, None)
    if answer.status != 401:
        raise Blocked(f"who shows nothing is answered {answer.status}")
    scheme = answer.headers.get("www-authenticate", "").partition(" ")[0].lower()
    expect(scheme in {"basic", "digest"}, "401 without a WWW-Authenticate of Basic or Digest")


@check("RFC 7030 3.2.3")
def auth_wrong_password(target: Target) -> None:
    """A wrong password proves nothing."""
    right = target.spare
    answer = _enroll_as(target, Credentials(right.user, right.password[::-1] + "x"))
    expect(answer.status in DENIED, f"a wrong password is answered {answer.status}")


@check("RFC 7030 3.2.3")
def auth_empty_password(target: Target) -> None:
    """An empty password proves nothing."""
    answer = _enroll_as(target, Credentials(target.spare.user, ""))
    expect_refused(answer, "an empty password")


@check("RFC 7030 3.2.3")
def auth_unknown_user(target: Target) -> None:
    """Somebody else's password proves nothing for a user that nobody knows."""
    right = target.spare
    answer = _enroll_as(target, Credentials("nobody-of-this-name", right.password))
    expect(answer.status in DENIED, f"an unknown user is answered {answer.status}")


@check("RFC 7617 2, RFC 9110 15.5")
def auth_malformed(target: Target) -> None:
    """Credentials that cannot be read are refused, and break nothing."""
    _key, csr = target.request("somebody")
    for header in ("Basic !!!", "Basic", "Basic " + base64.b64encode(b"\xff\xfe").decode(), "Nonsense abc"):
        answer = target.post(on_one_line(csr), authorization=header)
        expect_refused(answer, f"Authorization: {header}")
