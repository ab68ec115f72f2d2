"""Which client ids a statement lets anybody take. Shared by the rules about client ids."""

from troth.policy.actions import Action
from troth.policy.catalogue import CERTIFICATE, CLIENT_ID, THING
from troth.policy.lint.conditions import is_bound
from troth.policy.lint.patterns import matches
from troth.policy.lint.rule import Case
from troth.policy.pattern import Token, Variable, Wildcard
from troth.policy.statement import Statement
from troth.policy.written import Word


def allows_client(case: Case, statement: Statement, word: Word, client_id: str) -> bool:
    """Say whether a resource of a statement that allows `iot:Connect` admits a client id."""
    name = case.name_of(word)
    return matches(name, f"client/{client_id}", {CLIENT_ID: client_id})


def lets_anybody_be(case: Case, client_id: str) -> bool:
    """Say whether the document lets the holder of any certificate connect as `client_id`."""
    return any(
        allows_client(case, statement, word, client_id)
        for statement in case.allowing(Action.CONNECT)
        if not (statement.except_resources or is_bound(statement))
        for word in statement.written.resources
    )


def is_free(name: tuple[Token, ...]) -> bool:
    """Say whether a pattern of client ids leaves the choice to the client, in part at least."""
    variables = [token.name for token in name if isinstance(token, Variable)]
    if any(variable.startswith((THING, CERTIFICATE)) for variable in variables):
        return False
    return CLIENT_ID in variables or any(isinstance(token, Wildcard) for token in name)
