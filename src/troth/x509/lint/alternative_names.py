"""Alternative names: there where the profile needs them, of its kinds, within its bounds, spelled as DNS does."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509

from troth.errors import Fault
from troth.x509.lint.rule import Case, Rule
from troth.x509.profiles import NameKind
from troth.x509.subjects import is_within, parse_alternative_name, thing_host, thing_of

_KINDS: Final[dict[type[x509.GeneralName], NameKind]] = {x509.DNSName: NameKind.DNS, x509.IPAddress: NameKind.IP}


def _check(case: Case) -> Iterator[str]:
    found = case.find(x509.SubjectAlternativeName)
    names = list(found or ())
    if case.profile.san_thing:
        thing = thing_of(case.certificate.subject)
        if thing is None or names != [x509.DNSName(thing_host(thing))]:
            yield f"profile {case.profile.name!r} names the thing as a host, and nothing else"
        return
    if case.profile.san_required and not names:
        yield f"profile {case.profile.name!r} needs an alternative name"
    for name in names:
        kind = _KINDS.get(type(name))
        if kind not in case.profile.san_allowed:
            yield f"profile {case.profile.name!r} allows no alternative name like {_text(name)}"
        elif isinstance(name, x509.DNSName) and not _is_dns_name(name):
            yield f"{_text(name)} is no DNS name"
        elif case.profile.san_within and not is_within(name, case.profile.san_within):
            yield f"profile {case.profile.name!r} does not let {_text(name)} in: it is outside of san.within"


def _is_dns_name(name: x509.DNSName) -> bool:
    try:
        return parse_alternative_name(name.value) == name
    except Fault:
        return False


def _text(name: x509.GeneralName) -> str:
    return repr(str(name.value)[:60])


ALTERNATIVE_NAMES: Final = Rule("alternative-names", "RFC 5280, 4.2.1.6", _check)
