"""No extension is there twice: readers would not agree which one counts."""

from collections.abc import Iterator
from typing import Final

from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    types = [extension.type for extension in case.parts.extensions or ()]
    for each in dict.fromkeys(types):
        if types.count(each) > 1:
            yield f"extension {each.dotted_string} is there {types.count(each)} times"


DUPLICATE_EXTENSIONS: Final = Rule("duplicate-extensions", "RFC 5280, 4.2", _check)
