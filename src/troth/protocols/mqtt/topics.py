"""Topic names and topic filters: which are well formed, and which filter matches which name (section 4.7).

Knows nothing of who may use them: that is `troth.policy`.
"""

from troth.errors import Kind, PeerFault
from troth.limits import MQTT_STRING_BYTES_MAX

_SHARE = "$share/"


def topic_problem(topic: str) -> str | None:
    """Say what keeps `topic` from being a topic name, or None when it is one.

    Checked are the rules of section 4.7.3 and [MQTT-3.3.2-2]: 1 to 65,535 bytes of UTF-8, no U+0000, no wildcards.
    """
    if "+" in topic or "#" in topic:
        return "a topic name has a wildcard in it"
    return _text_problem(topic, "a topic name")


def filter_problem(topic_filter: str) -> str | None:
    """Say what keeps `topic_filter` from being a topic filter, or None when it is one.

    Beside the rules for every text, ``#`` is the whole of the last level [MQTT-4.7.1-2] and ``+`` the whole of a level
    [MQTT-4.7.1-3]. ``$share/...`` is an ordinary filter in MQTT 3.1.1 and passes: see `split_share`.
    """
    if "#" in topic_filter and not (topic_filter.index("#") == len(topic_filter) - 1 and _whole(topic_filter, "#")):
        return "'#' in a topic filter is not the whole of its last level"
    if "+" in topic_filter and not _whole(topic_filter, "+"):
        return "'+' in a topic filter is not the whole of a level"
    return _text_problem(topic_filter, "a topic filter")


def matches(topic_filter: str, topic: str) -> bool:
    """Tell whether a well-formed filter matches a well-formed topic name, as a server must (section 4.7).

    ``+`` matches one level, also an empty one; ``#`` matches the level above and all below; neither matches a first
    level that begins with ``$`` [MQTT-4.7.2-1]. A shared filter is split first (`split_share`). Linear in its input.
    """
    if topic.startswith("$") and topic_filter[:1] in {"+", "#"}:
        return False
    wanted = topic_filter.split("/")
    levels = topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        # "a/#" matches "a" too; "#" alone matches everything.
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(want in {"+", level} for want, level in zip(wanted, levels, strict=True))


def split_share(topic_filter: str) -> tuple[str | None, str]:
    """Split ``$share/GROUP/FILTER`` into the group and the filter; any other filter comes back with no group.

    MQTT 5.0 defines shared subscriptions [MQTT-4.8.2-1, 4.8.2-2]; many servers of 3.1.1 offer them. Raises `PeerFault`
    (malformed) for a filter that begins so and has no group, a wildcard in it, or no well-formed filter behind it:
    a server might take it either way.
    """
    if not topic_filter.startswith(_SHARE):
        return None, topic_filter
    group, _, shared = topic_filter[len(_SHARE) :].partition("/")
    if not group or "+" in group or "#" in group or filter_problem(shared):
        raise PeerFault(Kind.MALFORMED, "a shared subscription is not $share/GROUP/FILTER")
    return group, shared


def _whole(topic_filter: str, wildcard: str) -> bool:
    """Tell whether every level that has `wildcard` in it is that wildcard and no more."""
    return all(level == wildcard for level in topic_filter.split("/") if wildcard in level)


def _text_problem(text: str, what: str) -> str | None:
    if not text:
        return f"{what} is empty"  # [MQTT-4.7.3-1]
    if "\0" in text:
        return f"{what} has U+0000 in it"  # [MQTT-4.7.3-2]
    # A character takes four bytes at most, so that most texts need no second look [MQTT-4.7.3-3].
    if len(text) * 4 > MQTT_STRING_BYTES_MAX and len(text.encode(errors="replace")) > MQTT_STRING_BYTES_MAX:
        return f"{what} is longer than {MQTT_STRING_BYTES_MAX} bytes"
    return None
