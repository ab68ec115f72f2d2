"""Bulk registration: things made of a list of parameters, a line each, by one template. A bad line stops no other.

What a line has made is found again when it is given again, so that a run which was cut off is finished by giving the
list once more. AWS IoT developer guide, "Bulk registration".
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TextIO

from troth.authority.intents import find_requested
from troth.authority.issue import Wanted
from troth.clock import Clock
from troth.enrollment.template_apply import apply_plan, require_free
from troth.enrollment.template_plan import CertificatePlan, Plan, plan
from troth.enrollment.template_resources import TemplateType
from troth.enrollment.template_text import Template
from troth.enrollment.templates import TemplateRow
from troth.errors import Fault, Kind
from troth.journal.change import Change, change
from troth.limits import IMPORT_LINE_CHARS_MAX, PROVISIONING_PARAMETERS_MAX, Limits
from troth.registry.certificates import get_certificate
from troth.store.connect import Database
from troth.x509.certificates import certificate_id, parse_chain
from troth.x509.requests import Request, parse_request

METHOD: Final = "bulk"
LINES_PER_CHANGE: Final = 64


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list: where it stands, and its parameters or why it cannot be read."""

    number: int
    """From 1."""
    parameters: dict[str, str] | Fault


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a line: a thing, and the certificate that is still to be issued for it, if there is one."""

    thing: str
    wanted: Wanted | None


@dataclass(frozen=True, slots=True)
class _Planned:
    number: int
    plan: Plan
    request: Request | None


def read_lines(file: TextIO) -> Iterator[Line]:
    """Yield the lines of a list that are not empty. Raises `Fault` (too large) for a line without an end."""
    number = 0
    while text := file.readline(IMPORT_LINE_CHARS_MAX + 1):
        number += 1
        if len(text) > IMPORT_LINE_CHARS_MAX:
            message = f"line {number} has more than {IMPORT_LINE_CHARS_MAX} characters"
            raise Fault(Kind.TOO_LARGE, message, hint="a list has one JSON object in each line")
        if text.strip():
            yield Line(number, _parameters(text))


@dataclass(frozen=True, slots=True)
class Registering:
    """Makes things of lines. Raises `Fault` (rejected) for a template that is not for lists, or not enabled."""

    db: Database
    clock: Clock
    actor: str
    why: str
    template: TemplateRow
    limits: Limits

    def __post_init__(self) -> None:
        if self.template.type is not TemplateType.BULK:
            hint = "make one that is: troth template create NAME FILE --type bulk"
            raise Fault(Kind.REJECTED, f"template {self.template.name!r} is not for lists", hint=hint)
        if not self.template.options.enabled:
            hint = "troth template update NAME --enable"
            raise Fault(Kind.REJECTED, f"template {self.template.name!r} is not enabled", hint=hint)

    def register(self, lines: Sequence[Line]) -> list[Made | Fault]:
        """Return what came of each line, in order; all of one line is made, or nothing.

        Raises `Fault` (unavailable) when the database does not answer.
        """
        template = self.template.template
        planned = [_plan(template, line) for line in lines]
        try:
            with change(self.db, self.clock, self.actor, self.why) as changing:
                return [each if isinstance(each, Fault) else self._make(changing, each) for each in planned]
        except Fault as fault:
            if fault.kind is Kind.UNAVAILABLE:
                raise
        # One of them failed and took the others with it: each for itself.
        return [each if isinstance(each, Fault) else self._alone(each) for each in planned]

    def _alone(self, planned: _Planned) -> Made | Fault:
        try:
            with change(self.db, self.clock, self.actor, self.why) as changing:
                return self._make(changing, planned)
        except Fault as fault:
            if fault.kind is Kind.UNAVAILABLE:
                raise
            return fault

    def _make(self, changing: Change, planned: _Planned) -> Made:
        options, certificate = self.template.options, planned.plan.certificate
        held = None if certificate is None or planned.request is not None else _held(changing, certificate)
        thing = apply_plan(
            changing, planned.plan, held, profile=options.profile, again=options.again, limits=self.limits
        )
        if certificate is None or planned.request is None:
            return Made(thing.name, None)
        return Made(thing.name, self._wanted(changing, planned.number, thing.name, certificate, planned.request))

    def _wanted(
        self, changing: Change, number: int, thing: str, certificate: CertificatePlan, request: Request
    ) -> Wanted:
        if not certificate.active:
            hint = "leave Status out, and deactivate it afterwards: troth cert deactivate"
            raise Fault(Kind.REJECTED, "a certificate that is issued comes into force", hint=hint)
        found = find_requested(changing.connection, [request.digest])
        earlier = {each.certificate_id for each in found if each.certificate_id}
        require_free(changing, thing, earlier, f"request:{request.digest}", again=self.template.options.again)
        proof = {"template": self.template.name, "version": self.template.version, "line": number}
        return Wanted(self.template.options.profile, request, METHOD, proof, thing=thing)


def _plan(template: Template, line: Line) -> _Planned | Fault:
    if isinstance(line.parameters, Fault):
        return line.parameters
    try:
        made = plan(template, line.parameters, {})
        csr = made.certificate.request if made.certificate else None
        return _Planned(line.number, made, None if csr is None else parse_request(csr.encode()))
    except Fault as fault:
        return fault


def _held(changing: Change, certificate: CertificatePlan) -> str:
    if certificate.certificate_id is not None:
        return get_certificate(changing.connection, certificate.certificate_id).certificate_id
    identity = certificate_id(parse_chain((certificate.pem or "").encode())[0])
    return get_certificate(changing.connection, identity).certificate_id


def _parameters(text: str) -> dict[str, str] | Fault:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Fault(Kind.MALFORMED, "this is no JSON")
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        return Fault(Kind.MALFORMED, "this is no JSON object of texts", hint='write {"NAME": "value"}')
    if len(value) > PROVISIONING_PARAMETERS_MAX:
        return Fault(Kind.TOO_LARGE, f"there are more than {PROVISIONING_PARAMETERS_MAX} parameters")
    return value
