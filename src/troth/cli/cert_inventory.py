"""``troth cert list``, ``show`` and ``export``: which certificates there are."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Final

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from troth.cli.output import answer, answer_table, say
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, Opened, duration, opened
from troth.errors import Fault, Kind
from troth.keys.files import write_private
from troth.registry import certificates
from troth.registry.certificates import CertificateRow, CertificateState
from troth.registry.foreign_issuers import find_foreign_issuer, list_foreign_issuers
from troth.registry.inventory import Search, all_certificates, list_certificates
from troth.registry.issuers import get_issuer_named, list_issuers
from troth.store.read import read

PROGRESS_ROWS: Final = 10_000

ThingOption = Annotated[str | None, typer.Option("--thing", help="Only those issued for this thing.")]
CaOption = Annotated[str | None, typer.Option("--ca", metavar="CA", help="Only those that this CA issued.")]
StateOption = Annotated[CertificateState | None, typer.Option("--state", help="Only those in this state.")]
ProfileOption = Annotated[str | None, typer.Option("--profile", help="Only those of this profile.")]
ExpiringOption = Annotated[
    str | None, typer.Option("--expiring", metavar="TIME", help="Only those that expire within it from now: 30d.")
]
ExpiredOption = Annotated[bool, typer.Option("--expired", help="Only those that have expired.")]


class Format(StrEnum):
    """How certificates are written to a file."""

    JSONL = "jsonl"
    """One JSON object a line, the certificate in it as PEM."""
    CSV = "csv"
    """One line each under a line of names, without the certificates themselves."""
    PEM = "pem"
    """The certificates alone."""


def list_(
    thing: ThingOption = None,
    ca: CaOption = None,
    state: StateOption = None,
    profile: ProfileOption = None,
    expiring: ExpiringOption = None,
    expired: ExpiredOption = False,
    after: Annotated[str | None, typer.Option("--after", help="Go on after the certificate with this id.")] = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List certificates."""
    with opened(home) as here, read(here.db) as connection:
        search = _search(here, connection, thing, ca, state, profile, expiring, expired=expired)
        found = list_certificates(connection, search, after=after, limit=limit)
    rows = [certificate_value(each) if as_json else _short(each) for each in found]
    answer_table(rows, ["id", "thing", "profile", "state", "not_after"], as_json=as_json, empty="no certificates")
    if len(found) == limit and not as_json:
        say(f"there may be more: --after {found[-1].certificate_id}")


def show(
    identity: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="The certificate's id (its SHA-256 fingerprint), or how it begins."),
    ] = None,
    serial: Annotated[str | None, typer.Option("--serial", help="Instead: its serial number in hex.")] = None,
    ca: Annotated[str | None, typer.Option("--ca", metavar="CA", help="With --serial: who issued it.")] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show a certificate, with its PEM."""
    if (identity is None) == (serial is None):
        raise Fault(Kind.MALFORMED, "say which certificate", hint="give its id, or --serial S")
    with opened(home) as here, read(here.db) as connection:
        if serial is None:
            found = certificates.get_certificate(connection, (identity or "").replace(":", ""))
        else:
            found = _with_serial(connection, serial, ca)
    row = certificate_value(found)
    lines = [*(f"{name:<15} {value}" for name, value in row.items() if value is not None), _pem(found).strip()]
    answer({**row, "pem": _pem(found)}, "\n".join(lines), as_json=as_json)


def export(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; - is stdout. Never written over.")],
    thing: ThingOption = None,
    ca: CaOption = None,
    state: StateOption = None,
    profile: ProfileOption = None,
    expiring: ExpiringOption = None,
    expired: ExpiredOption = False,
    form: Annotated[Format, typer.Option("--format", help="How each is written.")] = Format.JSONL,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Write all certificates, or those that meet the options, to a file; they are of one moment."""
    with opened(home) as here, read(here.db) as connection, _sink(out) as file:
        search = _search(here, connection, thing, ca, state, profile, expiring, expired=expired)
        count = 0
        write = _WRITERS[form](file)
        for count, each in enumerate(all_certificates(connection, search), start=1):
            write(each)
            if count % PROGRESS_ROWS == 0:
                say(f"{count} certificates")
    if str(out) != "-":
        answer({"file": str(out), "certificates": count}, f"wrote {count} certificates to {out}", as_json=as_json)


