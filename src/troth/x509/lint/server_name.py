"""A server's common name is one of its alternative names, where clients look for it."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from troth.errors import Fault
from troth.x509.lint.rule import Case, Rule
from troth.x509.subjects import parse_alternative_name


def _check(case: Case) -> Iterator[str]:
    uses = case.find(x509.ExtendedKeyUsage)
    constraints = case.find(x509.BasicConstraints)
    if uses is None or ExtendedKeyUsageOID.SERVER_AUTH not in uses or (constraints and constraints.ca):
        return
    if case.profile.san_thing:
        # Its common name is a thing's, whatever host may be called so: the alternative name is what clients compare.
        return
    names = list(case.find(x509.SubjectAlternativeName) or ())
    for part in case.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        try:
            name = parse_alternative_name(str(part.value))
        except Fault:
            # no name of a host
            continue
        if names and name not in names:
            yield f"{str(part.value)[:60]!r} is the common name and no alternative name"


SERVER_NAME: Final = Rule("server-name", "RFC 9525, 2 and 6.3", _check)
