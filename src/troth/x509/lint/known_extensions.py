"""No extension but those that Troth writes, each critical or not as its clause says.

A critical extension that a verifier does not know makes it refuse the certificate, so none is there by accident.
"""

from collections.abc import Iterator
from typing import Final

from cryptography.x509.oid import ExtensionOID

from troth.x509.lint.rule import Case, Rule

_CRITICAL: Final = {
    ExtensionOID.BASIC_CONSTRAINTS: True,  # 4.2.1.9: must in a CA; in a leaf may be either, and is the same here
    ExtensionOID.KEY_USAGE: True,  # 4.2.1.3: should
    ExtensionOID.NAME_CONSTRAINTS: True,  # 4.2.1.10: must
    ExtensionOID.EXTENDED_KEY_USAGE: False,  # 4.2.1.12: may be either
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME: False,  # 4.2.1.6: should not be, beside a subject
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: False,  # 4.2.1.2: must not
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER: False,  # 4.2.1.1: must not
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS: False,  # 4.2.2.1: must not
    ExtensionOID.CRL_DISTRIBUTION_POINTS: False,  # 4.2.1.13: should not
    ExtensionOID.OCSP_NO_CHECK: False,  # RFC 6960, 4.2.2.2.1: should not
}


def _check(case: Case) -> Iterator[str]:
    for extension in case.parts.extensions or ():
        critical = _CRITICAL.get(extension.type)
        if critical is None:
            yield f"extension {extension.type.dotted_string} is not one that is written here"
        elif critical is not extension.critical:
            yield f"extension {extension.type.dotted_string} must{'' if critical else ' not'} be critical"


KNOWN_EXTENSIONS: Final = Rule("known-extensions", "RFC 5280, 4.2", _check)
