"""``troth profile`` and the page that teaches it: its snippets are applied, its commands run, and say what it shows."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.issuance import entries

from troth.app.init import Birth, initialise
from troth.app.profiles import built_in_profiles
from troth.authority.sizes import certificate_sizes
from troth.cli.main import main
from troth.cli.output import EXIT_CODES
from troth.clock import SystemClock
from troth.errors import Fault, Kind
from troth.keys.file import read_key
from troth.registry.profiles import get_profile
from troth.store.connect import connect
from troth.store.read import read
from troth.testing.authority import MemoryCabinet, TestAuthority
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.profile_text import parse_profile
from troth.x509.profiles import Purpose

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[3] / "docs" / "profiles.md").read_text()
FILES = dict(re.findall(r"^```toml file=(\S+)\n(.*?)^```$", PAGE, re.M | re.S))
CONSOLES = [
    (int(code or 0), text) for code, text in re.findall(r"^```console(?: exit=(\d+))?\n(.*?)^```$", PAGE, re.M | re.S)
]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAuthority]:
    """A whole home, and its authority in this process."""
    folder = tmp_path_factory.mktemp("parent") / "home"
    initialise(folder, Birth("home.example", "http://home.example:8080", None), {}, SystemClock())
    cabinet = MemoryCabinet()
    for path in folder.glob("*/*.key"):
        cabinet.keys[str(path.relative_to(folder))] = read_key(path, None)
    db = connect("sqlite:///data/troth.db", folder)
    with TestAuthority(folder, db=db, cabinet=cabinet) as authority:
        yield authority
    db.dispose()


@pytest.fixture(autouse=True)
def in_home(authority: TestAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROTH_HOME", str(authority.folder))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)


class Run:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = self._capsys.readouterr()
        code = ended.value.code or 0
        assert isinstance(code, int)
        return code, said.out, said.err

    def json(self, *words: str) -> object:
        code, out, err = self(*words, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


def test_no_block_of_the_page_is_left_out() -> None:
    assert PAGE.count("```") == 2 * (len(FILES) + len(CONSOLES))


def test_the_page_shows_what_commands_say(run: Run) -> None:
    for code, text in CONSOLES:
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            command, *shown = part.rstrip("\n").split("\n")
            program, *words = shlex.split(command)
            assert program == "troth"
            ended, out, err = run(*words)
            assert ([line.rstrip() for line in (out + err).splitlines()], ended) == (shown, code), command


def test_the_page_names_every_key_that_there_is() -> None:
    rows = re.findall(r"^\| `(?:\[(\w+)\] )?(\w+)` \|", PAGE, re.M)
    unknown = "not_known = 1\n"
    server, issuing = built_in_profiles()["server"], built_in_profiles()["issuing-servers"]
    known = {
        "": _known(unknown + server) - {"san", "ca"},
        "san": _known(server.replace("[san]\n", f"[san]\n{unknown}")),
        "ca": _known(issuing.replace("[ca]\n", f"[ca]\n{unknown}")),
    }
    assert set(rows) == {(table, key) for table, keys in known.items() for key in keys}


def _known(text: str) -> set[str]:
    with pytest.raises(Fault) as caught:
        parse_profile(text)
    return set((caught.value.hint or "").removeprefix("the keys here are ").split(", "))


def test_the_page_gives_the_sizes_that_there_are(authority: TestAuthority) -> None:
    profile = parse_profile(built_in_profiles()["device"])
    issuer = authority.hierarchy.issuing[Purpose.DEVICES]
    sizes = certificate_sizes(
        profile, issuer, site="home.example", public_url="http://home.example:8080", now=authority.clock.now()
    )
    table = dict(re.findall(r"^\| ([A-Z][\w-]+) \| (\d+) \|", PAGE, re.M))
    assert {KeyAlgorithm(key): int(octets) for key, octets in table.items()} == {
        each.algorithm: each.octets for each in sizes
    }
    real = authority.device("thermostat-1").certificate
    assert 0 <= sizes[0].octets - len(real.public_bytes(Encoding.DER)) <= 4


def test_what_is_shown_can_be_applied_again(run: Run) -> None:
    run("profile", "apply", "camera.toml")
    code, text, _ = run("profile", "show", "camera", "--toml")
    assert (code, text) == (0, FILES["camera.toml"])
    Path("shown.toml").write_text(text)
    assert run("profile", "apply", "shown.toml")[1] == "profile camera is so\n"
    Path("shown.toml").write_text(text.replace('"30d"', '"60d"'))
    assert run.json("profile", "apply", "shown.toml")["changed"] is True  # type: ignore[index]
    shown = run.json("profile", "show", "camera")
    assert (shown["validity"], shown["renew_before"], shown["version"]) == ("60d", "10d", 2)  # type: ignore[index]
    assert run("profile", "delete", "camera")[0] == 0


def test_changes_are_journaled_with_their_reason(run: Run, authority: TestAuthority) -> None:
    run("profile", "apply", "camera.toml", "--why", "a trial")
    run("profile", "delete", "camera", "--why", "the trial is over")
    applied, deleted = (entries(authority.db, f"profile.{done}")[-1] for done in ("applied", "deleted"))
    assert (applied.subject, applied.why) == ("camera", "a trial")
    assert (deleted.subject, deleted.why) == ("camera", "the trial is over")
    assert deleted.data["document"] == FILES["camera.toml"]


def test_a_built_in_profile_is_not_deleted(run: Run, authority: TestAuthority) -> None:
    code, _, err = run("profile", "delete", "device")
    assert code == EXIT_CODES[Kind.CONFLICT]
    assert "built in" in err
    with read(authority.db) as connection:
        assert get_profile(connection, "device").name == "device"


def test_a_profile_is_deleted_once_nothing_is_to_be_renewed_under_it(run: Run, authority: TestAuthority) -> None:
    run("profile", "apply", "camera.toml")
    authority.thing("camera-1")
    held = authority._issue("camera", Purpose.DEVICES, "camera-1", None, None, thing="camera-1")
    code, _, err = run("profile", "delete", "camera")
    assert code == EXIT_CODES[Kind.CONFLICT]
    assert held.certificate_id[:16] in err
    authority.revoke(held)
    assert run("profile", "delete", "camera")[0] == 0


@pytest.mark.parametrize("words", [("show", "none"), ("delete", "none")])
def test_a_profile_that_there_is_not(run: Run, words: tuple[str, ...]) -> None:
    code, _, err = run("profile", *words)
    assert code == EXIT_CODES[Kind.NOT_FOUND]
    assert "troth profile list" in err


def test_an_issuer_that_there_is_not_yet_is_told(run: Run) -> None:
    Path("camera.toml").write_text(f'issuer_name = "cameras-1"\n{FILES["camera.toml"]}')
    code, out, err = run("profile", "apply", "camera.toml")
    assert (code, out) == (0, "applied profile camera, version 1\n")
    assert "note: no certification authority signs for devices under the name 'cameras-1'" in err
    assert run("profile", "delete", "camera")[0] == 0
