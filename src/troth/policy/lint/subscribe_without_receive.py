"""Subscriptions are allowed and no delivery is: nothing ever comes."""

from collections.abc import Iterator
from typing import Final

from troth.policy.actions import Action
from troth.policy.lint.rule import Case, Found, Level, Rule


def _check(case: Case) -> Iterator[Found]:
    if any(case.allowing(Action.RECEIVE)):
        return
    for statement in case.allowing(Action.SUBSCRIBE):
        yield Found(
            statement.written.place,
            f"it allows {Action.SUBSCRIBE}, and no statement allows {Action.RECEIVE}: nothing is delivered",
            f"allow {Action.RECEIVE} on the topics, which are written topic/... and not topicfilter/...",
        )
        return


SUBSCRIBE_WITHOUT_RECEIVE: Final = Rule("subscribe-without-receive", Level.USELESS, _check)
