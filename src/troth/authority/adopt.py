"""CAs that were certified elsewhere: brought with their keys, or certified over a request whose key was made here.

What is brought is judged (`acceptance`) and registered. A root that is brought with its key follows on the one in force
as in a rollover: each certifies the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from sqlalchemy import Connection

from troth.authority.acceptance import Offered, arrange, check
from troth.authority.ceremony import Ceremony, KeyCabinet, opened_key
from troth.authority.derive import read_profile
from troth.authority.generation import Generation, parse_line
from troth.authority.rollover import bring_into_force, in_force, next_number
from troth.errors import Fault, Kind
from troth.journal.change import Change, change
from troth.keys.file import FileKey
from troth.keys.requests import build_request
from troth.keys.signing import SigningKey
from troth.registry.issuer_requests import (
    IssuerRequest,
    add_issuer_request,
    drop_issuer_request,
    list_issuer_requests,
)
from troth.registry.issuers import Issuer, IssuerState, add_issuer, list_issuers
from troth.registry.profiles import get_profile
from troth.store.read import read
from troth.x509.certificates import certificate_id, subject_text
from troth.x509.profiles import Profile, Purpose


class KeepingCabinet(KeyCabinet, Protocol):
    """A cabinet that takes keys which were made elsewhere."""

    def keep(self, name: str, key: FileKey) -> None:
        """Keep a key under `name`, safely. Raises `Fault` (conflict) when there is another of this name."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an adopted CA goes."""

    purpose: Purpose
    line: str
    number: int
    key_name: str

    @property
    def name(self) -> str:
        return f"{self.line}-{self.number}"


def request_issuer(
    ceremony: Ceremony, *, site: str, purpose: Purpose, line: str | None, key: str | None = None
) -> IssuerRequest:
    """Make the key of the next generation of a line here, and return a request for it that another CA is to sign.

    Where one waits for its answer already, that one is returned. Raises `Fault`: malformed (the name), not found (the
    profile), and what the cabinet raises.
    """
    called = parse_line(line, purpose)
    if purpose is Purpose.ROOT:
        raise Fault(Kind.CONFLICT, "a root asks nobody for its certificate", hint="troth ca rollover root")
    with read(ceremony.db) as connection:
        wanted = called or purpose.value
        waiting = [each for each in list_issuer_requests(connection) if each.line == wanted]
        if waiting:
            return waiting[-1]
        generation = Generation(site, purpose, next_number(connection, wanted), (), called, key)
        rules = _rules(connection, generation.profile)
    made = ceremony.cabinet.make(generation.key_name, rules.algorithms[0])
    name = subject_text(generation.subject).removeprefix("CN=")
    with change(ceremony.db, ceremony.clock, ceremony.actor, ceremony.why) as changing:
        return add_issuer_request(
            changing,
            name=generation.name,
            line=generation.line,
            number=generation.number,
            purpose=purpose,
            key_name=generation.key_name,
            request=build_request(made, name),
        )


def adopt_answer(ceremony: Ceremony, certificates: Sequence[x509.Certificate]) -> Issuer:
    """Register the certificate that answers one of our requests, and let it sign from now on.

    `certificates` has what leads from it to a root, unless that is registered here. Raises `Fault`: not found when none
    answers a request; what `check` raises; not found or bad key as the cabinet does.
    """
    with read(ceremony.db) as connection:
        waiting = {each.key_name: each for each in list_issuer_requests(connection)}
    for asked in waiting.values():
        key = ceremony.cabinet.open(asked.key_name)
        if any(each.public_key() == key.public_key for each in certificates):
            place = _Place(asked.purpose, asked.line, asked.number, asked.key_name)
            return _register(ceremony, certificates, key, place)
    hint = "troth ca list shows the requests that wait; to bring a CA with its key, give --purpose and --key"
    raise Fault(Kind.NOT_FOUND, "none of these certificates answers a request that was made here", hint=hint)


