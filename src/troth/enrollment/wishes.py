"""What a request may ask for: its own thing's name, and nothing that it cannot have. The rest of it is not heard.

What it gets is decided by the profile alone; but who asks for more, and is silently given less, is misled.
"""

from cryptography import x509

from troth.errors import Fault, Kind
from troth.x509.certificates import UNREADABLE
from troth.x509.requests import Request
from troth.x509.subjects import thing_of


def check_wishes(
    request: Request, thing: str, alternative_names: tuple[str, ...], subject: x509.Name | None = None
) -> None:
    """Refuse a request that asks for another name, for more names than `alternative_names`, or to be a CA.

    One without a name asks for the thing's own, and so does one that is named `subject`. Raises `Fault` (rejected).
    """
    if len(request.subject.rdns) > 0 and request.subject != subject and thing_of(request.subject) != thing:
        raise Fault(
            Kind.REJECTED,
            "the request asks for another name than that of the thing",
            detail=f"asked for {request.subject.rfc4514_string()[:200]}, thing {thing}",
            hint="leave its subject empty, or make it the thing's name as CN and nothing else",
        )
    try:
        extensions = x509.load_der_x509_csr(request.der).extensions
    except UNREADABLE as error:
        raise Fault(Kind.REJECTED, "the extensions asked for cannot be read", detail=str(error)) from error
    for extension in extensions:
        if isinstance(extension.value, x509.BasicConstraints) and extension.value.ca:
            raise Fault(Kind.REJECTED, "the request asks to be a CA", detail=f"thing {thing}")
        if isinstance(extension.value, x509.SubjectAlternativeName):
            _check_names(extension.value, thing, alternative_names)


def _check_names(asked: x509.SubjectAlternativeName, thing: str, alternative_names: tuple[str, ...]) -> None:
    granted = {thing, *alternative_names}
    for name in asked:
        if not isinstance(name, x509.DNSName | x509.IPAddress) or str(name.value) not in granted:
            raise Fault(
                Kind.REJECTED,
                "the request asks for names beside that of the thing",
                detail=f"asked for {str(name.value)[:200]!r}, thing {thing}",
                hint="ask for no alternative names",
            )
