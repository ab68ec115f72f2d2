"""An index finds what trying every pattern finds, and tries none that begins otherwise."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from troth.policy.index import NOWHERE, Draft, Index
from troth.policy.pattern import Glob, parse_glob

TEXTS = st.text("ab\u00e9\U0001f600", max_size=6)
PATTERNS = st.text("ab*?\u00e9\U0001f600", max_size=6) | TEXTS.map(lambda text: f"{text}*")


def index_of(patterns: Sequence[str]) -> Index:
    draft = Draft()
    for place, pattern in enumerate(patterns):
        glob = parse_glob(pattern)
        if glob.literal is not None:
            draft.add_exact(pattern, place)
        elif pattern == f"{glob.beginning}*":
            draft.add_prefix(glob.beginning, place)
        else:
            draft.add_other(glob.beginning, glob, place)
    return Index(draft)


@given(patterns=st.lists(PATTERNS, max_size=12), texts=st.lists(TEXTS, min_size=1, max_size=4))
@example(patterns=["a*", "aa*", "aaa*", "ab"], texts=["aab", "ab", "b", ""])
@example(patterns=["aaa*", "aa*", "a*", "*"], texts=["aab", "ab", "b", ""])
@example(patterns=["a?", "a*", "ab"], texts=["ab", "a"])
def test_finds_the_first_that_matches(patterns: list[str], texts: list[str]) -> None:
    index = index_of(patterns)
    for text in texts:
        places = [place for place, pattern in enumerate(patterns) if parse_glob(pattern).matches(text)]
        assert index.first(text) == min(places, default=NOWHERE)


class Counted:
    """A pattern that counts how often it is tried."""

    def __init__(self) -> None:
        self.tried = 0

    def matches(self, _: str, /) -> bool:
        self.tried += 1
        return False


def test_what_begins_otherwise_is_not_tried() -> None:
    draft = Draft()
    patterns = {f"{place:03}/": Counted() for place in range(1000)} | {"": Counted()}
    for beginning, pattern in patterns.items():
        draft.add_other(beginning, pattern, 7)
    assert Index(draft).first("500/x") == NOWHERE
    assert [beginning for beginning, pattern in patterns.items() if pattern.tried] == ["500/", ""]


@pytest.mark.parametrize(("pattern", "beginning"), [("a?b*", "a"), ("?a", ""), ("*a", ""), ("ab", "ab"), ("", "")])
def test_what_a_pattern_begins_with(pattern: str, beginning: str) -> None:
    glob: Glob = parse_glob(pattern)
    assert glob.beginning == beginning
