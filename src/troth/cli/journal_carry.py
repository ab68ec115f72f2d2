"""What of the journal is carried away: ``troth journal export``, ``prove`` and ``anchor``."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from troth.cli.journal_offline import read_outside, tell
from troth.cli.output import answer
from troth.cli.server import HOME, HomeOption, JsonOption, opened
from troth.errors import Fault, Kind

OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write it to this file instead of stdout.")
]


def export(
    file: Annotated[Path, typer.Argument(help="Where to write it; - is stdout.")],
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Export the whole journal to one file that `troth journal verify --export` takes anywhere."""
    from troth.app.wiring.signer import read_verifier_key
    from troth.journal.reading import export as export_journal

    if str(file) == "-" and as_json:
        raise Fault(Kind.UNSUPPORTED, "--json and - do not go together", hint="give a file, or leave --json out")
    with opened(home) as here, written(file) as write:
        count = export_journal(here.db, read_verifier_key(here.home), write, tell)
    if str(file) != "-":
        answer({"file": str(file), "entries": count}, f"exported {count} entries to {file}", as_json=as_json)


def prove(
    entry: Annotated[int | None, typer.Argument(min=1, help="The entry's number.")] = None,
    since: Annotated[
        Path | None, typer.Option("--since", metavar="FILE", help="An older checkpoint that the log still begins with.")
    ] = None,
    out: OutOption = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Prove that an entry is in the log that was signed, or that the log still begins with an older checkpoint.

    `troth journal verify --proof` checks it anywhere, with the log's public key.
    """
    from troth.app.wiring.signer import read_verifier_key
    from troth.journal.proofs import prove_consistency, prove_inclusion
    from troth.store.read import read

    if (entry is None) == (since is None):
        raise Fault(Kind.MALFORMED, "say what to prove", hint="give an entry's number, or --since FILE")
    older = read_outside([since]) if since is not None else []
    if since is not None and len(older) != 1:
        raise Fault(Kind.MALFORMED, f"{since} has not one checkpoint", hint="give a file with a single one")
    with opened(home) as here, read(here.db) as connection:
        key = read_verifier_key(here.home)
        if entry is not None:
            proof = prove_inclusion(connection, entry, key)
        else:
            proof = prove_consistency(connection, older[0].signed, key)
    if out is not None:
        with written(out) as write:
            write(proof)
        answer({"file": str(out)}, f"wrote the proof to {out}", as_json=as_json)
    else:
        answer({"proof": proof.decode()}, proof.decode().rstrip("\n"), as_json=as_json)


def anchor(
    send: Annotated[bool, typer.Option("--send", help="Write the newest checkpoint to every place now.")] = False,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show the newest checkpoint and the places outside that it is written to.

    Keep a copy where nobody who can write here can write.
    """
    from troth.app.wiring.signer import anchors_of
    from troth.journal.anchors import put_newest
    from troth.journal.checkpoints import find_newest
    from troth.store.read import read

    with opened(home) as here:
        with read(here.db) as connection:
            newest = find_newest(connection)
        if newest is None:
            raise Fault(Kind.NOT_FOUND, "there is no checkpoint", hint="troth journal verify tells what is wrong")
        places: list[dict[str, object]] = []
        for place in anchors_of(here.home, here.settings):
            if send:
                put_newest(here.db, place)
            last = place.last()
            places.append({"anchor": place.name, "entries": None if last is None else last.checkpoint.size})
    note = newest.note.decode()
    value = {"checkpoint": note, "entries": newest.checkpoint.size, "anchors": places, "sent": send}
    lines = [f"{'written to' if send else 'place'}: {each['anchor']}" for each in places]
    lines = lines or ["no place is set: see [journal] anchor_file and anchor_url"]
    answer(value, "\n".join([note, *lines]), as_json=as_json)


@contextmanager
def written(path: Path) -> Iterator[Callable[[bytes], object]]:
    """Yield what writes to a file, which is put in place when all is written; or to stdout, for ``-``."""
    if str(path) == "-":
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    beside = path.with_name(f".{path.name}.part")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file.write
        beside.replace(path)
    except OSError as error:
        raise Fault(Kind.MISCONFIGURED, f"{path} cannot be written: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)
