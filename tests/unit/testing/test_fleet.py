"""A fleet's life: the same from the same seed; and every promise breaks where the room that keeps it is broken."""

import sqlite3
import sys
from base64 import b64encode
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from troth.keys.file import FileKey
from troth.keys.randomness import random_bytes
from troth.testing.clock import NOON
from troth.testing.fleet.accounts import examine
from troth.testing.fleet.cuts import Cuts, PowerCut, watch
from troth.testing.fleet.lives import lived
from troth.testing.fleet.watcher import Broken, Promise, Watcher, digest_of
from troth.testing.fleet.world import Plan

KEY = FileKey(ec.derive_private_key(0x1234567890ABCDEF << 180, ec.SECP256R1()))
SCALAR = (0x1234567890ABCDEF << 180).to_bytes(32, "big")


@pytest.mark.slow
def test_the_same_seed_leads_to_the_same_years() -> None:
    plan = Plan(seed=1, devices=3, years=1.5)
    first, second = lived(plan), lived(plan)
    assert first == second
    # It was worth living: all of it has happened.
    happened = {"renewals", "readings", "devices cut", "home died", "restarts", "rollovers", "stolen keys tried"}
    assert min(first.counts[each] for each in happened) > 0
    # And what it drew from was given back.
    assert random_bytes(16) != random_bytes(16)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [*range(1, 11), None])
def test_ten_years(seed: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    if seed is None:
        seed = SystemRandom().randrange(1_000_000)
    with capsys.disabled():
        sys.stdout.write(f"[seed {seed}] ")
        sys.stdout.flush()
    outcome = lived(Plan(seed))
    assert outcome.counts["renewals"] > 1000


def broken(plan: Plan) -> Promise:
    with pytest.raises(Broken) as caught:
        lived(plan)
    return caught.value.promise


@pytest.mark.slow
def test_who_does_not_renew_is_stranded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("troth.device.schedule.due_at", lambda life, hint: life.not_after.replace(year=2100))
    assert broken(Plan(seed=1, devices=2, years=2.0)) is Promise.STRANDED


@pytest.mark.slow
def test_an_admission_that_takes_what_is_superseded_lets_a_thief_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("troth.gateway.admission._objection", lambda known, now: None)
    assert broken(Plan(seed=2, devices=3, years=3.0)) is Promise.STALE_KEY


@pytest.mark.slow
def test_where_nothing_ends_what_came_before_certificates_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("troth.gateway.first_use.note_first_use", lambda db, clock, certificate_id: False)
    monkeypatch.setattr("troth.app.duties.sweep_unused", lambda change: False)
    # It would be found by a thief too, whom what came before lets in.
    monkeypatch.setattr("troth.testing.fleet.thefts.try_key", lambda *_args: None)
    assert broken(Plan(seed=1, devices=2, years=2.0)) is Promise.OVERLAP


@pytest.mark.slow
def test_two_devices_that_make_one_key_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("troth.device.slot_keys.generate", lambda algorithm: KEY)
    monkeypatch.setattr("troth.authority.drafting.take_keys", lambda change, keys: [None] * len(keys))
    assert broken(Plan(seed=1, devices=2, years=0.2)) is Promise.SHARED_KEY


@pytest.mark.slow
def test_a_device_that_sends_its_key_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("troth.device.est.render_body", lambda der: b"-----BEGIN PRIVATE KEY-----")
    assert broken(Plan(seed=1, devices=1, years=0.2)) is Promise.KEY_ON_WIRE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "promise"),
    [
        ("UPDATE journal_entries SET actor = 'nobody' WHERE number = 12", Promise.JOURNAL),
        ("DELETE FROM thing_principals", Promise.INVENTORY),
        ("UPDATE intents SET state = 'PREPARED', created_at = 0 WHERE method = 'token'", Promise.INVENTORY),
    ],
)
def test_books_that_were_cooked_are_found(monkeypatch: pytest.MonkeyPatch, statement: str, promise: Promise) -> None:

    def cooked(db: Any, *args: Any) -> int:
        with sqlite3.connect(db.path) as connection:
            connection.execute(statement)
        connection.close()
        return examine(db, *args)

    monkeypatch.setattr("troth.testing.fleet.world.examine", cooked)
    assert broken(Plan(seed=1, devices=1, years=0.15)) is promise


def test_a_key_of_two_things() -> None:
    watcher = Watcher()
    watcher.holds("a", KEY, NOON)
    watcher.holds("a", KEY, NOON)
    with pytest.raises(Broken) as caught:
        watcher.holds("b", KEY, NOON)
    assert caught.value.promise is Promise.SHARED_KEY
    with pytest.raises(Broken) as caught:
        watcher.let_in("b", "b", digest_of(KEY), NOON, "connection")
    assert caught.value.promise is Promise.SHARED_KEY


def test_a_key_that_was_let_go_of() -> None:
    watcher = Watcher()
    watcher.let_in("a", "a", digest_of(KEY), NOON, "connection")
    watcher.let_go("a", KEY, "removed")
    for caller in ("a", "thief"):
        with pytest.raises(Broken) as caught:
            watcher.let_in(caller, "a", digest_of(KEY), NOON, "renewal")
        assert caught.value.promise is Promise.STALE_KEY


@pytest.mark.parametrize("content", [SCALAR, SCALAR.hex().encode(), b"\r\n\r\n", b"-----BEGIN PRIVATE KEY-----"])
def test_a_key_on_the_wire(content: bytes) -> None:
    if content == b"\r\n\r\n":
        content += b64encode(b"x" + SCALAR)
    watcher = Watcher()
    watcher.holds("a", KEY, NOON)
    watcher.passed("a", b"GET / HTTP/1.1\r\n\r\n" + SCALAR[1:], NOON)
    with pytest.raises(Broken) as caught:
        watcher.passed("a", b"GET / HTTP/1.1" + content, NOON)
    assert caught.value.promise is Promise.KEY_ON_WIRE


def test_a_reading_that_is_left_out() -> None:
    watcher = Watcher()
    for number in (1, 2, 2, 1, 3):
        watcher.arrived("a", number, NOON)
    with pytest.raises(Broken) as caught:
        watcher.arrived("a", 5, NOON)
    assert caught.value.promise is Promise.LOST_READING
    watcher.forget_readings("a")
    watcher.arrived("a", 1, NOON)


def test_a_cut_leaves_a_disk_as_it_stood(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir(mode=0o700)
    (folder / "key").write_bytes(b"old")
    (folder / "current").symlink_to("key")
    cuts, hook = Cuts(tmp_path), watch()
    cuts.arm_device("a", 2)
    hook.seen = cuts.seen
    try:
        (folder / "first").write_bytes(b"kept")
        with pytest.raises(PowerCut):
            (folder / "second").write_bytes(b"never")
        (folder / "key").unlink()
    finally:
        hook.seen = None
    assert cuts.restore("a")
    assert not cuts.restore("a")
    assert sorted(each.name for each in folder.iterdir()) == ["current", "first", "key"]
    assert ((folder / "key").read_bytes(), (folder / "current").readlink()) == (b"old", Path("key"))
