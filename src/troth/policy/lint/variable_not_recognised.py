"""``${...}`` where variables are not recognised: in a document of the older version, or before the name in an ARN."""

from collections.abc import Iterator
from typing import Final

from troth.policy.lint.rule import Case, Found, Level, Rule
from troth.policy.statement import Statement


def _check(case: Case) -> Iterator[Found]:
    for statement in case.document.statements:
        if case.document.has_variables:
            yield from _before_the_name(statement)
        else:
            yield from _in_older_version(statement, case.document.version)


def _before_the_name(statement: Statement) -> Iterator[Found]:
    for word in statement.written.resources:
        if "${" in ":".join(word.text.split(":", 5)[:5]):
            yield Found(
                word.place,
                "variables are recognised behind the fifth colon of an ARN only: here '${' is text",
                "write the region and the account themselves, or '*'",
            )


def _in_older_version(statement: Statement, version: str) -> Iterator[Found]:
    places = [word.place for word in statement.written.resources if "${" in word.text]
    places += [each.place for each in statement.written.conditions if any("${" in value for value in each.values)]
    for place in places:
        yield Found(
            place,
            f"a document of version {version}, which is also one without Version, has no variables: '${{' is text",
            'write "Version": "2012-10-17"',
        )


VARIABLE_NOT_RECOGNISED: Final = Rule("variable-not-recognised", Level.USELESS, _check)
