"""A subject is there, its parts are within their bounds, and it is made as the profile says."""

from collections.abc import Iterator
from typing import Final

from cryptography.x509.oid import NameOID

from troth.x509.lint.rule import Case, Rule
from troth.x509.profiles import SubjectRule
from troth.x509.subjects import COMMON_NAME_CHARS_MAX, thing_of


def _check(case: Case) -> Iterator[str]:
    subject = case.certificate.subject
    if not list(subject):
        yield "the subject is empty"
        return
    common_names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if any(not 1 <= len(part.value) <= COMMON_NAME_CHARS_MAX for part in common_names):
        yield f"a common name has not 1 to {COMMON_NAME_CHARS_MAX} characters"
    elif case.profile.subject is SubjectRule.THING:
        if thing_of(subject) is None:
            yield "the subject is not a thing's name alone"
    elif len(common_names) != 1 or len(list(subject)) != 1:
        yield "the subject is not one common name alone"
    if not case.is_self_signed and subject == case.issuer.subject:
        yield "the subject is the issuer's own name"


SUBJECT: Final = Rule("subject", "RFC 5280, 4.1.2.6 and appendix A.1", _check)
