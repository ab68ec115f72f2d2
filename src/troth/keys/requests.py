"""A certification request made with any `SigningKey`, wherever it lives. PKCS#10, RFC 2986."""

from collections.abc import Iterable

from troth.keys.signing import SigningKey
from troth.x509.requests import build_request_info
from troth.x509.signed import assemble_signed
from troth.x509.subjects import COMMON_NAME_CHARS_MAX, named_subject, parse_alternative_names, thing_subject


def build_request(key: SigningKey, common_name: str, dns_names: Iterable[str] = ()) -> bytes:
    """Return a request in DER, signed by its key, for a thing, a server or an operator of this name.

    A thing's name that is too long for a common name is asked for as a UID (`troth.x509.subjects.thing_subject`).
    `dns_names` may hold IP addresses too. Raises `Fault` (malformed) for names that are none; whatever `key` raises.
    """
    is_short = len(common_name) <= COMMON_NAME_CHARS_MAX
    subject = named_subject(common_name) if is_short else thing_subject(common_name)
    content = build_request_info(subject, key.public_key, parse_alternative_names(dns_names))
    return assemble_signed(content, key.algorithm, key.sign(content))
