"""Requests made up from documents, to find out where policies differ.

Names that patterns match or just miss are asked for by connections that conditions want or do not want.

A sample: that nothing differs in it proves nothing. The same documents give the same requests.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from troth.limits import SAMPLED_REQUESTS_MAX
from troth.names import Realm
from troth.policy.actions import Action, request_resource
from troth.policy.context import ConnectionContext, connection_keys
from troth.policy.questions import Question
from troth.policy.sampling.contexts import base_context, instance, sample_contexts
from troth.policy.statement import Document, Statement

_CONTEXTS_MAX: Final = 40
_FILLS: Final = ("x", "x/y", "")
"""What stands for ``*``."""
_FILTERS: Final = ("+", "#")
"""What also does in filters."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Requests made up from documents."""

    questions: tuple[Question, ...]
    """Each is named after its connection."""
    complete: bool
    """Whether these are all that were thought of; if not, there were too many."""


def sample(documents: Iterable[Document], realm: Realm) -> Sample:
    """Make requests up from documents, `SAMPLED_REQUESTS_MAX` at most."""
    statements = [statement for document in documents for statement in document.statements]
    base = base_context(frozenset[str]().union(*(statement.names for statement in statements)), realm)
    contexts: dict[str, tuple[str, ConnectionContext]] = {}  # by their text: what they are made of has no hash
    for label, context in sample_contexts(statements, base):
        contexts.setdefault(repr(context), (label, context))
    kept = list(islice(contexts.values(), _CONTEXTS_MAX))
    found = _first(_requests(statements, [context for _, context in kept]))
    asked = ((label, context, action, name) for action, name in found for label, context in kept)
    questions = tuple(_question(*each) for each in islice(asked, SAMPLED_REQUESTS_MAX))
    return Sample(questions, len(contexts) == len(kept) and len(questions) == len(found) * len(kept))


def _first(requests: Iterable[tuple[Action, str]]) -> dict[tuple[Action, str], None]:
    """Return the requests, each once, until there are too many."""
    found: dict[tuple[Action, str], None] = {}
    for request in requests:
        found[request] = None
        if len(found) > SAMPLED_REQUESTS_MAX:
            break
    return found


def _question(label: str, context: ConnectionContext, action: Action, name: str) -> Question:
    if action is Action.CONNECT and context.protocol == "mqtt":
        # Who connects asks for the client id that it has.
        thing = context.thing if context.thing is not None and context.thing.name == name else None
        context = replace(context, client_id=name, thing=thing)
    return Question(label, action, name, context)


def _requests(statements: Iterable[Statement], contexts: Sequence[ConnectionContext]) -> Iterator[tuple[Action, str]]:
    """Yield what patterns match, and what they just miss."""
    for statement in statements:
        actions = [action for action in Action if action in statement.actions]
        for resource in _resources(statement, contexts):
            for action in actions:
                kind = request_resource(action, "")
                if action is Action.LIST_RETAINED_MESSAGES:
                    yield action, "*"
                elif resource == "*":
                    yield action, "x"
                elif resource.startswith(kind):
                    name = resource.removeprefix(kind)
                    yield from ((action, each) for each in (name, f"{name}/x", f"{name}x"))


def _resources(statement: Statement, contexts: Sequence[ConnectionContext]) -> Iterator[str]:
    fills = (*_FILLS, *_FILTERS) if Action.SUBSCRIBE in statement.actions else _FILLS
    lookups = [connection_keys(context).variable for context in contexts]
    for pattern in statement.resources:
        for lookup in lookups if pattern.variables else lookups[:1]:
            for fill in fills:
                text = instance(pattern, lookup, fill)
                if text is not None:
                    # Where the wildcard runs over the parts of the ARN, it is about everything.
                    yield text.split(":", 5)[5] if text.count(":") >= 5 else "*"
