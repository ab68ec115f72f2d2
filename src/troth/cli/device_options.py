"""What the commands of a device share: options, and how files and standard input are read."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from troth.errors import Fault, Kind
from troth.keys.files import read_bounded

IdentityOption = Annotated[
    Path,
    typer.Option(
        "--identity", envvar="TROTH_IDENTITY", help="The folder with this device's identity.", show_default=True
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout; everything else goes to stderr.")]
ClientIdOption = Annotated[str | None, typer.Option("--client-id", help="Another MQTT client id than the thing.")]
IDENTITY: Final = Path("identity")
STANDARD: Final = "-"


def read_file(file: str, bytes_max: int) -> bytes:
    """Return what is in a file, or on standard input for ``-``. Raises `Fault`: too large, and as `read_bounded`."""
    if file != STANDARD:
        return read_bounded(Path(file), bytes_max)
    data = sys.stdin.buffer.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise Fault(Kind.TOO_LARGE, f"there are more than {bytes_max} bytes on stdin")
    return data
