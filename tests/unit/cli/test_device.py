"""The commands of a device, against an EST server of the standard library and Mosquitto."""

import io
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from socket import create_server
from types import SimpleNamespace

import pytest
from tests.fixtures.est_door import ESTDoor, est_door
from tests.fixtures.mosquitto import Mosquitto, mosquitto
from tests.unit.device.home import THING, TOKEN, Home, Honest, make_home

from troth.cli.main import main
from troth.cli.output import EXIT_CODES
from troth.errors import Kind
from troth.protocols.mqtt import SUBSCRIPTION_REFUSED, Connack, ConnackCode, Packet, Suback, render

Run = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def door(home: Home) -> Iterator[ESTDoor]:
    with est_door(home.server.chain_file, home.server.key_file, Honest(home)) as door:
        yield door


@pytest.fixture(scope="module")
def broker(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    own = home.server
    folder = tmp_path_factory.mktemp("mosquitto")
    settings = "allow_anonymous true"
    with mosquitto(folder, anchors=home.root_file, chain=own.chain_file, key=own.key_file, settings=settings) as server:
        yield server


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run ``troth device`` with these words, in an identity folder of this test's own."""
    monkeypatch.setenv("TROTH_IDENTITY", str(tmp_path / "identity"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str | Path | int, stdin: bytes = b"") -> SimpleNamespace:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main(["device", *map(str, words)])
        said = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code, out=said.out, err=said.err)

    return run


@pytest.fixture
def enroll(run: Run, door: ESTDoor, home: Home, tmp_path: Path) -> Run:
    """Enroll, the MQTT door being at a given port."""

    def enroll(*more: str | Path, mqtt: int = 8883) -> SimpleNamespace:
        (tmp_path / "token").write_text(TOKEN + "\n")
        return run(
            *("enroll", "--endpoint", f"localhost:{door.port}", "--mqtt", f"localhost:{mqtt}", "--thing", THING),
            *("--trust", home.root_file, "--token-file", tmp_path / "token", *more),
        )

    return enroll


@pytest.fixture
def enrolled(enroll: Run, broker: Mosquitto) -> None:
    """An identity is there, and its home is Mosquitto."""
    assert enroll(mqtt=broker.port).code == 0


@contextmanager
def scripted(home: Home, *answers: Packet) -> Iterator[int]:
    """Run an MQTT server over TLS that says one of `answers` to each read, and then closes; give its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.server.chain_file, home.server.key_file)
    with create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            plain, _ = listener.accept()
            with context.wrap_socket(plain, server_side=True) as connection:
                for answer in answers:
                    connection.recv(65_536)
                    connection.sendall(render(answer))
                connection.recv(65_536)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_enrolling_is_told_in_words(enroll: Run, tmp_path: Path) -> None:
    told = enroll()
    assert told.code == 0
    assert told.out.startswith(f"enrolled {THING}, until ")
    assert str(tmp_path / "identity") in told.out
    assert told.err == ""


def test_enrolling_is_told_in_json(enroll: Run, run: Run) -> None:
    told = json.loads(enroll("--json").out)
    assert (told["thing"], told["key"], told["slot"], told["resumed"]) == (THING, "P-256", "a", False)
    assert json.loads(run("show", "--json").out) == {k: v for k, v in told.items() if k != "resumed"}


def test_the_kind_of_key_can_be_chosen(enroll: Run) -> None:
    assert json.loads(enroll("--json", "--key", "Ed25519").out)["key"] == "Ed25519"


def test_the_token_may_come_from_standard_input(run: Run, door: ESTDoor, home: Home) -> None:
    words = ["enroll", "--endpoint", f"localhost:{door.port}", "--thing", THING, "--trust", home.root_file]
    assert run(*words, "--token-file", "-", stdin=f"{TOKEN}\n".encode()).code == 0
    told = json.loads(run("show", "--json").out)
    assert (told["est"], told["mqtt"]) == (f"localhost:{door.port}", "localhost:8883")


def test_the_token_is_never_an_argument(run: Run) -> None:
    assert run("enroll", "--token", TOKEN).code == 2


@pytest.mark.parametrize("token", [b"", b"\n", b"x" * 200, b"x" * 300, b"a:b", b"\xff", b"two\nlines"])
def test_what_is_no_token_is_not_sent(run: Run, door: ESTDoor, home: Home, token: bytes) -> None:
    door.asked.clear()
    words = ["enroll", "--endpoint", f"localhost:{door.port}", "--thing", THING, "--trust", home.root_file]
    told = run(*words, "--token-file", "-", stdin=token)
    assert told.code in {EXIT_CODES[Kind.MALFORMED], EXIT_CODES[Kind.TOO_LARGE]}
    assert "hint" in told.err or "bytes on stdin" in told.err
    assert not door.asked


def test_a_refused_token_is_told_in_the_homes_words(run: Run, door: ESTDoor, home: Home) -> None:
    words = ["enroll", "--endpoint", f"localhost:{door.port}", "--thing", THING, "--trust", home.root_file]
    told = run(*words, "--token-file", "-", stdin=b"wrong")
    assert told.code == EXIT_CODES[Kind.UNAUTHENTICATED]
    assert "the token is not known" in told.err
    assert "wrong" not in told.err + told.out


def test_a_home_of_another_name_is_not_asked(enroll: Run, door: ESTDoor) -> None:
    door.asked.clear()
    told = enroll("--server-name", "bank.example")
    assert told.code == EXIT_CODES[Kind.UNAUTHENTICATED]
    assert "for another name" in told.err
    assert not door.asked


def test_an_enrollment_that_was_cut_short_is_shown_and_finished(
    enroll: Run, run: Run, door: ESTDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = door.replies
    assert enroll().code == 0
    monkeypatch.setattr(door, "replies", lambda asked: None)
    assert enroll().code == EXIT_CODES[Kind.UNAVAILABLE]
    assert "cut short" in run("show").out
    monkeypatch.setattr(door, "replies", honest)
    told = enroll("--json")
    assert json.loads(told.out)["resumed"] is True
    assert "cut short" in told.err
    assert "cut short" not in run("show").out


def test_who_has_not_enrolled_is_told_how(run: Run) -> None:
    for words in (["show"], ["publish", "--topic", "a", "--message", "b"], ["subscribe", "--filter", "a"]):
        told = run(*words)
        assert told.code == EXIT_CODES[Kind.NOT_FOUND]
        assert "troth device enroll" in told.err


def test_what_is_shown_is_readable(enroll: Run, run: Run, home: Home) -> None:
    enroll("--server-name", "home.example")
    shown = run("show").out
    assert f"thing         {THING}\n" in shown
    assert "server name   home.example\n" in shown
    assert "trusts        CN=home.example root CA 1\n" in shown
    assert "expired" not in shown


@pytest.mark.needs("mosquitto")
@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize("qos", [0, 1])
def test_what_is_published_is_received(run: Run, qos: int) -> None:
    topic = f"lab/{qos}"
    told = run("publish", "--topic", topic, "--message", "21.5 °C", "--retain", "--qos", qos)
    assert (told.code, told.out) == (0, f"published 8 bytes to {topic}\n")
    told = run("subscribe", "--filter", topic, "--count", "1", "--timeout", "20s")
    assert (told.code, told.out) == (0, f"{topic} 21.5 °C\n")
    assert f"subscribed to {topic}" in told.err


@pytest.mark.needs("mosquitto")
@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize(
    ("payload", "text", "fields"),
    [
        (b"on", "on", {"payload": "on"}),
        (b"\xff\x00", "\\xff\\x00", {"payload_base64": "/wA="}),
        (b"\x1b[2J\n", "\\x1b[2J\\n", {"payload": "\x1b[2J\n"}),
    ],
)
def test_a_payload_is_shown_on_one_line_and_whole_in_json(
    run: Run, tmp_path: Path, payload: bytes, text: str, fields: dict[str, str]
) -> None:
    (tmp_path / "payload").write_bytes(payload)
    assert run("publish", "--topic", "lab/bytes", "--file", tmp_path / "payload", "--retain").code == 0
    words = ["subscribe", "--filter", "lab/bytes", "--count", "1", "--timeout", "20s"]
    assert run(*words).out == f"lab/bytes {text}\n"
    told = json.loads(run(*words, "--json").out)
    assert datetime.fromisoformat(told.pop("received")).tzinfo is not None
    assert told == {"topic": "lab/bytes", "qos": 1, "retain": True, **fields}


@pytest.mark.needs("mosquitto")
@pytest.mark.usefixtures("enrolled")
def test_a_message_may_come_from_standard_input(run: Run) -> None:
    told = run("publish", "--topic", "lab/pipe", "--file", "-", "--json", stdin=b"piped")
    assert json.loads(told.out) == {"topic": "lab/pipe", "bytes": 5, "qos": 1, "retain": False}


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
@pytest.mark.usefixtures("enrolled")
def test_too_few_messages_are_a_fault_and_silence_alone_is_none(run: Run) -> None:
    told = run("subscribe", "--filter", "lab/silence", "--count", "1", "--timeout", "1s")
    assert told.code == EXIT_CODES[Kind.UNAVAILABLE]
    assert "0 of 1 messages came within 1s" in told.err
    assert run("subscribe", "--filter", "lab/silence", "--timeout", "1s").code == 0


@pytest.mark.parametrize("words", [[], ["--message", "a", "--file", "b"]])
def test_a_message_is_given_in_one_way(run: Run, words: list[str]) -> None:
    told = run("publish", "--topic", "a", *words)
    assert told.code == EXIT_CODES[Kind.MALFORMED]
    assert "either --message TEXT or --file FILE" in told.err


@pytest.mark.parametrize("qos", [0, 1])
def test_being_thrown_out_for_a_message_is_told_as_that(enroll: Run, run: Run, home: Home, qos: int) -> None:
    with scripted(home, Connack(ConnackCode.ACCEPTED)) as port:
        enroll(mqtt=port)
        told = run("publish", "--topic", "lab/a", "--message", "x", "--qos", qos)
    assert told.code == EXIT_CODES[Kind.FORBIDDEN]
    assert "closed the connection when this device was to publish to 'lab/a'" in told.err
    assert "decision list --denied" in told.err


def test_a_refused_connection_is_told(enroll: Run, run: Run, home: Home) -> None:
    with scripted(home, Connack(ConnackCode.NOT_AUTHORIZED)) as port:
        enroll(mqtt=port)
        told = run("publish", "--topic", "lab/a", "--message", "x", "--json")
    assert told.code == EXIT_CODES[Kind.FORBIDDEN]
    assert json.loads(told.out)["error"]["kind"] == "forbidden"


@pytest.mark.slow
def test_filters_that_are_refused_are_named(enroll: Run, run: Run, home: Home) -> None:
    with scripted(home, Connack(ConnackCode.ACCEPTED), Suback(1, (SUBSCRIPTION_REFUSED, 1))) as port:
        enroll(mqtt=port)
        told = run("subscribe", "--filter", "#", "--filter", "lab/a", "--timeout", "1s")
    assert "refused: #\nsubscribed to lab/a\n" in told.err
    with scripted(home, Connack(ConnackCode.ACCEPTED), Suback(1, (SUBSCRIPTION_REFUSED,))) as port:
        enroll(mqtt=port)
        told = run("subscribe", "--filter", "#")
    assert told.code == EXIT_CODES[Kind.FORBIDDEN]
    assert "does not let this device subscribe to #" in told.err


def test_help_says_what_each_command_does(run: Run) -> None:
    told = run("--help")
    assert told.code == 0
    for word in ("enroll", "publish", "subscribe", "renew", "run", "show", "trust"):
        assert word in told.out


def test_readings_are_queued_and_shown(enroll: Run, run: Run) -> None:
    enroll()
    assert json.loads(run("show", "--json").out)["queue"] == {"waiting": 0, "set_aside": 0, "last": 0}
    told = run("publish", "--queue", "--topic", "lab/a", "--message", "21.5")
    assert (told.code, told.out) == (0, "queued 4 bytes to lab/a as number 1\n")
    told = run("publish", "--queue", "--lines", "--topic", "lab/a", "--json", stdin=b"one\n\nlast")
    assert [json.loads(line)["bytes"] for line in told.out.splitlines()] == [3, 0, 4]
    assert json.loads(run("show", "--json").out)["queue"] == {"waiting": 4, "set_aside": 0, "last": 4}
    assert "queue         4 waiting, 0 set aside, 4 so far\n" in run("show").out


def test_lines_are_for_the_queue(enroll: Run, run: Run) -> None:
    enroll()
    told = run("publish", "--lines", "--topic", "lab/a", stdin=b"one\n")
    assert told.code == EXIT_CODES[Kind.MALFORMED]
    assert "add --queue" in told.err


def test_slots_are_shown(enroll: Run, run: Run) -> None:
    enroll()
    assert json.loads(run("show", "--json").out)["slots"] == {"a": "in use", "b": "empty"}
    enroll()
    assert "slots         a previous, b in use\n" in run("show").out


def test_what_is_not_due_is_not_renewed(enroll: Run, run: Run) -> None:
    before = json.loads(enroll("--json").out)
    # This home does not say when: the device goes by its own ratio.
    told = run("renew", "--if-due", "--json")
    assert told.code == 0
    after = json.loads(told.out)
    assert (after["renewed"], after["certificate_id"]) == (False, before["certificate_id"])
    assert run("renew", "--if-due").out.startswith("not due until ")


def test_an_agent_needs_an_identity(run: Run) -> None:
    assert run("run").code == EXIT_CODES[Kind.NOT_FOUND]
