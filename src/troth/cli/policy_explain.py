"""``troth policy explain``: why a request is decided as it is, by files or by what a home has attached."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from troth.cli.documents import read_policies, read_requests, require_one_stdin
from troth.cli.output import answer
from troth.cli.server import HOME, HomeOption, JsonOption, opened
from troth.errors import Fault, Kind
from troth.policy.actions import parse_action
from troth.policy.attachment import NamedPolicy
from troth.policy.context import ConnectionContext, Thing
from troth.policy.explain import explain as explain_request
from troth.policy.questions import Question
from troth.policy.situation import NO_CERTIFICATE, SOURCE_IP, realm_of
from troth.policy.wording import as_value, render
from troth.x509.certificates import CertificateAttributes


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, the policies that count for it, and what is to be said beside the explanation."""

    question: Question
    policies: tuple[NamedPolicy, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options say of a request."""

    action: str | None
    resource: str | None
    client_id: str | None
    thing: str | None
    cert: str | None
    source_ip: str


def explain(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="Policy documents in JSON, which apply together; - is stdin."),
    ] = None,
    request: Annotated[
        str | None, typer.Option("--request", metavar="FILE", help="The request, or several, in JSON; - is stdin.")
    ] = None,
    action: Annotated[str | None, typer.Option("--action", help="What is asked for, such as iot:Publish.")] = None,
    resource: Annotated[
        str | None, typer.Option("--resource", metavar="NAME", help="The bare name: a topic, a filter, a client id.")
    ] = None,
    client_id: Annotated[
        str | None, typer.Option("--client-id", help="Its client id; if none, the thing's name.")
    ] = None,
    thing: Annotated[
        str | None, typer.Option("--thing", metavar="NAME", help="The thing that the certificate is attached to.")
    ] = None,
    cert: Annotated[
        str | None, typer.Option("--cert", metavar="ID", help="Without files: its certificate, or how the id begins.")
    ] = None,
    source_ip: Annotated[str, typer.Option("--source-ip", help="Where the connection comes from.")] = SOURCE_IP,
    decision: Annotated[
        int | None, typer.Option("--decision", metavar="ID", help="Instead: a decision by its id in `decision list`.")
    ] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Explain why a request is allowed or denied, statement by statement, and what would have to change.

    With files, by those; without, by the policies that the home has attached now to a thing and its certificate.
    """
    wanted = Wanted(action, resource, client_id, thing, cert, source_ip)
    if files:
        asked = _by_files(files, request, wanted, decision)
    else:
        asked = [_by_home(home, request, wanted, decision)]
    explained = [(each, explain_request(each.policies, *_request(each.question))) for each in asked]
    values = [as_value(explanation) | {"notes": each.notes} for each, explanation in explained]
    texts = ["\n".join([render(explanation), *_notes(each)]) for each, explanation in explained]
    answer(values[0] if len(values) == 1 else values, "\n\n".join(texts) or "no requests", as_json=as_json)


def _request(question: Question) -> tuple[str, str, ConnectionContext]:
    return question.action, question.resource, question.context


def _notes(asked: Asked) -> list[str]:
    return ["", *(f"note: {note}" for note in asked.notes)] if asked.notes else []


def _by_files(files: list[str], request: str | None, wanted: Wanted, decision: int | None) -> list[Asked]:
    if decision is not None or wanted.cert is not None:
        raise Fault(Kind.MALFORMED, "--decision and --cert are of a home", hint="leave the files out, or the option")
    require_one_stdin(*files, request)
    policies = read_policies(files)
    if request is None:
        return [Asked(_question(wanted, policies), policies)]
    if wanted.action is not None or wanted.resource is not None:
        raise Fault(Kind.MALFORMED, "the request is given twice", hint="give --request, or --action and --resource")
    return [Asked(question, policies) for question in read_requests(request, policies)]


def _question(wanted: Wanted, policies: tuple[NamedPolicy, ...]) -> Question:
    """Return the request that the options ask for, of a certificate of which nothing is known but its thing."""
    action, resource = required(wanted)
    client_id = wanted.client_id if wanted.client_id is not None else wanted.thing
    attached = wanted.thing is not None and wanted.thing == client_id
    context = ConnectionContext(
        realm=realm_of(policy.document for policy in policies),
        certificate=CertificateAttributes(NO_CERTIFICATE, "", {}, {}, {}, {}),
        source_ip=wanted.source_ip,
        client_id=client_id,
        thing=Thing(wanted.thing) if attached and wanted.thing is not None else None,
    )
    return Question("", parse_action(action), resource, context)


def required(wanted: Wanted) -> tuple[str, str]:
    """Return action and resource. Raises `Fault` (malformed) where one is missing."""
    if wanted.action is None or wanted.resource is None:
        raise Fault(Kind.MALFORMED, "say what is asked for", hint="give --action and --resource, or --request FILE")
    return wanted.action, wanted.resource


def _by_home(home: Path, request: str | None, wanted: Wanted, decision: int | None) -> Asked:
    from troth.cli import policy_live

    if request is not None:
        raise Fault(Kind.MALFORMED, "--request is for files", hint="name documents, or give --action and --resource")
    with opened(home) as here:
        if decision is not None:
            return policy_live.of_decision(here, decision)
        return policy_live.of_holder(here, wanted)
