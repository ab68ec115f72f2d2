"""Where the issuer's certificate is fetched is a plain http URL: over https the fetch would need what it fetches."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from troth.x509.certificates import find_extension
from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    found = find_extension(case.certificate, x509.AuthorityInformationAccess)
    for access in found or ():
        if access.access_method != AuthorityInformationAccessOID.CA_ISSUERS:
            yield f"access method {access.access_method.dotted_string} is not one that is written here"
        where = access.access_location
        if not isinstance(where, x509.UniformResourceIdentifier) or not where.value.startswith("http://"):
            yield f"{str(where.value)[:60]!r} is no http URL"


AUTHORITY_INFORMATION_ACCESS: Final = Rule("authority-information-access", "RFC 5280, 4.2.2.1", _check)
