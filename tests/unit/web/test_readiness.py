from pathlib import Path

import pytest
from sqlalchemy import text

from troth.authority.bell import hang
from troth.errors import Fault, Kind
from troth.store.connect import Database
from troth.store.write import write
from troth.web.readiness import look


def test_all_is_well(sqlite_db: Database, tmp_path: Path) -> None:
    with hang(tmp_path / "bell"):
        assert look(sqlite_db, tmp_path / "bell") == {"database": "ok", "schema": "ok", "authority": "ok"}


def test_an_authority_that_is_gone_is_seen(sqlite_db: Database, tmp_path: Path) -> None:
    assert look(sqlite_db, tmp_path / "bell")["authority"] == "silent"
    assert look(sqlite_db, None)["authority"] == "elsewhere"


def test_an_old_schema_is_seen(sqlite_db: Database) -> None:
    with write(sqlite_db) as connection:
        connection.execute(text("DELETE FROM alembic_version"))
    assert look(sqlite_db, None)["schema"] == "outdated"


def test_a_database_that_is_gone_is_a_fault(sqlite_db: Database) -> None:
    sqlite_db.dispose()
    assert sqlite_db.path is not None
    sqlite_db.path.unlink()
    with pytest.raises(Fault) as caught:
        look(sqlite_db, None)
    assert caught.value.kind is Kind.UNAVAILABLE
