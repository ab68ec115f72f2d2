"""``troth thing import``: many things at once, with their policies and certificates, from a list and a template."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from troth.app.cabinet import home_cabinet
from troth.app.issuing import Desk
from troth.authority.bulk import Issuance
from troth.authority.issue import Wanted
from troth.cli.output import EXIT_CODES, answer, say
from troth.cli.passphrase import PassphraseFileOption, read_passphrase
from troth.cli.server import HOME, HomeOption, JsonOption, Opened, WhyOption, opened
from troth.enrollment.bulk import LINES_PER_CHANGE, Line, Made, Registering, read_lines
from troth.enrollment.templates import get_template
from troth.errors import Fault, Kind
from troth.registry.certificates import CertificateRow
from troth.store.read import read
from troth.x509.profiles import Purpose

STDIN: Final = "-"


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A JSON object of parameters in each line; - is stdin.")],
    template: Annotated[str, typer.Option("--template", metavar="T", help="The template, of the type bulk.")],
    passphrase_file: PassphraseFileOption = None,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Make a thing of every line of a list, and tell what came of each.

    A line that cannot be used is told, and stops no other. What a line has made is found again: a run that was cut off
    is finished by giving the list once more.
    """
    passphrase = read_passphrase(passphrase_file)
    with opened(home, passphrase) as here, _list(file) as (lines, count):
        with read(here.db) as connection:
            row = get_template(connection, template)
        registering = Registering(here.db, here.clock, here.actor, why, row, here.settings.limits.resolve())
        desk = Desk(here.home, here.settings, here.db, here.clock, here.actor)
        issuance = _Late(desk, here, passphrase)
        with _progress() as progress:
            report = _Report(progress, as_json)
            task = progress.add_task("", total=count)
            while part := list(islice(lines, LINES_PER_CHANGE)):
                _take(part, registering, issuance, report)
                progress.advance(task, len(part))
    report.finish()


@dataclass
class _Late:
    """The way to certificates, reached when the first is wanted: a list without any needs no key."""

    desk: Desk
    here: Opened
    passphrase: bytes | None
    reached: Issuance | None = None

    def issue(self, wanted: list[Wanted]) -> list[CertificateRow | Fault]:
        """Return what came of all that is wanted, in order."""
        if self.reached is None:
            self.reached = self.desk.issuance(
                Purpose.DEVICES, lambda: home_cabinet(self.here.home, self.here.settings, self.passphrase)
            )
        return asyncio.run(_issue(self.reached, wanted))


async def _issue(issuance: Issuance, wanted: list[Wanted]) -> list[CertificateRow | Fault]:
    return [each.outcome async for answers in issuance.answers(wanted) for each in answers]


def _take(part: list[Line], registering: Registering, issuance: _Late, report: "_Report") -> None:
    outcomes = registering.register(part)
    wanted = [each.wanted for each in outcomes if isinstance(each, Made) and each.wanted is not None]
    issued = iter(issuance.issue(wanted) if wanted else [])
    for line, outcome in zip(part, outcomes, strict=True):
        if isinstance(outcome, Fault):
            report.refused(line.number, outcome)
            continue
        certificate = next(issued) if outcome.wanted is not None else None
        if isinstance(certificate, Fault):
            report.refused(line.number, certificate)
        else:
            report.made(line.number, outcome.thing, certificate)


@dataclass
class _Report:
    """Tells what came of each line as it comes, and of all of them at the end."""

    progress: Progress
    as_json: bool
    count: int = 0
    faults: list[Kind] = field(default_factory=list)

    def made(self, number: int, thing: str, certificate: CertificateRow | None) -> None:
        """A line has become a thing."""
        self.count += 1
        value: dict[str, object] = {"line": number, "thing": thing}
        text = f"line {number}: {thing}"
        if certificate is not None:
            pem = x509.load_der_x509_certificate(certificate.der).public_bytes(Encoding.PEM).decode()
            value |= {"certificate_id": certificate.certificate_id, "pem": pem}
            text += f" {certificate.certificate_id}"
        answer(value, text, as_json=self.as_json)

    def refused(self, number: int, fault: Fault) -> None:
        """Nothing, or not all, came of a line."""
        self.faults.append(fault.kind)
        if self.as_json:
            error = {"kind": fault.kind, "message": fault.message, "hint": fault.hint}
            answer({"line": number, "error": error}, "", as_json=True)
        self.progress.console.print(f"line {number}: {fault.message}", markup=False, highlight=False)

    def finish(self) -> None:
        """Say how many were made, and exit as the first fault wants it."""
        say(f"made {self.count:,} of {self.count + len(self.faults):,}")
        if self.faults:
            raise typer.Exit(EXIT_CODES[self.faults[0]])


def _progress() -> Progress:
    columns = (TextColumn("things"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True, soft_wrap=True), disable=not sys.stderr.isatty())


@contextmanager
def _list(source: str) -> Iterator[tuple[Iterator[Line], int | None]]:
    """Yield the lines, and how many there are where that can be told."""
    if source == STDIN:
        yield read_lines(sys.stdin), None
        return
    try:
        with Path(source).open("rb") as raw:
            count = sum(chunk.count(b"\n") for chunk in iter(lambda: raw.read(1 << 20), b""))
        with Path(source).open(encoding="utf-8") as text:
            yield read_lines(text), count
    except OSError as error:
        raise Fault(Kind.NOT_FOUND, f"the list {source} cannot be read", detail=str(error), hint=str(error)) from error
    except UnicodeDecodeError as error:
        raise Fault(Kind.MALFORMED, f"the list {source} is not UTF-8", detail=str(error)) from error
