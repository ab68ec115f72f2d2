"""``troth cert issue``: one certificate from a request in a file, or many from a list, through the one door."""

import asyncio
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from troth.app.cabinet import home_cabinet, lacks_pin
from troth.app.garbage import spare_what_is_loaded
from troth.app.issuing import Desk
from troth.authority.bulk import Issuance
from troth.authority.derive import read_profile
from troth.authority.issue import Wanted
from troth.cli.cert_inventory import certificate_value
from troth.cli.issue_lines import Line, read_lines, read_request, wish
from troth.cli.output import EXIT_CODES, answer, say
from troth.cli.passphrase import PassphraseFileOption, prompt_passphrase, prompt_pin, read_passphrase
from troth.cli.server import HOME, HomeOption, JsonOption, Opened, opened
from troth.errors import Fault, Kind
from troth.keys.files import PUBLIC, write_private
from troth.registry.certificates import CertificateRow
from troth.registry.profiles import get_profile
from troth.store.read import read
from troth.x509.profiles import Purpose

STDIN: Final = "-"


def issue(
    csr: Annotated[Path | None, typer.Argument(metavar="[CSR]", help="The request, PKCS#10 in PEM or DER.")] = None,
    profile: Annotated[str, typer.Option("--profile", help="The profile to issue under.")] = "device",
    thing: Annotated[str | None, typer.Option("--thing", help="The thing it is for.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Or the name: a server's, an operator's.")] = None,
    san: Annotated[
        list[str] | None, typer.Option("--san", metavar="NAME", help="A DNS name or address; may be repeated.")
    ] = None,
    many: Annotated[
        str | None,
        typer.Option(
            "--many", metavar="FILE", help="Instead: a list, FILE.csv or JSON lines; - is JSON lines on stdin."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", help="Write it to this file, or many to this folder."),
    ] = None,
    passphrase_file: PassphraseFileOption = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Issue a certificate for a request in a file, or many from a list.

    What the request asks for decides nothing but the key. The same request for the same thing finds the certificate
    that it has led to before, so that a run which was cut off can be given again. The authority that runs signs for
    devices; for servers and operators, and while none runs, the keys of this home do.
    """
    if (csr is None) == (many is None):
        raise Fault(Kind.MALFORMED, "say what to issue", hint="give the file of one request, or --many FILE")
    passphrase = read_passphrase(passphrase_file)
    with opened(home, passphrase) as here:
        issuance = _reach(here, profile, passphrase)
        if csr is not None:
            wanted = wish(read_request(csr), profile, thing, name, tuple(san or ()), {})
            _show_one(asyncio.run(_one(issuance, wanted)), out, as_json=as_json)
            return
        assert many is not None
        with _list(many) as (file, folder, count), _progress(count) as told:
            lines = read_lines(file, folder, is_csv=many.endswith(".csv"), profile=profile)
            report = _Report(out, told, as_json=as_json)
            asyncio.run(_all(issuance, lines, report))
    report.finish()


def _reach(here: Opened, profile: str, passphrase: bytes | None) -> Issuance:
    """Return the way to certificates of this profile; ask for the passphrase where a person is there to give it."""
    purpose = _purpose(here, profile)
    desk = Desk(here.home, here.settings, here.db, here.clock, here.actor)

    def pin() -> str | None:
        return prompt_pin() if lacks_pin(here.home, here.settings) else None

    try:
        return desk.issuance(purpose, lambda: home_cabinet(here.home, here.settings, passphrase, pin()))
    except Fault as fault:
        if fault.kind is not Kind.BAD_KEY or passphrase is not None or not sys.stdin.isatty():
            raise
        given = prompt_passphrase(confirm=False)
        return desk.issuance(purpose, lambda: home_cabinet(here.home, here.settings, given, pin()))


def _purpose(here: Opened, profile: str) -> Purpose:
    with read(here.db) as connection:
        rules = read_profile(get_profile(connection, profile).document)
    if rules.ca is not None or rules.issuer is None:
        hint = "CAs are made by troth ca create; signers of OCSP answers, by the gateways themselves"
        raise Fault(Kind.REJECTED, f"profile {profile!r} is not for certificates that are asked for", hint=hint)
    return rules.issuer


async def _one(issuance: Issuance, wanted: Wanted) -> CertificateRow:
    (answers,) = [each async for each in issuance.answers([wanted])]
    if isinstance(answers[0].outcome, Fault):
        raise answers[0].outcome
    return answers[0].outcome


def _show_one(row: CertificateRow, out: Path | None, *, as_json: bool) -> None:
    pem = _pem(row)
    if out is not None:
        write_private(out, pem, mode=PUBLIC, overwrite=True)
    text = pem.decode().strip() if out is None else f"wrote certificate {row.certificate_id} to {out}"
    answer({**certificate_value(row), "pem": pem.decode()}, text, as_json=as_json)


async def _all(issuance: Issuance, lines: Iterable[Line], report: "_Report") -> None:
    numbers: deque[int] = deque()
    spare_what_is_loaded()

    def wanted() -> Iterator[Wanted]:
        for line in lines:
            if isinstance(line.wanted, Fault):
                report.take(line.number, line.wanted)
            else:
                numbers.append(line.number)
                yield line.wanted

    async for answers in issuance.answers(wanted()):
        for each in answers:
            report.take(numbers.popleft(), each.outcome)


@dataclass
class _Report:
    """Tells what came of each line as it comes, and of all of them at the end."""

    out: Path | None
    told: "_Told"
    as_json: bool
    issued: int = 0
    faults: list[Kind] = field(default_factory=list)

    def take(self, number: int, outcome: CertificateRow | Fault) -> None:
        """Tell what came of the line `number`."""
        self.told.one_more()
        if isinstance(outcome, Fault):
            self.faults.append(outcome.kind)
            error = {"kind": outcome.kind, "message": outcome.message, "hint": outcome.hint}
            if self.as_json:
                answer({"line": number, "error": error}, "", as_json=True)
            self.told.say(f"line {number}: {outcome.message}")
            return
        self.issued += 1
        pem = _pem(outcome)
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            write_private(self.out / f"{outcome.certificate_id}.pem", pem, mode=PUBLIC, overwrite=True)
        text = f"line {number}: {outcome.certificate_id} {outcome.thing or outcome.subject}"
        answer({"line": number, **certificate_value(outcome), "pem": pem.decode()}, text, as_json=self.as_json)

    def finish(self) -> None:
        """Say how many were issued, and exit as the first fault wants it."""
        say(f"issued {self.issued:,} of {self.issued + len(self.faults):,}")
        if self.faults:
            raise typer.Exit(EXIT_CODES[self.faults[0]])


@dataclass(frozen=True)
class _Told:
    """A progress bar on standard error, and a way to say something above it."""

    progress: Progress
    task: TaskID

    def one_more(self) -> None:
        self.progress.advance(self.task)

    def say(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False)


@contextmanager
def _progress(count: int | None) -> Iterator[_Told]:
    columns = (TextColumn("issued"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True, soft_wrap=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        yield _Told(progress, progress.add_task("", total=count))


@contextmanager
def _list(source: str) -> Iterator[tuple[TextIO, Path, int | None]]:
    """Yield the list, the folder that its paths are relative to, and how many lines it has where that can be told."""
    if source == STDIN:
        yield sys.stdin, Path(), None
        return
    path = Path(source)
    try:
        with path.open("rb") as file:
            count = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
        with path.open(encoding="utf-8", newline="") as text:
            yield text, path.parent, count - path.suffix.count(".csv")
    except OSError as error:
        raise Fault(Kind.NOT_FOUND, f"the list {source} cannot be read", detail=str(error), hint=str(error)) from error
    except UnicodeDecodeError as error:
        raise Fault(Kind.MALFORMED, f"the list {source} is not UTF-8", detail=str(error)) from error


def _pem(row: CertificateRow) -> bytes:
    return x509.load_der_x509_certificate(row.der).public_bytes(Encoding.PEM)
