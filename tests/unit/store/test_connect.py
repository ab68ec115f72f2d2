import sqlite3
from pathlib import Path

import pytest

from troth.errors import Fault, Kind
from troth.store import migrate, revision
from troth.store.connect import Database, connect, open_sqlite
from troth.store.read import read


def test_a_relative_path_starts_at_the_home(tmp_path: Path) -> None:
    assert connect("sqlite:///data/troth.db", tmp_path).path == tmp_path / "data" / "troth.db"
    assert connect(f"sqlite:///{tmp_path}/x.db", Path("/elsewhere")).path == tmp_path / "x.db"


def test_postgresql_is_named_with_or_without_its_driver(tmp_path: Path) -> None:
    for url in ("postgresql+psycopg://me@localhost/fleet", "postgresql://me@localhost/fleet"):
        db = connect(url, tmp_path)
        assert (db.dialect, db.path, db.engine.driver) == ("postgresql", None, "psycopg")


@pytest.mark.parametrize(
    "url", ["", "troth.db", "sqlite://", "sqlite:///:memory:", "sqlite:///x.db?a=1", "mysql://h/d"]
)
def test_other_urls_are_refused_with_a_hint(url: str, tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        connect(url, tmp_path)
    assert caught.value.kind is Kind.MISCONFIGURED
    assert caught.value.hint


def test_a_commit_survives_a_power_cut_and_references_hold(sqlite_db: Database) -> None:
    with read(sqlite_db) as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


def test_reading_never_makes_a_database(tmp_path: Path) -> None:
    db = connect("sqlite:///troth.db", tmp_path)
    with pytest.raises(Fault) as caught, read(db):
        pass
    assert caught.value.kind is Kind.UNAVAILABLE
    assert caught.value.retry_after
    assert not (tmp_path / "troth.db").exists()


def test_a_damaged_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "troth.db").write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(Fault) as caught, read(connect("sqlite:///troth.db", tmp_path)):
        pass
    assert caught.value.kind is Kind.UNAVAILABLE


def test_a_path_with_signs_of_a_uri_is_a_path(tmp_path: Path) -> None:
    home = tmp_path / "home?mode=memory #1 100%"
    home.mkdir()
    db = connect("sqlite:///troth.db", home)
    migrate.upgrade(db)
    revision.check(db)
    db.dispose()
    assert (home / "troth.db").stat().st_mode & 0o777 == 0o600
    with pytest.raises(sqlite3.OperationalError):
        open_sqlite(home / "other.db")
