"""``troth evidence verify`` from files alone: what it says, and by which code it exits."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.evidence import NOON, Site, kept

from troth.cli.main import main

REJECTED = 15


class Verified:
    """What came of a command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def value(self) -> Any:
        return json.loads(self.out)


class Stranger:
    """Has a bundle, the root and the journal's key, and nothing else."""

    def __init__(self, site: Site, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.bundle, self.root, self.key = folder / "bundle", site.authority.root_file, folder / "journal.pub"
        self.key.write_text(site.key.render() + "\n")

    def verify(self, bundle: bytes, *words: str) -> Verified:
        self.bundle.write_bytes(bundle)
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(["evidence", "verify", str(self.bundle), "--root", str(self.root), *words])
        assert isinstance(caught.value.code, int)
        return Verified(caught.value.code, *self._capsys.readouterr())


@pytest.fixture
def stranger(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Stranger:
    return Stranger(site, tmp_path, capsys)


def test_a_stranger_is_convinced(site: Site, stranger: Stranger, tmp_path: Path) -> None:
    meter = site.authority.device("meter-7")
    lines = [site.line(meter, 1), site.line(meter, 2)]
    site.later(hours=1)
    site.publish()
    report = tmp_path / "report.jsonl"
    done = stranger.verify(site.bundle(lines), "--key", str(stranger.key), "--report", str(report), "--json")
    assert done.code == 0, done.err
    assert done.value["valid"] is True
    assert done.value["outcomes"] == {"verified": 2}
    assert (done.value["certificates"], done.value["missing"], done.value["notes"]) == (1, 0, [])
    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(each["reading"], each["outcome"], each["thing"]) for each in told] == [
        (1, "verified", "meter-7"),
        (2, "verified", "meter-7"),
    ]


def test_what_it_takes_on_trust_is_said(site: Site, stranger: Stranger) -> None:
    done = stranger.verify(site.bundle([site.line(site.authority.device("meter-7"), 1)]))
    assert done.code == 0
    assert "1 of 1 readings are proven" in done.out
    assert "the journal's key is the one that the bundle names itself" in done.out
    assert "rests on the journal's entries" in done.out


def test_the_whole_journal_leaves_nothing_untold(site: Site, stranger: Stranger, tmp_path: Path) -> None:
    meter = site.authority.device("meter-7")
    lines = [site.line(meter, 1)]
    site.later(hours=1)
    site.authority.device("meter-8")
    bundle, journal = site.bundle(lines), tmp_path / "journal.export"
    journal.write_bytes(site.export())
    done = stranger.verify(bundle, "--key", str(stranger.key), "--journal", str(journal), "--json")
    assert done.code == 0, done.err
    assert done.value["notes"] == []
    journal.write_bytes(site.export().replace(b"certificate.issued", b"certificate.isssed"))
    assert stranger.verify(bundle, "--key", str(stranger.key), "--journal", str(journal)).code == REJECTED


def test_what_is_wrong_is_named_and_counted(site: Site, stranger: Stranger) -> None:
    meter = site.authority.device("meter-7")
    first = site.reading(meter, 1)
    lines = [kept(first, NOON), kept(first, NOON), site.line(meter, 4), kept(first.replace(b"412", b"999"), NOON)]
    bundle = site.bundle(lines)
    done = stranger.verify(bundle)
    assert done.code == REJECTED
    assert "2 of 4 readings are proven" in done.out
    assert "missing: 2 readings were never received" in done.out
    for line in ("reading 2: replayed", "reading 3: missing", "reading 4: altered"):
        assert line in done.out
    value = stranger.verify(bundle, "--json").value
    assert value["valid"] is False
    assert [each["outcome"] for each in value["findings"]] == ["replayed", "missing", "altered"]


def test_a_bundle_that_does_not_hold_is_refused_whole(site: Site, stranger: Stranger) -> None:
    bundle = site.bundle([site.line(site.authority.device("meter-7"), 1)])
    done = stranger.verify(bundle.replace(b"home/meter-7/power", b"home/meter-8/power"))
    assert done.code == REJECTED
    assert "not as it was when it was made" in done.err
    done = stranger.verify(b"something else\n")
    assert done.code != 0
    assert "line 1 of the bundle cannot be read" in done.err
    stranger.root.write_bytes(b"no certificate")
    assert stranger.verify(bundle).code != 0


def test_files_that_are_not_there_are_named(
    site: Site, stranger: Stranger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["evidence", "verify", str(tmp_path / "none"), "--root", str(stranger.root)])
    assert caught.value.code != 0
    assert "none cannot be read" in capsys.readouterr().err
    bundle = site.bundle([site.line(site.authority.device("meter-7"), 1)])
    done = stranger.verify(bundle, "--report", str(tmp_path / "no" / "folder"))
    assert done.code != 0
    assert "cannot be written" in done.err


@pytest.mark.slow
def test_it_needs_the_base_install_only(site: Site, stranger: Stranger) -> None:
    """Nothing of the server is loaded: neither our rooms nor the packages that only they need."""
    stranger.bundle.write_bytes(site.bundle([site.line(site.authority.device("meter-7"), 1)]))
    script = (
        "import sys; from troth.cli.evidence_verify import verify; from pathlib import Path;"
        "verify(Path(sys.argv[1]), Path(sys.argv[2]));"
        "banned = {'sqlalchemy', 'alembic', 'starlette', 'uvicorn', 'OpenSSL', 'cwt', 'cbor2', 'troth.store'};"
        "print(sorted(banned & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", script, str(stranger.bundle), str(stranger.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