def adopt_issuer(
    ceremony: Ceremony,
    cabinet: KeepingCabinet,
    certificates: Sequence[x509.Certificate],
    key: FileKey,
    *,
    purpose: Purpose,
    line: str | None,
    site: str,
) -> Issuer:
    """Keep a CA's key, register its certificate, and let it sign for `purpose` from now on.

    What signed before it in the same line signs no more. Raises `Fault` as `adopt_answer` does, and malformed for a
    line that cannot be.
    """
    called = parse_line(line, purpose)
    with read(ceremony.db) as connection:
        number = next_number(connection, called or purpose.value)
        begun = next((each for each in list_issuers(connection) if each.certificate in certificates), None)
        generation = Generation(site, purpose, number, (), called)
        place = _Place(purpose, generation.line, number, generation.key_name)
        old = in_force(connection, purpose.value) if purpose is Purpose.ROOT else None
        if begun is None or begun.state is not IssuerState.INACTIVE or begun.key_name != place.key_name:
            begun = None
            _judge(connection, ceremony, certificates, key, place)
    if old is not None:
        opened_key(old, cabinet)
    if begun is None:
        # The key is safe before anything that names it is committed.
        cabinet.keep(place.key_name, key)
        begun = _register(ceremony, certificates, key, place)
    if old is None:
        return begun
    ceremony.cross(begun, old)
    ceremony.cross(old, begun)
    with change(ceremony.db, ceremony.clock, ceremony.actor, ceremony.why) as changing:
        return bring_into_force(changing, begun)


def _register(ceremony: Ceremony, certificates: Sequence[x509.Certificate], key: SigningKey, place: _Place) -> Issuer:
    with change(ceremony.db, ceremony.clock, ceremony.actor, ceremony.why) as changing:
        offered, rules = _judge(changing.connection, ceremony, certificates, key, place)
        parent_id = _add_above(changing, offered, place)
        assert rules.ca is not None  # it is an issuer's profile
        issuer = add_issuer(
            changing,
            offered.certificate,
            name=place.name,
            purpose=place.purpose,
            parent_id=parent_id,
            key_name=place.key_name,
            shards=rules.ca.shards,
            line=place.line,
            number=place.number,
            state=IssuerState.INACTIVE,
        )
        drop_issuer_request(changing, place.name)
        # A root comes into force once it and the one before it have certified each other.
        return issuer if place.purpose is Purpose.ROOT else bring_into_force(changing, issuer)


def _judge(
    connection: Connection,
    ceremony: Ceremony,
    certificates: Sequence[x509.Certificate],
    key: SigningKey,
    place: _Place,
) -> tuple[Offered, Profile]:
    registered = list_issuers(connection)
    above = [each.certificate for each in registered if each.purpose is Purpose.ROOT and each.is_trusted]
    offered = arrange(certificates, key.public_key, above)
    profile = "root" if place.purpose is Purpose.ROOT else f"issuing-{place.purpose.value}"
    rules = _rules(connection, profile)
    taken = [each.certificate for each in registered]
    check(offered, place.purpose, key.public_key, rules, ceremony.clock.now(), taken)
    return offered, rules


def _add_above(changing: Change, offered: Offered, place: _Place) -> str | None:
    """Register what certified the CA and is not known here, the topmost first; return the id of what is next above."""
    known = {each.issuer_id for each in list_issuers(changing.connection)}
    parent_id: str | None = None
    for certificate in reversed(offered.above):
        identity = certificate_id(certificate)
        if identity not in known:
            line = f"{place.line}-above"
            number = next_number(changing.connection, line)
            add_issuer(
                changing,
                certificate,
                name=f"{line}-{number}",
                purpose=Purpose.ROOT,
                parent_id=parent_id,
                key_name="",
                line=line,
                number=number,
            )
        parent_id = identity
    return parent_id


def _rules(connection: Connection, profile: str) -> Profile:
    return read_profile(get_profile(connection, profile).document)