def certificate_value(certificate: CertificateRow) -> dict[str, object]:
    """Return a certificate as commands show it: everything but its bytes."""
    names = [field.name for field in fields(certificate) if field.name != "der"]
    return {name: getattr(certificate, name) for name in names}


def _short(certificate: CertificateRow) -> dict[str, object]:
    return {**certificate_value(certificate), "id": certificate.certificate_id[:16]}


def _search(
    here: Opened,
    connection: Connection,
    thing: str | None,
    ca: str | None,
    state: CertificateState | None,
    profile: str | None,
    expiring: str | None,
    *,
    expired: bool,
) -> Search:
    now = here.clock.now()
    if expired and expiring:
        raise Fault(Kind.MALFORMED, "--expired and --expiring cannot both hold", hint="give one of them")
    return Search(
        thing=thing,
        issuer_id=_issuer_id(connection, ca) if ca else None,
        state=state,
        profile=profile,
        expires_from=now if expiring else None,
        expires_before=now + duration(expiring) if expiring else now if expired else None,
    )


def _issuer_id(connection: Connection, ca: str) -> str:
    """Return the id of a CA of ours, or of a registered one of elsewhere."""
    foreign = find_foreign_issuer(connection, ca)
    return foreign.issuer_id if foreign is not None else get_issuer_named(connection, ca).issuer_id


def _with_serial(connection: Connection, serial: str, ca: str | None) -> CertificateRow:
    if ca is not None:
        issuers = [_issuer_id(connection, ca)]
    else:
        issuers = [each.issuer_id for each in list_issuers(connection)]
        issuers += [each.issuer_id for each in list_foreign_issuers(connection)]
    wanted = serial.replace(":", "").lower().lstrip("0")
    found = [certificates.find_by_serial(connection, issuer_id, wanted) for issuer_id in issuers]
    rows = [row for row in found if row is not None]
    if not rows:
        hint = "openssl x509 -serial -noout shows a certificate's"
        raise Fault(Kind.NOT_FOUND, f"no certificate has the serial number {serial[:64]!r}", hint=hint)
    if len(rows) > 1:
        raise Fault(Kind.CONFLICT, "several CAs have given this serial number", hint="say which with --ca CA")
    return rows[0]


def _pem(certificate: CertificateRow) -> str:
    return x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM).decode()


@contextmanager
def _sink(out: Path) -> Iterator[IO[str]]:
    if str(out) == "-":
        yield sys.stdout
        return
    write_private(out, b"", mode=0o644)
    # Until it is whole it goes by another name.
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(out)
    except BaseException:
        part.unlink(missing_ok=True)
        out.unlink()
        raise


_Write = Callable[[CertificateRow], object]


def _jsonl(file: IO[str]) -> _Write:
    def write(row: CertificateRow) -> None:
        value = {**certificate_value(row), "pem": _pem(row)}
        file.write(json.dumps(value, default=_text) + "\n")

    return write


def _csv(file: IO[str]) -> _Write:
    names = [field.name for field in fields(CertificateRow) if field.name != "der"]
    table = csv.writer(file)
    table.writerow(names)
    return lambda row: table.writerow([_text(getattr(row, name)) for name in names])


def _text(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


_WRITERS: Final[dict[Format, Callable[[IO[str]], _Write]]] = {
    Format.JSONL: _jsonl,
    Format.CSV: _csv,
    Format.PEM: lambda file: lambda row: file.write(_pem(row)),
}
