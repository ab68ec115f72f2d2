"""The other half of an offline ceremony: a subordinate's request, made where its key is, signed by our root.

What the request asks for decides its key, and which generation it is where that is still free.
"""

import re
from collections.abc import Sequence
from typing import Final

from troth.authority.ceremony import Ceremony
from troth.authority.generation import Generation, parse_line
from troth.authority.rollover import bring_into_force, in_force, next_number
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.registry.issuers import Issuer, list_issuers
from troth.registry.trust import TrustBundle, trust_bundle
from troth.store.read import read
from troth.x509.profiles import Purpose
from troth.x509.requests import Request

_NUMBER_DIGITS_MAX: Final = 4


def sign_request(
    ceremony: Ceremony, request: Request, *, site: str, purpose: Purpose, line: str | None, names: Sequence[str]
) -> tuple[Issuer, TrustBundle]:
    """Certify the key of `request` as an issuing CA for `purpose`; return it with the roots that lead to it.

    The same request again gives the same certificate. `names` are the site's servers' beside those below its own name.
    Raises `Fault`: malformed (the line), rejected (a root is never certified so), and what `Ceremony.certify` raises.
    """
    called = parse_line(line, purpose)
    if purpose is Purpose.ROOT:
        raise Fault(Kind.REJECTED, "a root is certified by nobody but another in a rollover", hint="name the purpose")
    with read(ceremony.db) as connection:
        root = in_force(connection, Purpose.ROOT.value)
        issuers = list_issuers(connection)
        wanted = called or purpose.value
        known = next((each for each in issuers if each.certificate.public_key() == request.public_key), None)
        number = known.number if known else _number(request, site, wanted, issuers) or next_number(connection, wanted)
    if known is None:
        if any(each.line == wanted and each.key_name for each in issuers):
            hint = "give the other one a name of its own: --name NAME"
            raise Fault(Kind.CONFLICT, f"the keys of {wanted} are kept here", hint=hint)
        generation = Generation(site, purpose, number, tuple(names), called, key="")
        known = ceremony.certify(generation, request, root)
    elif (known.line, known.purpose) != (wanted, purpose):
        raise Fault(Kind.CONFLICT, f"the key is that of {known.name} already", hint="make a new key for a new CA")
    if known.is_trusted:
        with change(ceremony.db, ceremony.clock, ceremony.actor, ceremony.why) as changing:
            known = bring_into_force(changing, known)
    with read(ceremony.db) as connection:
        return known, trust_bundle(connection)


def _number(request: Request, site: str, line: str, issuers: Sequence[Issuer]) -> int | None:
    """Return the generation that the request's own name says, where it is one of this line and free."""
    words = re.escape(f"{site} {line} CA ") + rf"([1-9][0-9]{{0,{_NUMBER_DIGITS_MAX - 1}}})"
    match = re.fullmatch(words, request.common_name or "", re.ASCII)
    if match is None:
        return None
    number = int(match[1])
    taken = {each.number for each in issuers if each.line == line}
    return number if number > max(taken, default=0) else None
