"""``troth cert``: the certificates that were issued, and taking them out of force."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from troth.authority.revoke import REASONS, parse_reason, revoke_issuer
from troth.authority.revoke import revoke as revoke_certificate
from troth.cli.ca_register import foreign_row
from troth.cli.cert_inventory import certificate_value, export, list_, show
from troth.cli.cert_issue import issue
from troth.cli.crl_carry import carried_lines
from troth.cli.output import answer, say
from troth.cli.server import HOME, HomeOption, JsonOption, WhyOption, opened
from troth.enrollment.withdraw import withdraw_thing
from troth.errors import Fault, Kind
from troth.journal.change import Change, change
from troth.registry import certificates, states
from troth.registry.certificates import CertificateRow
from troth.registry.foreign_issuers import ForeignState, find_foreign_issuer, set_foreign_state
from troth.registry.issuers import Issuer, get_issuer_named

app = typer.Typer()

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The certificate's id, or how it begins (4 or more digits).")
]


app.command("list")(list_)
app.command()(show)
app.command()(export)
app.command()(issue)


@app.command()
def revoke(
    identity: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The certificate's id, or how it begins.")
    ] = None,
    thing: Annotated[
        str | None, typer.Option("--thing", help="Instead: every certificate of this thing, and its unused tokens.")
    ] = None,
    ca: Annotated[
        str | None,
        typer.Option("--ca", metavar="CA", help="Instead: a whole CA, ours or registered, and all below it."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help=f"One of: {', '.join(REASONS)}.")] = "unspecified",
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Revoke a certificate for ever. Its live connections are closed within a second, and the next are refused."""
    if [identity, thing, ca].count(None) != 2:
        hint = "give its id, --thing T for all of a thing's, or --ca CA for a whole CA"
        raise Fault(Kind.MALFORMED, "say which certificate", hint=hint)
    parsed = parse_reason(reason)
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        if ca is not None and find_foreign_issuer(changing.connection, ca) is not None:
            found = set_foreign_state(changing, ca, ForeignState.REVOKED)
            text = f"revoked CA {ca}: nothing that it has signed is taken any more"
            answer([foreign_row(found)], text, as_json=as_json)
        elif ca is not None:
            issuer = get_issuer_named(changing.connection, ca)
            withdrawn = revoke_issuer(changing, issuer, parsed)
            _show_issuers(withdrawn, carried_lines(changing.connection, issuer), as_json=as_json)
        elif thing is not None:
            gone = withdraw_thing(changing, thing, parsed)
            tokens = [f"revoked token {token.token_id}" for token in gone.tokens]
            _show("revoked", gone.certificates, *tokens, as_json=as_json)
        else:
            row = certificates.get_certificate(changing.connection, identity or "")
            _show("revoked", [revoke_certificate(changing, row.certificate_id, parsed)], as_json=as_json)


@app.command()
def hold(identity: IdArgument, why: WhyOption = "", home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Put a certificate on hold: refused everywhere until it is released, and on the CRL as certificateHold."""
    _step("held", states.hold, identity, why, home, as_json=as_json)


@app.command()
def release(identity: IdArgument, why: WhyOption = "", home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """End a hold: the certificate is in force again, and leaves the CRL."""
    _step("released", states.release, identity, why, home, as_json=as_json)


@app.command()
def deactivate(identity: IdArgument, why: WhyOption = "", home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Refuse a certificate at this platform's own doors alone; no CRL says so."""
    _step("deactivated", states.deactivate, identity, why, home, as_json=as_json)


@app.command()
def activate(identity: IdArgument, why: WhyOption = "", home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Let a deactivated certificate, or one that waits for it, in."""
    _step("activated", states.activate, identity, why, home, as_json=as_json)


def _step(
    word: str,
    step: Callable[[Change, str], CertificateRow],
    identity: str,
    why: str,
    home: Path,
    *,
    as_json: bool,
) -> None:
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        found = certificates.get_certificate(changing.connection, identity)
        row = step(changing, found.certificate_id)
    _show(word, [row], as_json=as_json)


def _show(word: str, rows: Sequence[CertificateRow], *more: str, as_json: bool) -> None:
    lines = [f"{word} {each.certificate_id}{f' ({each.reason})' if each.reason else ''}" for each in rows]
    answer(
        [certificate_value(each) for each in rows], "\n".join([*lines, *more]) or "nothing to revoke", as_json=as_json
    )


def _show_issuers(issuers: Sequence[Issuer], carried: Sequence[str], *, as_json: bool) -> None:
    rows = [{"issuer_id": each.issuer_id, "name": each.name, "state": each.state} for each in issuers]
    text = "\n".join(f"revoked CA {each.name}: nothing that it has signed is taken any more" for each in issuers)
    answer(rows, text or "nothing to revoke", as_json=as_json)
    if carried:
        say("\n".join(carried))
    elif issuers:
        say("its parent's CRL says so once it is published: troth crl publish --ca root")
