"""Whoever can write the database and the home tries to change history on a real home; the commands name what was done.

Each attack is verified where it stands and from an export, without and with a checkpoint that was kept elsewhere.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.commands import Done, command
from tests.fixtures.platform import Platform, environment, troth
from tests.integration.journal.attacker import Attacker

REJECTED, BAD_KEY = 15, 16


@dataclass(frozen=True)
class Estate:
    """A home with a history, and what its owner has put into a safe."""

    home: Path
    old: Path
    """A checkpoint from before the last changes."""
    new: Path
    """The newest one."""
    key: Path
    size: int

    def run(self, *words: str) -> Done:
        """Run a command on the home."""
        return command(words, environment(self.home))

    def verify(self, *words: str) -> dict[str, Any]:
        """Verify the home and an export of it, which must say the same, and return it."""
        export = self.home.parent / "export"
        done = self.run("journal", "export", str(export))
        assert done.returncode == 0, done
        found: list[dict[str, Any]] = []
        for source in ((), ("--export", str(export), "--key", str(self.key))):
            done = self.run("journal", "verify", "--json", *source, *words)
            report = json.loads(done.stdout)
            assert done.returncode == (0 if report["valid"] else REJECTED)
            found.append(report)
        assert names(found[0]) - HOME_ONLY == names(found[1])
        return found[0]


HOME_ONLY = {"columns-edited", "head-edited", "hash-edited"}
"""What an export does not show: it has neither columns nor a head nor the hashes of subtrees."""


def names(report: dict[str, Any]) -> set[str]:
    return {finding["flaw"] for finding in report["findings"]}


def places(report: dict[str, Any], flaw: str) -> list[tuple[int, int]]:
    return [(each["first"], each["last"]) for each in report["findings"] if each["flaw"] == flaw]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    folder = tmp_path_factory.mktemp("history")
    platform = Platform(folder / "home").init()
    for number in range(3):
        platform.run("thing", "create", f"lamp-{number}")
    old = shutil.copy(platform.home / "data" / "checkpoint", folder / "old")
    for number in range(3, 6):
        platform.run("thing", "create", f"lamp-{number}")
    new = shutil.copy(platform.home / "data" / "checkpoint", folder / "new")
    key = shutil.copy(platform.home / "journal.pub", folder / "journal.pub")
    size = platform.run("status")["journal"]["signed"]
    return Estate(platform.home, Path(old), Path(new), Path(key), size)


@pytest.fixture
def estate(history: Estate, tmp_path: Path) -> Estate:
    home = Path(shutil.copytree(history.home, tmp_path / "home"))
    return Estate(home, history.old, history.new, history.key, history.size)


def test_an_honest_history_holds(estate: Estate) -> None:
    for kept in (
        (),
        ("--checkpoint", str(estate.old)),
        ("--checkpoint", str(estate.old), "--checkpoint", str(estate.new)),
    ):
        report = estate.verify(*kept)
        assert (report["valid"], report["entries"], report["signed"]) == (True, estate.size, estate.size)
        assert report["signed_outside"] == {0: 0, 2: estate.size - 3, 4: estate.size}[len(kept)]
        assert bool(report["notes"]) == (not kept)
    assert json.loads(estate.run("status", "--json").stdout)["journal"] == {
        "entries": estate.size,
        "signed": estate.size,
        "problem": None,
    }


def test_one_row_edited_is_named_without_an_old_checkpoint(estate: Estate) -> None:
    for number in (1, 5, estate.size):
        Attacker(estate.home).edit(number)
    report = estate.verify()
    assert places(report, "row-edited") == [(1, 1), (5, 5), (estate.size, estate.size)]
    assert names(report) == {"row-edited"}


def test_a_row_edited_with_its_hash_is_named_without_an_old_checkpoint(estate: Estate) -> None:
    Attacker(estate.home).edit_with_hash(7)
    assert places(estate.verify(), "entry-rewritten") == [(7, 7)]


def test_a_tail_rehashed_is_named_without_an_old_checkpoint_unless_the_key_is_stolen(estate: Estate) -> None:
    attacker = Attacker(estate.home)
    attacker.rewrite(estate.size - 4)
    assert "tail-rewritten" in names(estate.verify())
    assert "not those that were signed" in json.loads(estate.run("status", "--json").stdout)["journal"]["problem"]
    attacker.sign()
    assert estate.verify()["valid"], "who has the key can do this, and nothing in the home tells"
    kept = estate.verify("--checkpoint", str(estate.old))
    assert places(kept, "tail-rewritten") == [(1, estate.size - 3)]


def test_a_tail_rehashed_after_the_old_checkpoint_is_named_by_a_newer_one(estate: Estate) -> None:
    attacker = Attacker(estate.home)
    attacker.rewrite(estate.size - 1)
    attacker.sign()
    both = estate.verify("--checkpoint", str(estate.old), "--checkpoint", str(estate.new))
    assert places(both, "tail-rewritten") == [(estate.size - 2, estate.size)]
    assert estate.verify("--checkpoint", str(estate.old))["valid"], "the older one still holds"


def test_a_history_cut_off_is_named_by_a_newer_checkpoint_only(estate: Estate) -> None:
    attacker = Attacker(estate.home)
    attacker.cut_off(estate.size - 3)
    assert estate.verify("--checkpoint", str(estate.old))["valid"], "it is a whole log, signed to its end"
    kept = estate.verify("--checkpoint", str(estate.new))
    assert places(kept, "truncated") == [(estate.size - 2, estate.size)]


def test_a_history_cut_off_is_named_at_once_where_a_checkpoint_was_left(estate: Estate) -> None:
    kept = (estate.home / "data" / "checkpoint").read_bytes()
    Attacker(estate.home).cut_off(estate.size - 3)
    (estate.home / "data" / "checkpoint").write_bytes(kept)
    done = estate.run("journal", "verify", "--json")
    assert (done.returncode, names(json.loads(done.stdout))) == (REJECTED, {"truncated"})
    assert "cut off" in json.loads(estate.run("status", "--json").stdout)["journal"]["problem"]


def test_no_command_signs_over_an_attack(estate: Estate) -> None:
    Attacker(estate.home).rewrite(estate.size - 4)
    done = estate.run("thing", "create", "lamp-9")
    assert done.returncode == 0
    assert "warning: what this changed is not signed in the journal: the journal is not what was signed" in done.stderr
    assert json.loads(estate.run("status", "--json").stdout)["journal"]["signed"] == estate.size


def test_a_replaced_key_is_seen_by_who_has_the_true_one(estate: Estate, tmp_path: Path) -> None:
    other = Platform(tmp_path / "other").init()
    attacker = Attacker(estate.home)
    attacker.rewrite(4)
    for file in ("keys/checkpoint.key", "journal.pub"):
        shutil.copy(other.home / file, estate.home / file)
    attacker.sign()
    assert json.loads(estate.run("journal", "verify", "--json").stdout)["valid"]
    found = json.loads(estate.run("journal", "verify", "--json", "--key", str(estate.key)).stdout)
    assert names(found) == {"checkpoint-forged", "unsigned"}


def test_what_a_person_is_told(estate: Estate) -> None:
    done = estate.run("journal", "verify", "--checkpoint", str(estate.old))
    assert done.stdout.splitlines() == [
        f"the journal holds: {estate.size} entries, signed up to entry {estate.size},"
        f" and up to entry {estate.size - 3} by a checkpoint kept elsewhere"
    ]
    Attacker(estate.home).edit(5)
    done = estate.run("journal", "verify")
    assert done.returncode == REJECTED
    assert done.stdout.splitlines()[:2] == [
        f"the journal does not hold: {estate.size} entries, signed up to entry {estate.size}",
        "  row-edited: entry 5 was edited: its bytes are not those of its stored hash",
    ]


def test_proofs_are_carried_away_and_verified(estate: Estate, tmp_path: Path) -> None:
    proof, consistency = tmp_path / "entry.tlog-proof", tmp_path / "consistency"
    number = str(estate.size - 1)
    assert estate.run("journal", "prove", number, "--out", str(proof)).returncode == 0
    assert estate.run("journal", "prove", "--since", str(estate.old), "--out", str(consistency)).returncode == 0
    shutil.rmtree(estate.home)
    key = ("--key", str(estate.key))
    done = estate.run("journal", "verify", "--proof", str(proof), *key, "--json")
    found = json.loads(done.stdout)
    assert (found["valid"], found["entry"], found["subject"]) == (True, estate.size - 1, "lamp-4")
    done = estate.run("journal", "verify", "--proof", str(consistency), *key, "--checkpoint", str(estate.old))
    assert (
        done.stdout == f"the log of {estate.size} entries begins with the {estate.size - 3} of the older checkpoint\n"
    )
    proof.write_bytes(proof.read_bytes().replace(b"index ", b"index 1"))
    done = estate.run("journal", "verify", "--proof", str(proof), *key)
    assert done.returncode == REJECTED
    assert done.stdout == ""


def test_what_an_encrypted_home_changes_is_signed_with_its_passphrase(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    platform = Platform(tmp_path / "home").init("--passphrase-file", str(secret))
    size = platform.run("status")["journal"]["signed"]
    without = command(["thing", "create", "lamp-1"], environment(platform.home))
    assert without.returncode == 0
    assert "the key is encrypted" in without.stderr or "encrypted and there is no passphrase" in without.stderr
    assert "TROTH_PASSPHRASE_FILE" in without.stderr
    assert platform.run("status")["journal"] == {"entries": size + 1, "signed": size, "problem": None}
    assert platform.run("journal", "verify")["valid"], "what is not signed yet is no flaw"
    extra = {"TROTH_PASSPHRASE_FILE": str(secret)}
    done = command(["thing", "create", "lamp-2"], environment(platform.home, extra))
    assert (done.returncode, done.stderr) == (0, "")
    assert platform.run("status")["journal"]["signed"] == size + 2


def test_looking_signs_nothing(estate: Estate) -> None:
    with Attacker(estate.home).sql() as sql:
        sql.execute("DELETE FROM journal_checkpoints WHERE size = ?", (estate.size,))
    (estate.home / "data" / "checkpoint").unlink()
    done = troth(estate.home, "thing", "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(estate.run("status", "--json").stdout)["journal"]["signed"] == estate.size - 1
