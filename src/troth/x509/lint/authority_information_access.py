"""Issuer and responder are named where the profile wants them, by plain http URLs: https would need what it fetches."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from troth.x509.lint.rule import Case, Rule

_METHODS: Final = (AuthorityInformationAccessOID.CA_ISSUERS, AuthorityInformationAccessOID.OCSP)


def _check(case: Case) -> Iterator[str]:
    found = case.find(x509.AuthorityInformationAccess)
    methods = [access.access_method for access in found or ()]
    for access in found or ():
        if access.access_method not in _METHODS:
            yield f"access method {access.access_method.dotted_string} is not one that is written here"
        where = access.access_location
        if not isinstance(where, x509.UniformResourceIdentifier) or not where.value.startswith("http://"):
            yield f"{str(where.value)[:60]!r} is no http URL"
    if len(set(methods)) != len(methods):
        yield "it names the same access method twice"
    names_responder = AuthorityInformationAccessOID.OCSP in methods
    if names_responder is not case.profile.ocsp:
        yield f"profile {case.profile.name!r} {'names no' if names_responder else 'wants the'} OCSP responder"


AUTHORITY_INFORMATION_ACCESS: Final = Rule("authority-information-access", "RFC 5280, 4.2.2.1", _check)
