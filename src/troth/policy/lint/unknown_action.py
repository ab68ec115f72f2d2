"""An action that no request of a device asks for."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from troth.policy.actions import Action
from troth.policy.lint.rule import Case, Found, Level, Rule
from troth.policy.pattern import parse_glob
from troth.policy.showing import shown

_ACTIONS: Final = {action.lower(): action for action in Action}


def _check(case: Case) -> Iterator[Found]:
    for statement in case.document.statements:
        for word in statement.written.actions:
            folded = word.text.lower()
            glob = parse_glob(folded)
            if any(glob.matches(action) for action in _ACTIONS):
                continue
            near = get_close_matches(folded[:80], _ACTIONS, n=1, cutoff=0.8)
            remedy = f"did you mean {_ACTIONS[near[0]]}?" if near else "leave it out"
            yield Found(word.place, f"no request of a device asks for {shown(word.text)}", remedy)


UNKNOWN_ACTION: Final = Rule("unknown-action", Level.USELESS, _check)
