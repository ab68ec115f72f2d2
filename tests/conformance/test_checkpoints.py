"""The journal's tree and checkpoints on each database: what is stored proves what was signed, and no more is signed."""

import asyncio
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from tests.conformance.processes import writer
from tests.fixtures.databases import StepClock

from troth.errors import Fault, Kind
from troth.evidence.audit import Flaw, Witness
from troth.evidence.checkpoint import SignedCheckpoint, parse_checkpoint, verify_checkpoint
from troth.evidence.merkle import leaf_hash, verify_consistency, verify_inclusion
from troth.evidence.proof import (
    ConsistencyProof,
    InclusionProof,
    parse_proof,
    verify_consistency_proof,
    verify_inclusion_proof,
)
from troth.journal import checkpoints, tables
from troth.journal.change import CHANNEL, change
from troth.journal.checkpoints import Signer, examine, find_newest
from troth.journal.entries import head
from troth.journal.keeping import keep_signed
from troth.journal.proofs import prove_consistency, prove_inclusion
from troth.journal.reading import audit, export
from troth.journal.trees import consistency_path, frontier_at, inclusion_path
from troth.keys.file import FileKey, generate
from troth.store.connect import Database
from troth.store.read import read
from troth.store.watch import watch
from troth.store.write import write
from troth.x509.algorithms import KeyAlgorithm

ORIGIN = "home.example/journal"


@pytest.fixture
def key() -> FileKey:
    return generate(KeyAlgorithm.ED25519)


@pytest.fixture
def signer(db: Database, clock: StepClock, key: FileKey, tmp_path: Path) -> Signer:
    return Signer(db, clock, key, ORIGIN, tmp_path / "checkpoint")


def grow(db: Database, clock: StepClock, *counts: int) -> None:
    for count in counts:
        with change(db, clock, "test:tree") as changing:
            for number in range(count):
                changing.record("test.written", f"part-{number}", before="a", after="b")


def attack(db: Database, *statements: str) -> None:
    with write(db) as connection:
        for statement in statements:
            connection.execute(text(statement))


def quiet(_done: int, _of: int) -> None:
    """Hear nothing of the progress."""


def signed_by(signer: Signer) -> SignedCheckpoint:
    signed = signer.sign()
    assert signed is not None
    return signed


