"""The commands on a home itself: ``init``, ``up``, ``status`` and ``demo``."""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from troth.app import init as birth
from troth.app import logs, supervisor
from troth.app.cabinet import lacks_pin
from troth.app.doors import SERVERS
from troth.app.home import Home, open_home
from troth.app.settings import Settings
from troth.app.status import describe
from troth.app.wiring.database import open_database
from troth.cli.output import answer, say
from troth.cli.passphrase import PassphraseFileOption, prompt_passphrase, prompt_pin, read_passphrase
from troth.cli.server import HOME, HomeOption, JsonOption, opened
from troth.clock import SystemClock
from troth.errors import Fault, Kind
from troth.keys.file import read_key, render_key
from troth.keys.files import read_bounded
from troth.limits import KEY_FILE_BYTES_MAX
from troth.x509.certificates import parse_certificate


def init(
    name: Annotated[str, typer.Option("--name", help="The site's name: it stands in the server certificates.")] = "",
    public_url: Annotated[
        str, typer.Option("--public-url", help="http://HOST[:PORT] of the public listener; written into certificates.")
    ] = "",
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase to encrypt the keys.")] = False,
    passphrase_file: PassphraseFileOption = None,
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="ROOT.pem", help="The root's certificate, whose key is on another machine."),
    ] = None,
    root_only: Annotated[
        bool, typer.Option("--root-only", help="Make the root and nothing below it: a machine that only signs.")
    ] = False,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Make a home: a CA hierarchy, keys, settings and database. Needs no network.

    Doing it again renews the certificates of the home's own doors where they near their end or their CA was rolled
    over, and changes nothing else. The root's key is in HOME/root: take it to a safe once this is done.
    """
    logs.configure("init", "console", level=logging.WARNING)
    if not Home(home.absolute()).exists:
        name = name or _ask("The site's name", "localhost", "--name")
        public_url = public_url or _ask("Its public URL", f"http://{name}:8080", "--public-url")
    secret = prompt_passphrase(confirm=True) if passphrase else read_passphrase(passphrase_file)
    if root is not None and root_only:
        raise Fault(
            Kind.MALFORMED, "a root is made here or elsewhere", hint="give --root FILE or --root-only, not both"
        )
    given = parse_certificate(read_bounded(root, KEY_FILE_BYTES_MAX)) if root is not None else None
    wanted = birth.Birth(name, public_url, secret, given, root_only)
    done = birth.initialise(home, wanted, os.environ, SystemClock())
    _, settings = open_home(home, os.environ)
    certified = list(done.certified)
    value = {
        "home": str(home.absolute()), "name": settings.site.name, "created": done.created, "certified": certified
    }  # fmt: skip
    answer(value, _init_text(home, settings.site.name, done), as_json=as_json)
    if done.created:
        say(_next_step(home, root_given=given is not None, root_only=root_only))


def up(
    passphrase_file: PassphraseFileOption = None,
    log: Annotated[
        str | None, typer.Option("--log", metavar="json|console", help="How to log; by default as stderr is.")
    ] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Run everything in this home: broker, authority, gateway, web. SIGTERM or Ctrl-C drains and stops all.

    Says on stdout when it is ready, and where it listens; logs to stderr.
    """
    style: logs.Format = "console" if (log or ("console" if sys.stderr.isatty() else "json")) == "console" else "json"
    logs.configure("supervisor", style)
    here, settings = open_home(home, os.environ)
    secrets = _secrets(here, settings, passphrase_file)
    open_database(here, settings).dispose()

    def told_ready(description: dict[str, object]) -> None:
        where = description["listen"]
        assert isinstance(where, dict)
        lines = ["ready", *(f"  {name:<10} {address}" for name, address in where.items())]
        answer({"ready": True, **description}, "\n".join(lines), as_json=as_json)

    asyncio.run(supervisor.run(here, settings, secrets, style=style, told_ready=told_ready))


