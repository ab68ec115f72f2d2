"""Checkpoints reach places outside: a file, an HTTPS address; one that fails holds nobody up and is tried again."""

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.fixtures.commands import command
from tests.fixtures.databases import StepClock
from tests.fixtures.platform import Platform, environment

from troth.errors import Fault, Kind
from troth.evidence.checkpoint import SignedCheckpoint, parse_checkpoints
from troth.journal import anchors, tables
from troth.journal.anchors import FileAnchor, WebhookAnchor, keep_anchored, put_newest
from troth.journal.change import change
from troth.journal.checkpoints import Signer
from troth.journal.trees import frontier_at
from troth.keys.file import generate
from troth.store.connect import Database
from troth.store.write import write
from troth.testing.authority import TestAuthority
from troth.x509.algorithms import KeyAlgorithm


class Log:
    """A journal that is signed after each change."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db = db
        self.clock = StepClock()
        self.signer = Signer(db, self.clock, generate(KeyAlgorithm.ED25519), "home/journal", folder / "checkpoint")
        self.signer.sign(first=True)

    def grow(self) -> bytes:
        """Make a change and return the note of the checkpoint that covers it."""
        with change(self.db, self.clock, "test:anchor") as changing:
            changing.record("test.written", "something")
        signed = self.signer.sign()
        assert signed is not None
        return signed.note


@pytest.fixture
def journal(sqlite_db: Database, tmp_path: Path) -> Log:
    return Log(sqlite_db, tmp_path)


def test_a_file_collects_checkpoints(journal: Log, tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchor")
    assert anchor.last() is None
    notes = []
    for _ in range(3):
        notes.append(journal.grow())
        for _ in range(2):
            assert put_newest(journal.db, anchor) is not None
        last = anchor.last()
        assert last is not None
        assert last.note == notes[-1]
    assert [each.note for each in parse_checkpoints((tmp_path / "anchor").read_bytes(), 10)] == notes


def test_a_file_that_remembers_more_is_not_written_over(journal: Log, tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchor")
    for _ in range(3):
        journal.grow()
    put_newest(journal.db, anchor)
    before = (tmp_path / "anchor").read_bytes()
    with write(journal.db) as connection:
        connection.execute(text("DELETE FROM journal_entries WHERE number = 3"))
        connection.execute(text("DELETE FROM journal_checkpoints WHERE size = 3"))
        frontier = frontier_at(connection, 2).render()
        connection.execute(tables.head.update().values(size=2, frontier=frontier))
    with pytest.raises(Fault, match="cut off") as caught:
        put_newest(journal.db, anchor)
    assert caught.value.kind is Kind.REJECTED
    assert (tmp_path / "anchor").read_bytes() == before


@pytest.mark.parametrize("content", [b"no checkpoint", b"\n\n\n", b"a\n\nb\n"])
def test_a_file_of_something_else_is_left_alone(journal: Log, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "anchor").write_bytes(content)
    anchor = FileAnchor(tmp_path / "anchor")
    if content.strip():
        with pytest.raises(Fault):
            put_newest(journal.db, anchor)
        assert (tmp_path / "anchor").read_bytes() == content
    else:
        put_newest(journal.db, anchor)


def test_a_place_that_is_not_there_is_named(journal: Log, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere" / "anchor", tmp_path):
        with pytest.raises(Fault) as caught:
            put_newest(journal.db, FileAnchor(path))
        assert caught.value.kind is Kind.UNAVAILABLE
        assert str(path) in caught.value.message


@contextmanager
def receiver(authority: TestAuthority, *answers: int) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the address of an HTTPS server that answers with these codes in turn, and what was posted to it."""
    held, left = authority.server("localhost"), list(answers)
    taken: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(left.pop(0) if left else 204)
            self.send_header("Location", "https://localhost/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(held.chain_file, held.key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"https://localhost:{server.server_address[1]}/hook?secret=x", taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_address_is_posted_to(journal: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "authority").mkdir()
    with TestAuthority(tmp_path / "authority", site="localhost") as authority:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.root_file))
        note = journal.grow()
        with receiver(authority, 204, 500, 302) as (url, taken):
            anchor = WebhookAnchor(url)
            assert put_newest(journal.db, anchor) is not None
            assert taken == [note]
            for _ in range(2):
                with pytest.raises(Fault) as caught:
                    put_newest(journal.db, anchor)
                assert caught.value.kind is Kind.UNAVAILABLE
                assert "secret" not in caught.value.message + anchor.name
            assert len(taken) == 3, "a redirect is not followed"
        with pytest.raises(Fault):
            put_newest(journal.db, anchor)


def test_an_address_of_another_ca_is_told_nothing(journal: Log, tmp_path: Path) -> None:
    (tmp_path / "authority").mkdir()
    with (
        TestAuthority(tmp_path / "authority", site="localhost") as authority,
        receiver(authority) as (url, taken),
    ):
        with pytest.raises(Fault) as caught:
            put_newest(journal.db, WebhookAnchor(url))
        assert caught.value.kind is Kind.UNAVAILABLE
        assert taken == []


class Fickle:
    """A place that fails as often as it is told to, and remembers what it took."""

    name = "fickle"

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.taken: list[bytes] = []
        self.full = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def last(self) -> SignedCheckpoint | None:
        return None

    def put(self, note: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise Fault(Kind.UNAVAILABLE, "not now")
        self.taken.append(note)
        self._loop.call_soon_threadsafe(self.full.set)


def test_a_place_that_fails_is_tried_again_with_the_newest(journal: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchors, "RETRY_S_FIRST", 0.001)

    async def run() -> tuple[list[bytes], bytes]:
        place = Fickle(failures=3)
        for _ in range(3):
            newest = await asyncio.to_thread(journal.grow)
        keeping = asyncio.create_task(keep_anchored(journal.db, place, 0.01))
        async with asyncio.timeout(30):
            await place.full.wait()
        keeping.cancel()
        return place.taken, newest

    taken, newest = asyncio.run(run())
    assert taken == [newest]


def test_commands_show_and_send(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "home", extra={"TROTH_JOURNAL__ANCHOR_FILE": "../anchor"}).init()
    shown = platform.run("journal", "anchor")
    assert shown["anchors"] == [{"anchor": str(tmp_path / "home" / "../anchor"), "entries": None}]
    assert shown["checkpoint"].encode() == (platform.home / "data" / "checkpoint").read_bytes()
    sent = platform.run("journal", "anchor", "--send")
    assert sent["anchors"][0]["entries"] == sent["entries"]
    assert (tmp_path / "anchor").read_bytes() == shown["checkpoint"].encode() + b"\n"
    platform.run("thing", "create", "lamp")
    words = ["journal", "verify", "--checkpoint", str(tmp_path / "anchor"), "--json"]
    report = json.loads(command(words, environment(platform.home)).stdout)
    assert (report["valid"], report["signed_outside"]) == (True, sent["entries"])
