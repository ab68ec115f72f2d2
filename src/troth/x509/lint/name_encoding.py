"""Names are written in UTF-8 or as printable strings, one attribute at a time."""

from collections.abc import Iterator
from typing import Final

from troth.x509.lint.rule import Case, Rule

_UTF8: Final = b"\x0c"
_PRINTABLE: Final = b"\x13"


def _check(case: Case) -> Iterator[str]:
    for relative in case.parts.subject:
        if len(relative) != 1:
            yield f"a part of the subject has {len(relative)} attributes"
        for part in relative:
            if part.tag not in {_UTF8, _PRINTABLE}:
                yield f"attribute {part.type.dotted_string} of the subject is neither a UTF-8 nor a printable string"
            elif not part.characters:
                yield f"attribute {part.type.dotted_string} of the subject is empty"


NAME_ENCODING: Final = Rule("name-encoding", "RFC 5280, 4.1.2.4 and 4.1.2.6", _check)
