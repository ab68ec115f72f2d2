"""What ``troth ca`` commands share: the way to a home's keys, and files that are carried between machines."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from troth.app.cabinet import lacks_pin
from troth.app.ceremonies import Ceremonies, open_cabinet
from troth.cli.output import say
from troth.cli.passphrase import prompt_passphrase, prompt_pin, read_passphrase
from troth.cli.server import opened
from troth.errors import Fault, Kind
from troth.keys.files import PUBLIC, write_private
from troth.registry.issuers import Issuer
from troth.x509.certificates import render_chain

KeyUriOption = Annotated[
    str | None,
    typer.Option("--key", metavar="URI", help="Where to make its key: a pkcs11: URI; by default a file of its own."),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write the certificates to this file too, as PEM.")
]


@contextmanager
def at_work(home: Path, passphrase_file: str | None, why: str = "") -> Iterator[Ceremonies]:
    """Open a home with its keys for one ceremony; ask for the passphrase where one is needed and a person is there."""
    passphrase = read_passphrase(passphrase_file)
    with opened(home, passphrase) as here:
        pin = prompt_pin() if lacks_pin(here.home, here.settings) else None
        try:
            cabinet = open_cabinet(here.home, here.settings, here.db, passphrase, pin)
        except Fault as fault:
            if fault.kind is not Kind.BAD_KEY or passphrase is not None or not sys.stdin.isatty():
                raise
            cabinet = open_cabinet(here.home, here.settings, here.db, prompt_passphrase(confirm=False), pin)
        yield Ceremonies(here.home, here.settings, here.db, here.clock, cabinet, here.actor, why)


def hand_over(out: Path | None, certificates: Sequence[x509.Certificate]) -> None:
    """Write certificates to a file, where one is given; one that is there is replaced."""
    if out is not None:
        write_private(out, render_chain(list(certificates)), mode=PUBLIC, overwrite=True)
        say(f"wrote {len(certificates)} certificates to {out}")


def issuer_row(issuer: Issuer) -> dict[str, object]:
    """Return what a script needs of a CA."""
    certificate = issuer.certificate
    return {
        "name": issuer.name,
        "issuer_id": issuer.issuer_id,
        "line": issuer.line,
        "purpose": issuer.purpose.value,
        "generation": issuer.number,
        "state": issuer.state.value,
        "key_name": issuer.key_name or None,
        "parent_id": issuer.parent_id,
        "not_after": certificate.not_valid_after_utc,
    }
