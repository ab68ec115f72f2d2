"""`troth init`: whole or not at all, once, and encrypted when a passphrase is given."""

import stat
from pathlib import Path

import pytest

from troth.app import init
from troth.app.cabinet import FileCabinet
from troth.app.home import Home, open_home
from troth.app.init import Birth, initialise
from troth.app.wiring.database import open_database
from troth.clock import SystemClock
from troth.errors import Fault, Kind
from troth.keys.file import read_key
from troth.keys.files import write_private
from troth.registry.issuers import list_issuers
from troth.store.read import read
from troth.x509.certificates import parse_chain
from troth.x509.profiles import Purpose

BIRTH = Birth("home.example", "http://home.example:8080", None)
CLOCK = SystemClock()


def make(path: Path, birth: Birth = BIRTH) -> bool:
    return initialise(path, birth, {}, CLOCK).created


def files_of(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("home") / "home"
    assert make(path)
    return path


def test_a_home_is_laid_out_as_documented(home: Path) -> None:
    names = {entry.name for entry in home.iterdir()}
    published = {"troth.toml", "root.pem", "journal.pub", "time.json"}
    assert names == published | {"root", "keys", "servers", "operator", "data"}
    assert {path.name for path in (home / "keys").iterdir()} == {
        "checkpoint.key",
        "time.key",
        *(f"{use}-1.key" for use in ("devices", "servers", "operators")),
    }


def test_keys_and_folders_are_for_their_owner_alone(home: Path) -> None:
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    keys = list(home.rglob("*.key"))
    assert len(keys) == 9
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert {stat.S_IMODE(key.parent.stat().st_mode) for key in keys} == {0o700}


def test_doing_it_again_changes_nothing(home: Path) -> None:
    before = files_of(home)
    assert not make(home)
    assert files_of(home) == before


def test_another_site_in_the_same_home_is_refused(home: Path) -> None:
    before = files_of(home)
    with pytest.raises(Fault, match="nothing was changed"):
        make(home, Birth("other.example", BIRTH.public_url, None))
    assert files_of(home) == before


def test_each_issuer_is_certified_for_one_use(home: Path) -> None:
    here, settings = open_home(home, {})
    db = open_database(here, settings)
    try:
        with read(db) as connection:
            issuers = list_issuers(connection)
    finally:
        db.dispose()
    # That for peers is made where it is wanted.
    assert {issuer.purpose for issuer in issuers} == set(Purpose) - {Purpose.PEERS}
    subjects = {issuer.certificate.subject.rfc4514_string() for issuer in issuers}
    assert len(subjects) == len(issuers)


@pytest.mark.slow
def test_a_passphrase_encrypts_every_key(tmp_path: Path) -> None:
    path = tmp_path / "home"
    make(path, Birth(BIRTH.name, BIRTH.public_url, b"correct horse"))
    assert all(b"ENCRYPTED" in key.read_bytes() for key in path.rglob("*.key"))
    with pytest.raises(Fault) as caught:
        read_key(path / "root" / "root.key", b"wrong horse")
    assert caught.value.kind is Kind.BAD_KEY
    assert FileCabinet(path, b"correct horse").open("keys/devices-1.key").algorithm == "P-256"


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(Fault, match="photos"):
        make(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["photos"]


def test_an_unwritable_place_is_one_clear_fault() -> None:
    with pytest.raises(Fault) as caught:
        make(Path("/proc/troth-home"))
    assert caught.value.kind is Kind.MISCONFIGURED


def test_what_is_left_of_the_staging_folder_does_not_begin_another_birth(home: Path) -> None:
    before = files_of(home)
    (home / init.STAGING).mkdir()
    assert not make(home)
    assert files_of(home) == before
    assert not (home / init.STAGING).exists()


class Cut(BaseException):
    """The power fails here."""


@pytest.mark.slow
@pytest.mark.parametrize("step", ["found", "mark", "first-move", "settings"])
def test_a_birth_cut_off_anywhere_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "home"
    with monkeypatch.context() as patched:
        cut_at(patched, step)
        with pytest.raises(Cut):
            make(path)
    assert not Home(path).exists or (path / init.STAGING).exists()
    # Once the settings are in place the home is whole, and nothing is made anew.
    assert make(path) == (step != "settings")
    assert not (path / init.STAGING).exists()
    here, settings = open_home(path, {})
    open_database(here, settings).dispose()
    chain = parse_chain((path / "servers" / "gateway.pem").read_bytes())
    root = parse_chain((path / "root.pem").read_bytes())[0]
    chain[-1].verify_directly_issued_by(root)


def cut_at(patched: pytest.MonkeyPatch, step: str) -> None:
    def cut(*arguments: object, **more: object) -> None:
        raise Cut

    rename = Path.rename

    def cut_rename(self: Path, target: Path) -> Path:
        if step == "first-move" and self.name == "keys":
            raise Cut
        moved = rename(self, target)
        if step == "settings" and self.name == init.MARKER:
            raise Cut
        return moved

    write = write_private

    def cut_write(path: Path, data: bytes, *, mode: int = 0o600, overwrite: bool = False) -> None:
        if path.name == init.COMPLETE:
            raise Cut
        write(path, data, mode=mode, overwrite=overwrite)

    match step:
        case "found":
            patched.setattr("troth.app.init.Doors.certify_missing", cut)
        case "mark":
            patched.setattr(init, "write_private", cut_write)
        case _:
            patched.setattr(Path, "rename", cut_rename)
