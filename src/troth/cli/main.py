"""The front of the command: finds the noun, loads its file and no other, and renders what goes wrong."""

import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Final

import typer

from troth.cli.output import EXIT_INTERNAL, fail, say
from troth.errors import Fault

# Noun -> what it is. The file is troth/cli/NOUN.py, which has an `app`.
NOUNS: Final[dict[str, str]] = {
    "thing": "Devices and services that have an identity",
    "group": "Things that are looked after together",
    "policy": "What an identity may do",
    "cert": "Certificates: issue, list, show, hold, revoke",
    "ca": "Certification authorities: the hierarchy, ceremonies, rollover",
    "crl": "Certificate revocation lists: what is published, and publishing",
    "profile": "Certificate profiles: what a kind of certificate may hold",
    "enrollment": "Who may come, how they prove it and what they get",
    "token": "One-time enrollment tokens",
    "template": "Provisioning templates: what is made of a device that asks",
    "request": "Devices that wait for a person's word",
    "decision": "What the gateway decided, and why",
    "session": "Who is connected now",
    "journal": "The record of every change",
    "evidence": "Signed readings, proven to strangers",
    "device": "The device's side: enroll, publish, subscribe, renew, run",
}

# Commands on the home itself; each is a function of troth/cli/home.py.
HOME_COMMANDS: Final[dict[str, str]] = {
    "init": "Make a home: a CA hierarchy, keys, settings and database",
    "up": "Run everything in this home: broker, authority, gateway, web",
    "status": "Say what runs, where it listens, and how much there is",
    "demo": "Play the story of mutual TLS with real parts, in under a minute",
}


def build(words: Sequence[str]) -> typer.Typer:
    """Return the command with the one noun that `words` asks for loaded, and the others known by name alone."""
    app = typer.Typer(
        name="troth",
        help="Machine identity for IoT: who a device is, proven both ways, and what it may do.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    wanted = next((word for word in words if not word.startswith("-")), None)
    for name, text in HOME_COMMANDS.items():
        if name == wanted:
            app.command(name)(getattr(importlib.import_module("troth.cli.home"), name))
        else:
            app.command(name, help=text)(_not_loaded)
    for noun, text in NOUNS.items():
        if noun == wanted:
            app.add_typer(importlib.import_module(f"troth.cli.{noun}").app, name=noun, help=text, no_args_is_help=True)
        else:
            stub = typer.Typer()
            stub.callback(invoke_without_command=True)(_not_loaded)
            app.add_typer(stub, name=noun, help=text)
    return app


def _not_loaded() -> None:
    """Stand in a list of commands; never run, because the wanted one is loaded."""


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    words = sys.argv[1:] if words is None else words
    try:
        app = build(words)
        sys.exit(app(args=list(words), standalone_mode=True))
    except Fault as fault:
        sys.exit(fail(fault, as_json="--json" in words))
    except ModuleNotFoundError as error:
        say(f"troth: this command needs a package that is not installed: {error.name}")
        say("  hint: pip install 'troth[server]'")
        sys.exit(EXIT_INTERNAL)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        say("troth: internal error; this is a defect of troth itself")
        sys.exit(EXIT_INTERNAL)
