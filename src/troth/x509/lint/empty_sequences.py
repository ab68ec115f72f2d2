"""No list is empty: where there is nothing to say, the extension is left out. Basic constraints alone may be empty."""

from collections.abc import Iterator
from typing import Final

from cryptography.x509.oid import ExtensionOID

from troth.x509.lint.rule import Case, Rule

_EMPTY: Final = b"\x30\x00"


def _check(case: Case) -> Iterator[str]:
    if case.parts.extensions is not None and not case.parts.extensions:
        yield "the list of extensions is empty"
    for extension in case.parts.extensions or ():
        if extension.value == _EMPTY and extension.type != ExtensionOID.BASIC_CONSTRAINTS:
            yield f"extension {extension.type.dotted_string} is empty"


EMPTY_SEQUENCES: Final = Rule("empty-sequences", "RFC 5280, appendix B", _check)
