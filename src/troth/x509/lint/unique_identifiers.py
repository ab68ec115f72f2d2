"""Names are not used again here, so there are no unique identifiers to tell the users of one name apart."""

from collections.abc import Iterator
from typing import Final

from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    if case.parts.has_unique_identifiers:
        yield "it has a unique identifier of its issuer or subject"


UNIQUE_IDENTIFIERS: Final = Rule("unique-identifiers", "RFC 5280, 4.1.2.8", _check)