def test_what_is_stored_proves_every_entry_at_every_size(db: Database, clock: StepClock) -> None:
    grow(db, clock, 1, 1, 5, 2, 40, 1)
    with read(db) as connection:
        rows = connection.execute(tables.entries.select().order_by(tables.entries.c.number)).all()
        roots = [frontier_at(connection, size).root() for size in range(51)]
        for size in (1, 2, 7, 32, 49, 50):
            for number in (1, size // 2 + 1, size):
                path = inclusion_path(connection, number, size)
                verify_inclusion(rows[number - 1].nodes[:32], number - 1, size, path, roots[size])
            for first in (0, 1, 6, size):
                if first <= size:
                    proof = consistency_path(connection, first, size)
                    verify_consistency(first, roots[first], size, roots[size], proof)
        assert connection.execute(tables.head.select()).one()[1:] == (50, frontier_at(connection, 50).render())
        examine(connection, [])


def test_several_processes_grow_one_tree(db: Database, clock: StepClock, signer: Signer) -> None:
    signer.sign(first=True)
    with writer(db, changes=15, entries=3) as first, writer(db, changes=15, entries=2) as second:
        while None in (first.poll(), second.poll()):
            signer.sign()
            grow(db, clock, 1)
    signer.sign()
    report = audit(db, signer.verifier, [], quiet)
    assert report.findings == ()
    assert report.entries == report.signed > 75


def test_a_checkpoint_is_made_once_for_each_size(
    db: Database, clock: StepClock, signer: Signer, tmp_path: Path
) -> None:
    first = signer.sign(first=True)
    assert first is not None
    assert first.checkpoint.size == 0
    assert signer.sign() is None
    grow(db, clock, 3)
    second = signed_by(signer)
    assert verify_checkpoint(second, signer.verifier).size == 3
    assert signer.sign() is None
    with read(db) as connection:
        assert find_newest(connection) == second
    assert (tmp_path / "checkpoint").read_bytes() == second.note


def test_two_hosts_sign_one_history(
    db: Database, clock: StepClock, signer: Signer, key: FileKey, tmp_path: Path
) -> None:
    signer.sign(first=True)
    others = [Signer(db, clock, key, ORIGIN, tmp_path / f"other-{number}") for number in range(3)]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(10):
            grow(db, clock, 2)
            list(threads.map(lambda each: each.sign(), [signer, *others]))
    with read(db) as connection:
        notes = connection.scalars(tables.checkpoints.select().with_only_columns(tables.checkpoints.c.note)).all()
        assert find_newest(connection) is not None
        examine(connection, [parse_checkpoint(note).checkpoint for note in notes])
    assert max(parse_checkpoint(note).checkpoint.size for note in notes) == 20
    assert audit(db, signer.verifier, [], quiet).findings == ()


def test_a_host_that_is_behind_goes_on_with_what_another_signed(
    db: Database, clock: StepClock, signer: Signer, key: FileKey, tmp_path: Path
) -> None:
    signer.sign(first=True)
    grow(db, clock, 1)
    signer.sign()
    other = Signer(db, clock, key, ORIGIN, tmp_path / "other")
    grow(db, clock, 1)
    assert signed_by(other).checkpoint.size == 2
    assert signer.sign() is None
    grow(db, clock, 1)
    assert signed_by(signer).checkpoint.size == 3


ATTACKS: dict[str, tuple[str, ...]] = {
    "an entry since the last checkpoint was edited": (
        "UPDATE journal_entries SET body = (SELECT body FROM journal_entries WHERE number = 3) WHERE number = 8",
    ),
    "an entry since the last checkpoint is missing": ("DELETE FROM journal_entries WHERE number = 7",),
    "stored hashes before it were edited": (
        "UPDATE journal_entries SET nodes = (SELECT nodes FROM journal_entries WHERE number = 2) WHERE number = 4",
    ),
    "the end was cut off": (
        "DELETE FROM journal_entries WHERE number > 5",
        "UPDATE journal_head SET size = 5",
    ),
    "the head was edited": ("UPDATE journal_head SET size = 8",),
    "the checkpoints were taken away": ("DELETE FROM journal_checkpoints",),
    "the newest checkpoint was taken away": ("DELETE FROM journal_checkpoints WHERE size = 6",),
}


@pytest.mark.parametrize("statements", ATTACKS.values(), ids=ATTACKS)
def test_nothing_is_signed_that_does_not_continue_what_was(
    db: Database, clock: StepClock, signer: Signer, key: FileKey, tmp_path: Path, statements: tuple[str, ...]
) -> None:
    signer.sign(first=True)
    grow(db, clock, 4, 2)
    signer.sign()
    grow(db, clock, 3)
    attack(db, *statements)
    restarted = Signer(db, clock, key, ORIGIN, tmp_path / "checkpoint")
    for each in (signer, signer, restarted):
        with pytest.raises(Fault) as caught:
            each.sign()
        assert caught.value.kind is Kind.REJECTED
        assert "troth journal verify" in (caught.value.hint or "")
    assert audit(db, signer.verifier, [], quiet).findings or "checkpoints" in str(statements)


def test_an_entry_rewritten_with_all_hashes_since_is_not_signed(db: Database, clock: StepClock, signer: Signer) -> None:
    """All hashes fit; only what the entries after it commit to does not."""
    signer.sign(first=True)
    grow(db, clock, 5)
    signer.sign()
    grow(db, clock, 4)
    with write(db) as connection:
        frontier = frontier_at(connection, 6)
        rows = connection.execute(tables.entries.select().order_by(tables.entries.c.number)).all()
        for row in rows[6:]:
            body = row.body.replace(b"test:tree", b"test:eve_") if row.number == 7 else row.body
            own = tables.entries.c.number == row.number
            connection.execute(
                tables.entries.update().where(own).values(body=body, nodes=frontier.append(leaf_hash(body)))
            )
        connection.execute(tables.head.update().values(frontier=frontier.render()))
    with pytest.raises(Fault, match="does not continue"):
        signer.sign()


def test_the_same_without_an_attack_is_signed(db: Database, clock: StepClock, signer: Signer) -> None:
    signer.sign(first=True)
    grow(db, clock, 4, 2)
    signer.sign()
    grow(db, clock, 3)
    assert signed_by(signer).checkpoint.size == 9


def test_a_checkpoint_of_another_key_stops_the_signing(
    db: Database, clock: StepClock, signer: Signer, tmp_path: Path
) -> None:
    signer.sign(first=True)
    grow(db, clock, 1)
    other = Signer(db, clock, generate(KeyAlgorithm.ED25519), ORIGIN, tmp_path / "other")
    with pytest.raises(Fault) as caught:
        other.sign()
    assert caught.value.kind is Kind.REJECTED


def test_without_its_witness_only_the_database_is_believed(
    db: Database, clock: StepClock, signer: Signer, key: FileKey, tmp_path: Path
) -> None:
    """What the file in the home is for: a database that was set back is seen by it alone."""
    signer.sign(first=True)
    grow(db, clock, 2)
    signer.sign()
    kept = tmp_path / "kept"
    shutil.copy(tmp_path / "checkpoint", kept)
    attack(
        db,
        "DELETE FROM journal_entries",
        "DELETE FROM journal_checkpoints WHERE size > 0",
    )
    with write(db) as connection:
        connection.execute(tables.head.update().values(size=0, frontier=b""))
    grow(db, clock, 5)
    with pytest.raises(Fault):
        Signer(db, clock, key, ORIGIN, kept).sign()
    assert Signer(db, clock, key, ORIGIN, tmp_path / "none").sign() is not None


def test_old_checkpoints_go_first(
    db: Database, clock: StepClock, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINTS_KEPT_MAX", 3)
    signer.sign(first=True)
    for _ in range(6):
        grow(db, clock, 1)
        signer.sign()
    with read(db) as connection:
        assert sorted(connection.scalars(tables.checkpoints.select())) == [4, 5, 6]


def test_it_is_signed_soon_after_every_change(db: Database, clock: StepClock, signer: Signer) -> None:
    signer.sign(first=True)

    async def run() -> None:
        async with watch(db, CHANNEL, 0.01) as commits:
            keeping = asyncio.create_task(keep_signed(db, signer))
            try:
                async with asyncio.timeout(30):
                    for size in (2, 4):
                        await asyncio.to_thread(grow, db, clock, 2)
                        while await asyncio.to_thread(signed_size, db) < size:
                            await commits.wait()
            finally:
                keeping.cancel()

    asyncio.run(run())


def signed_size(db: Database) -> int:
    with read(db) as connection:
        newest = find_newest(connection)
    return 0 if newest is None else newest.checkpoint.size


def test_proofs_are_given_out_only_when_they_prove(db: Database, clock: StepClock, signer: Signer) -> None:
    signer.sign(first=True)
    grow(db, clock, 5)
    older = signed_by(signer)
    grow(db, clock, 4)
    signer.sign()
    grow(db, clock, 1)
    with read(db) as connection:
        inclusion = parse_proof(prove_inclusion(connection, 3, signer.verifier))
        assert isinstance(inclusion, InclusionProof)
        assert verify_inclusion_proof(inclusion, signer.verifier).number == 3
        consistency = parse_proof(prove_consistency(connection, older, signer.verifier))
        assert isinstance(consistency, ConsistencyProof)
        assert verify_consistency_proof(consistency, older, signer.verifier).size == 9
        for number in (10, 11):
            with pytest.raises(Fault) as caught:
                prove_inclusion(connection, number, signer.verifier)
            assert caught.value.kind is Kind.NOT_FOUND
    attack(
        db,
        "UPDATE journal_entries SET nodes = (SELECT nodes FROM journal_entries WHERE number = 1) WHERE number = 3",
        "UPDATE journal_entries SET nodes = (SELECT nodes FROM journal_entries WHERE number = 1) WHERE number = 8",
    )
    questions: list[Callable[[Connection], bytes]] = [
        lambda connection: prove_inclusion(connection, 4, signer.verifier),
        lambda connection: prove_consistency(connection, older, signer.verifier),
    ]
    with read(db) as connection:
        for ask in questions:
            with pytest.raises(Fault) as caught:
                ask(connection)
            assert caught.value.kind is Kind.REJECTED


def test_an_audit_finds_what_an_export_does_not_show(db: Database, clock: StepClock, signer: Signer) -> None:
    signer.sign(first=True)
    grow(db, clock, 6)
    signed = signed_by(signer)
    lines: list[bytes] = []
    assert export(db, signer.verifier, lines.append, quiet) == 6
    attack(db, "UPDATE journal_entries SET actor = 'operator:other' WHERE number = 4")
    attack(db, "UPDATE journal_entries SET at = at + 1 WHERE number = 5")
    attack(db, "UPDATE journal_head SET size = 5")
    again: list[bytes] = []
    export(db, signer.verifier, again.append, quiet)
    assert [line for line in again if line.startswith(b"entry")] == [
        line for line in lines if line.startswith(b"entry")
    ]
    witness = Witness(signed, kept_outside=True, source="kept")
    found = audit(db, signer.verifier, [witness], quiet).findings
    assert [(each.flaw, each.first) for each in found] == [
        (Flaw.COLUMNS_EDITED, 4),
        (Flaw.COLUMNS_EDITED, 5),
        (Flaw.HEAD_EDITED, 5),
    ]
    with read(db) as connection:
        assert head(connection) == 5


def test_a_rows_worth_of_another_type_is_audited_too(
    sqlite_db: Database, clock: StepClock, key: FileKey, tmp_path: Path
) -> None:
    """SQLite stores whatever it is given, whatever the column is said to be."""
    signer = Signer(sqlite_db, clock, key, ORIGIN, tmp_path / "checkpoint")
    signer.sign(first=True)
    grow(sqlite_db, clock, 6)
    signer.sign()
    attack(
        sqlite_db,
        "UPDATE journal_entries SET body = 'text', at = 'noon', nodes = 'some text that is not one hash at all....' "
        "WHERE number = 3",
        "UPDATE journal_head SET size = 'six', frontier = 'text'",
        "UPDATE journal_checkpoints SET note = 'text'",
    )
    found = {each.flaw for each in audit(sqlite_db, signer.verifier, [], quiet).findings}
    assert {Flaw.ENTRY_UNREADABLE, Flaw.HEAD_EDITED, Flaw.CHECKPOINT_FORGED, Flaw.ENTRY_REWRITTEN} <= found
