"""What two neighbours say to each other once TLS has proven both: a JSON object a line, for both ends. Knows no socket.

Who listens speaks first: it lets the other in, or says in a word why not; so does who called and will not go on. Then
who called sends messages, one by one, and each is answered.
"""

import json
from dataclasses import dataclass
from typing import Final

from troth.errors import Fault, Kind, PeerFault
from troth.limits import NEIGHBOUR_LINE_BYTES_MAX

END: Final = b"\n"
_TOO_LARGE: Final = f"a line between neighbours has more than {NEIGHBOUR_LINE_BYTES_MAX} bytes"


@dataclass(frozen=True, slots=True)
class Welcome:
    """You are let in, as the thing that you have proven to be."""

    thing: str


@dataclass(frozen=True, slots=True)
class Refused:
    """You are not gone on with; `word` says why."""

    word: str


@dataclass(frozen=True, slots=True)
class Message:
    """Something to be taken over."""

    text: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The message was taken over."""

    reply: str | None = None


Line = Welcome | Refused | Message | Taken


def render_line(line: Line) -> bytes:
    """Return a line with its end. Raises `Fault` (too large)."""
    match line:
        case Welcome(thing):
            said: dict[str, object] = {"welcome": thing}
        case Refused(word):
            said = {"refused": word}
        case Message(text):
            said = {"message": text}
        case Taken(reply):
            said = {"taken": True} | ({"reply": reply} if reply is not None else {})
    data = json.dumps(said).encode() + END
    if len(data) > NEIGHBOUR_LINE_BYTES_MAX:
        raise Fault(Kind.TOO_LARGE, _TOO_LARGE)
    return data


def parse_line(data: bytes) -> Line:
    """Read a line, with or without its end; what is not known in it is let pass. Raises `PeerFault`: malformed."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PeerFault(Kind.MALFORMED, "the neighbour's line is no JSON", detail=str(error)[:200]) from error
    match said:
        case {"welcome": str(thing)}:
            return Welcome(thing)
        case {"refused": str(word)}:
            return Refused(word)
        case {"message": str(text)}:
            return Message(text)
        case {"taken": True, **more}:
            reply = more.get("reply")
            return Taken(reply if isinstance(reply, str) else None)
    raise PeerFault(Kind.MALFORMED, "the neighbour said something that is not known")


class Lines:
    """Cuts what comes into lines, in bounded memory."""

    def __init__(self) -> None:
        self._waiting = b""

    def feed(self, data: bytes) -> None:
        """Add what has come."""
        self._waiting += data

    def take(self) -> Line | None:
        """Return the next whole line; None when more must come first. Raises `PeerFault`: malformed, too large."""
        line, end, rest = self._waiting.partition(END)
        if len(line) >= NEIGHBOUR_LINE_BYTES_MAX:
            raise PeerFault(Kind.TOO_LARGE, _TOO_LARGE)
        if not end:
            return None
        self._waiting = rest
        return parse_line(line)
