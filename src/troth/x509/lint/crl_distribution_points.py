"""The CRL that tells of a certificate is named where the profile wants it: one http URL, of the shard in its serial."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509

from troth.x509.lint.rule import Case, Rule
from troth.x509.profiles import CrlKind
from troth.x509.serials import shard_of


def _check(case: Case) -> Iterator[str]:
    found = case.find(x509.CRLDistributionPoints)
    wanted = case.profile.crl
    if found is None:
        if wanted is not CrlKind.NONE:
            yield f"profile {case.profile.name!r} wants a CRL named"
        return
    if wanted is CrlKind.NONE:
        yield f"profile {case.profile.name!r} names no CRL"
        return
    points = list(found)
    names = list(points[0].full_name or ()) if points else []
    if len(points) != 1 or len(names) != 1 or points[0].reasons or points[0].crl_issuer:
        yield "it does not name one CRL, for all reasons, by its issuer"
        return
    (name,) = names
    ending = f"/{shard_of(case.certificate.serial_number)}.crl" if wanted is CrlKind.SHARD else ".crl"
    if not isinstance(name, x509.UniformResourceIdentifier) or not name.value.startswith("http://"):
        yield f"{str(name.value)[:60]!r} is no http URL"
    elif not name.value.endswith(ending):
        yield f"the CRL is not that of the serial number: its URL does not end in {ending!r}"


CRL_DISTRIBUTION_POINTS: Final = Rule("crl-distribution-points", "RFC 5280, 4.2.1.13", _check)
