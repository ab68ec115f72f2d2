"""What must hold of a certificate before a CA key signs it: the rules, one per file, each citing its clause.

Rules look at the real bytes (signed with a throwaway key), never at what they were built from. Every finding forbids.
"""

from typing import Final

from cryptography import x509

from troth.x509.certificates import UNREADABLE
from troth.x509.lint.alternative_names import ALTERNATIVE_NAMES
from troth.x509.lint.authority_information_access import AUTHORITY_INFORMATION_ACCESS
from troth.x509.lint.authority_key_identifier import AUTHORITY_KEY_IDENTIFIER
from troth.x509.lint.basic_constraints import BASIC_CONSTRAINTS
from troth.x509.lint.crl_distribution_points import CRL_DISTRIBUTION_POINTS
from troth.x509.lint.duplicate_extensions import DUPLICATE_EXTENSIONS
from troth.x509.lint.empty_sequences import EMPTY_SEQUENCES
from troth.x509.lint.extended_key_usage import EXTENDED_KEY_USAGE
from troth.x509.lint.issuer_name import ISSUER_NAME
from troth.x509.lint.key_usage import KEY_USAGE
from troth.x509.lint.key_usage_for_key import KEY_USAGE_FOR_KEY
from troth.x509.lint.known_extensions import KNOWN_EXTENSIONS
from troth.x509.lint.name_constraints import NAME_CONSTRAINTS
from troth.x509.lint.name_encoding import NAME_ENCODING
from troth.x509.lint.ocsp_no_check import OCSP_NO_CHECK
from troth.x509.lint.public_key import PUBLIC_KEY
from troth.x509.lint.rsa_modulus import RSA_MODULUS
from troth.x509.lint.rule import Finding, Rule, open_case
from troth.x509.lint.serial_number import SERIAL_NUMBER
from troth.x509.lint.server_name import SERVER_NAME
from troth.x509.lint.signature_algorithm import SIGNATURE_ALGORITHM
from troth.x509.lint.subject import SUBJECT
from troth.x509.lint.subject_key_identifier import SUBJECT_KEY_IDENTIFIER
from troth.x509.lint.time_encoding import TIME_ENCODING
from troth.x509.lint.unique_identifiers import UNIQUE_IDENTIFIERS
from troth.x509.lint.validity import VALIDITY
from troth.x509.lint.version import VERSION
from troth.x509.profiles import Profile

__all__ = ["RULES", "Finding", "Rule", "lint"]

RULES: Final[tuple[Rule, ...]] = (
    VERSION,
    SERIAL_NUMBER,
    SIGNATURE_ALGORITHM,
    ISSUER_NAME,
    VALIDITY,
    TIME_ENCODING,
    SUBJECT,
    NAME_ENCODING,
    UNIQUE_IDENTIFIERS,
    PUBLIC_KEY,
    RSA_MODULUS,
    DUPLICATE_EXTENSIONS,
    EMPTY_SEQUENCES,
    KNOWN_EXTENSIONS,
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    KEY_USAGE_FOR_KEY,
    EXTENDED_KEY_USAGE,
    ALTERNATIVE_NAMES,
    SERVER_NAME,
    NAME_CONSTRAINTS,
    SUBJECT_KEY_IDENTIFIER,
    AUTHORITY_KEY_IDENTIFIER,
    CRL_DISTRIBUTION_POINTS,
    AUTHORITY_INFORMATION_ACCESS,
    OCSP_NO_CHECK,
)


def lint(certificate: x509.Certificate, profile: Profile, issuer: x509.Certificate | None) -> tuple[Finding, ...]:
    """Return everything that forbids signing `certificate` under `profile` as `issuer` (None: it signs itself)."""
    case = open_case(certificate, profile, issuer)
    findings: list[Finding] = []
    for rule in RULES:
        try:
            # Nearly always there is nothing to find: a loop costs less than an expression that makes nothing.
            for message in rule.check(case):
                findings.append(Finding(rule.name, rule.clause, message))
        except UNREADABLE as error:
            findings.append(Finding(rule.name, rule.clause, f"cannot be read: {error}"))
    return tuple(findings)
