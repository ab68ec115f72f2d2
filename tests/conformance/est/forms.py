"""The form that every answer with certificates has. RFC 7030 sections 4.1.3 and 4.2.3."""

from tests.conformance.est.checking import expect
from tests.conformance.est.wire import Answer


def require_certs_only_type(answer: Answer) -> None:
    """Raise `Failed` unless the type is application/pkcs7-mime; a parameter smime-type must then be certs-only."""
    said = answer.headers.get("content-type", "nothing")
    expect(answer.content_type == "application/pkcs7-mime", f"its type is {said}")
    expect(answer.parameters.get("smime-type", "certs-only") == "certs-only", f"its type is {said}")