def status(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Say what runs, where it listens, and how much there is."""
    with opened(home) as here:
        value = describe(here.home, here.db, here.clock.now())
    answer(value, _status_text(value), as_json=as_json)


def demo(
    report: Annotated[Path | None, typer.Option("--report", help="Write what was seen to this file, as JSON.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Play the story of mutual TLS with real parts, in under a minute: the honest come in, the impostors do not."""
    from troth.demo.play import play

    logs.configure("demo", "console", level=logging.WARNING)
    outcome = play(quiet=as_json)
    text = json.dumps(outcome, indent=1, ensure_ascii=False)
    if report is not None:
        report.write_text(text + "\n", encoding="utf-8")
    if as_json:
        answer(outcome, "", as_json=True)
    if not outcome["ok"]:
        raise typer.Exit(1)


def _secrets(home: Home, settings: Settings, passphrase_file: str | None) -> supervisor.Secrets:
    """Open the keys of the doors, asking for the passphrase where one is needed and a person is there."""
    passphrase = read_passphrase(passphrase_file)
    try:
        keys = _server_keys(home, passphrase)
    except Fault as fault:
        if fault.kind is not Kind.BAD_KEY:
            raise
        if passphrase is not None or not sys.stdin.isatty():
            hint = "give the passphrase with --passphrase-file FILE, or name the file in TROTH_PASSPHRASE_FILE"
            raise Fault(fault.kind, fault.message, detail=fault.detail, hint=hint) from fault
        passphrase = prompt_passphrase(confirm=False)
        keys = _server_keys(home, passphrase)
    pin = prompt_pin() if lacks_pin(home, settings) else None
    return supervisor.Secrets(passphrase.decode() if passphrase else None, keys, pin)


def _init_text(home: Path, site: str, done: birth.Initialised) -> str:
    if done.created:
        return f"made a home of {site} in {home}"
    what = f"certified {', '.join(done.certified)} anew" if done.certified else "nothing was changed"
    return f"{home} is a home already: {what}"


def _next_step(home: Path, *, root_given: bool, root_only: bool) -> str:
    if root_given:
        return f"ask for its CAs: troth ca request devices --home {home}; then servers, operators; docs/hierarchy.md"
    if root_only:
        return f"give the other machine {home}/root.pem; sign its requests: troth ca sign --home {home}"
    return f"give devices {home}/root.pem; take {home}/root to a safe; then: troth up --home {home}"


def _server_keys(home: Home, passphrase: bytes | None) -> dict[str, str]:
    missing = [server for server in SERVERS if not home.chain_of(server).exists()]
    if missing:
        raise Fault(
            Kind.MISCONFIGURED,
            f"this home has no certificate for its {' and '.join(missing)}",
            hint="have its CAs signed and imported (troth ca list), then: troth init",
        )
    return {
        server: render_key(read_key(home.servers / f"{server}.key", passphrase), None).decode() for server in SERVERS
    }


def _ask(what: str, default: str, option: str) -> str:
    if not sys.stdin.isatty():
        raise Fault(Kind.MALFORMED, f"{option} is missing", hint=f"give {option}, for example {option} {default}")
    answered: str = typer.prompt(what, default=default, err=True)
    return answered


def _status_text(value: dict[str, object]) -> str:
    listen, processes, counts = value["listen"], value["processes"], value["counts"]
    assert isinstance(listen, dict)
    assert isinstance(processes, list)
    assert isinstance(counts, dict)
    lines = [f"{value['site']}: {'running' if value['running'] else 'not running'}"]
    lines += [f"  {name:<10} {address}" for name, address in listen.items()]
    lines += [
        f"  {each['name']:<10} {each['state']}, pid {each['pid']}, restarts {each['restarts']}" for each in processes
    ]
    lines += [f"  {name:<22} {count}" for name, count in counts.items()]
    journal = value["journal"]
    assert isinstance(journal, dict)
    lines.append(f"  {'journal_signed':<22} {journal['signed']}")
    if journal["problem"]:
        lines.append(f"  ATTENTION: {journal['problem']}")
    concerns = value["crls"]
    assert isinstance(concerns, list)
    lines += [f"  ATTENTION: {each}" for each in concerns]
    return "\n".join(lines)
