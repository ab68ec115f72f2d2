"""Where passphrases and PINs come from: a file, standard input or a prompt; never an argument."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from troth.errors import Fault, Kind
from troth.keys.files import read_bounded

PASSPHRASE_BYTES_MAX = 1024
VARIABLE = "TROTH_PASSPHRASE_FILE"

PassphraseFileOption = Annotated[
    str | None,
    typer.Option(
        "--passphrase-file",
        envvar=VARIABLE,
        metavar="FILE",
        help="File with the passphrase of the home's keys; - is stdin.",
    ),
]


def read_passphrase(file: str | None) -> bytes | None:
    """Return what is in `file` without the line's end, or None for None. Raises `Fault`."""
    if file is None:
        return None
    raw = (
        sys.stdin.buffer.read(PASSPHRASE_BYTES_MAX + 1)
        if file == "-"
        else read_bounded(Path(file), PASSPHRASE_BYTES_MAX)
    )
    passphrase = raw.rstrip(b"\r\n")
    if not passphrase or len(raw) > PASSPHRASE_BYTES_MAX:
        raise Fault(Kind.MALFORMED, f"a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes", hint="look into the file")
    return passphrase


def prompt_passphrase(*, confirm: bool) -> bytes:
    """Ask for a passphrase on the terminal."""
    text: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    return text.encode()


def prompt_pin() -> str | None:
    """Ask for the PIN of the tokens that hold CA keys, if a person is there; None otherwise."""
    if not sys.stdin.isatty():
        return None
    text: str = typer.prompt("PIN of the token", hide_input=True, err=True)
    return text
