"""The migrations make the very tables that the rooms work with, and a wrong schema is told, not used."""

import importlib
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

import troth
from troth.errors import Fault, Kind
from troth.store import migrate, revision
from troth.store.connect import Database, connect
from troth.store.read import read
from troth.store.schema import metadata
from troth.store.write import write

SOURCE = Path(troth.__file__).parent
TABLES_MODULES = sorted(f"troth.{path.parent.name}.tables" for path in SOURCE.glob("*/tables.py"))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return connect("sqlite:///new.db", tmp_path)
    return connect(request.getfixturevalue("postgresql_empty_url"), tmp_path)


def test_the_migrated_schema_is_the_rooms_own(db: Database) -> None:
    assert len(TABLES_MODULES) >= 4
    for module in TABLES_MODULES:
        importlib.import_module(module)
    with read(db) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        inspector = inspect(connection)
        for table in metadata.sorted_tables:
            # What Alembic does not compare: keys, references and the names of indexes.
            assert inspector.get_pk_constraint(table.name)["constrained_columns"] == [
                column.name for column in table.primary_key
            ]
            assert {
                index["name"] for index in inspector.get_indexes(table.name) if "duplicates_constraint" not in index
            } == {index.name for index in table.indexes}
            assert {
                (*key["constrained_columns"], key["referred_table"]) for key in inspector.get_foreign_keys(table.name)
            } == {(key.parent.name, key.column.table.name) for key in table.foreign_keys}


def test_the_known_revisions_are_those_that_are_there() -> None:
    config = Config()
    config.set_main_option("script_location", str(SOURCE / "store" / "migrations"))
    there = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(there)) == revision.REVISIONS


def test_upgrading_twice_changes_nothing(empty: Database) -> None:
    with pytest.raises(Fault):
        revision.check(empty)
    migrate.upgrade(empty)
    migrate.upgrade(empty)
    revision.check(empty)
    assert revision.current(empty) == "0001"
    empty.dispose()


def test_a_newer_schema_is_left_alone(db: Database) -> None:
    with write(db) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for use in (revision.check, migrate.upgrade):
        with pytest.raises(Fault) as caught:
            use(db)
        assert caught.value.kind is Kind.MISCONFIGURED
        assert "newer" in caught.value.message
    assert revision.current(db) == "9999"


def test_a_missing_schema_says_what_to_do(empty: Database) -> None:
    if empty.path is not None:
        empty.path.touch()
    assert revision.current(empty) is None
    with pytest.raises(Fault) as caught:
        revision.check(empty)
    assert caught.value.kind is Kind.MISCONFIGURED
    assert "[store] url" in (caught.value.hint or "")
    empty.dispose()
