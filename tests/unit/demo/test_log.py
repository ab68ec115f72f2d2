import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from troth.demo.log import Log

PEER = "127.0.0.1:40000"
LONG_S = 10.0


class Written:
    """A log whose other end is written here."""

    def __init__(self, file: Path) -> None:
        reading, self._writing = os.pipe()
        self.log = Log(os.fdopen(reading, "rb"), file)

    def write(self, **line: object) -> None:
        self.raw(json.dumps(line).encode())

    def raw(self, line: bytes) -> None:
        os.write(self._writing, line + b"\n")

    def end(self) -> None:
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    made = Written(tmp_path / "log")
    yield made
    made.end()
    made.log.close()


def test_a_line_that_is_there_is_found_by_peer_and_event(written: Written) -> None:
    written.write(event="one", peer=PEER, reason="a")
    written.write(event="one", peer="127.0.0.1:40001", reason="b")
    written.write(event="two", peer=PEER, reason="c")
    assert [line["reason"] for line in written.log.about(PEER, "two", 1, LONG_S)] == ["c"]
    assert [line["reason"] for line in written.log.about(PEER, "one", 1, LONG_S)] == ["a"]
    assert [line["reason"] for line in written.log.all_about(PEER)] == ["a", "c"]


def test_who_waits_gets_the_line_when_it_is_written(written: Written) -> None:
    came: list[str] = []
    waiting = threading.Thread(
        target=lambda: came.extend(line["reason"] for line in written.log.about(PEER, "one", 2, LONG_S))
    )
    waiting.start()
    written.write(event="one", peer=PEER, reason="first")
    written.write(event="one", peer=PEER, reason="second")
    waiting.join(LONG_S)
    assert came == ["first", "second"]


def test_who_waits_in_vain_gets_what_there_is(written: Written) -> None:
    written.write(event="one", peer=PEER, reason="only")
    assert [line["reason"] for line in written.log.about(PEER, "one", 2, 0.2)] == ["only"]


def test_nobody_waits_for_more_than_the_end(written: Written) -> None:
    written.end()
    assert written.log.about(PEER, "one", 1, LONG_S) == []


def test_what_is_no_json_is_kept_in_the_file_alone(written: Written) -> None:
    written.raw(b"Traceback: \xff")
    written.raw(b"[1, 2]")
    written.write(event="one", peer=PEER, reason="a")
    assert len(written.log.about(PEER, "one", 1, LONG_S)) == 1
    assert written.log.tail(3)[0].startswith("Traceback")
    assert written.log.tail(2)[0] == "[1, 2]"
