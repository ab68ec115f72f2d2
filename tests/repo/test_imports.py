"""The import contracts cover every room that exists: a new room cannot slip past them."""

import configparser
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "troth"


def contracts() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "importlinter.ini")
    return parser


def rooms() -> set[str]:
    found = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    assert len(found) > 5, "the rooms were not found"
    return found


def listed(parser: configparser.ConfigParser, contract: str, key: str) -> set[str]:
    return set(parser[f"importlinter:contract:{contract}"][key].split())


def test_every_room_stands_on_a_floor() -> None:
    floors = contracts()["importlinter:contract:floors"]["layers"]
    placed = floors.replace("|", " ").replace("\n", " ").split()
    assert rooms() <= set(placed), "take the parentheses off a room when it is built"


def test_every_room_but_tls_is_kept_from_ssl() -> None:
    kept = listed(contracts(), "ssl", "source_modules")
    expected = {f"troth.{room}" for room in rooms() - {"tls", "testing"}}
    assert expected <= kept


def test_every_server_room_is_kept_from_devices() -> None:
    barred = listed(contracts(), "device", "forbidden_modules")
    server = {"store", "journal", "registry", "authority", "enrollment", "gateway", "web", "app"}
    assert {f"troth.{room}" for room in server & rooms()} <= barred


def test_every_room_with_tables_keeps_them() -> None:
    parser = contracts()
    for path in SOURCE.glob("*/tables.py"):
        room = path.parent.name
        assert listed(parser, f"tables-{room}", "protected_modules") == {f"troth.{room}.tables"}
        assert listed(parser, f"tables-{room}", "allowed_importers") == {f"troth.{room}"}
