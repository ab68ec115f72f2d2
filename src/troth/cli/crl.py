"""``troth crl``: the certificate revocation lists in force, and making them anew."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from troth.app.cabinet import home_cabinet, lacks_pin
from troth.authority.ceremony import opened_key
from troth.authority.derive import crl_url
from troth.authority.status.attention import list_concerns
from troth.authority.status.brought import bring_crl, list_withdrawn
from troth.authority.status.publish import CRLDoor, scopes_of
from troth.authority.status.schedule import due_at
from troth.authority.status.stored import CRLKind, StoredCRL, list_crls
from troth.cli.crl_carry import LABEL, read_crl, request, sign
from troth.cli.output import answer_table, say
from troth.cli.passphrase import PassphraseFileOption, prompt_pin, read_passphrase
from troth.cli.server import HOME, HomeOption, JsonOption, WhyOption, opened
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.files import PUBLIC, write_private
from troth.registry.issuers import Issuer, list_issuers
from troth.store.read import read
from troth.x509.pem import render_pem
from troth.x509.profiles import Purpose

app = typer.Typer()

CaOption = Annotated[
    str | None, typer.Option("--ca", metavar="CA", help="Only this CA's: its name, or a line of CAs such as root.")
]
_COLUMNS = ("ca", "shard", "kind", "number", "entries", "this_update", "next_update", "state")


@app.command("list")
def list_(
    ca: CaOption = None,
    shards: Annotated[bool, typer.Option("--shards", help="Those of every shard too.")] = False,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List the CRLs in force, say which are good, due or expired, and what is to be done about those of roots."""
    with opened(home) as here, read(here.db) as connection:
        rows = [
            _row(here.settings.site.public_url, issuer, crl, here.clock.now())
            for issuer in _chosen(connection, ca)
            for crl in list_crls(connection, issuer.issuer_id)
            if crl.kind is not CRLKind.BASE and (shards or crl.scope.shard is None)
        ]
        concerns = list_concerns(connection, here.clock.now())
    empty = "no CRL has been published: the authority does it at its start (troth up), or troth crl publish"
    answer_table(rows, _COLUMNS, as_json=as_json, empty=empty)
    for each in concerns:
        say(f"ATTENTION: {each}")


@app.command()
def publish(
    ca: CaOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the whole CRL of the one CA to this file, PEM.")
    ] = None,
    passphrase_file: PassphraseFileOption = None,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Make CRLs anew now: a root's, whose key is brought back for it, or those of CAs whose keys are in this home.

    Without --ca, those of all issuing CAs. What runs does this by itself, the root's excepted. With --out the CRL can
    be carried to the machine that serves it: troth crl import there.
    """
    with opened(home) as here:
        pin = prompt_pin() if lacks_pin(here.home, here.settings) else None
        cabinet = home_cabinet(here.home, here.settings, read_passphrase(passphrase_file), pin)
        with read(here.db) as connection:
            issuers = [issuer for issuer in _chosen(connection, ca) if _is_ours(issuer, ca)]
        if not issuers:
            raise Fault(Kind.NOT_FOUND, "no CA signs CRLs here", hint="troth ca list shows which there are")
        if out is not None and len(issuers) > 1:
            names = ", ".join(issuer.name for issuer in issuers)
            raise Fault(Kind.MALFORMED, f"a file holds the CRL of one CA, not of {names}", hint="say which with --ca")
        keys = {issuer.issuer_id: opened_key(issuer, cabinet) for issuer in issuers}
        url = here.settings.site.public_url
        door = CRLDoor(keys, url)
        made = [
            (issuer, crl)
            for issuer in issuers
            for crl in door.publish(here.db, here.clock, here.actor, issuer, scopes_of(issuer), why)
        ]
        rows = [_row(url, issuer, crl, here.clock.now()) for issuer, crl in made]
    if out is not None:
        _write(out, [crl for _, crl in made])
    shown = rows if as_json else [row for row in rows if row["shard"] is None]
    answer_table(shown, _COLUMNS, as_json=as_json)


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A whole CRL, PEM or DER.")],
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Publish the CRL of a CA whose key is on another machine, as `crl sign` or `crl publish --out` has written it."""
    crl = read_crl(file)
    with opened(home) as here:
        with change(here.db, here.clock, here.actor, why) as changing:
            issuer, stored = bring_crl(changing, crl)
            withdrawn = list_withdrawn(changing.connection, issuer, crl)
        row = _row(here.settings.site.public_url, issuer, stored, here.clock.now())
    for each in withdrawn:
        say(f"it revokes {each.name}, which this home still trusts: troth cert revoke --ca {each.name}")
    answer_table([row], _COLUMNS, as_json=as_json)


app.command()(request)
app.command()(sign)


def _write(file: Path, crls: Sequence[StoredCRL]) -> None:
    whole = next(crl for crl in crls if crl.scope.shard is None and crl.kind is CRLKind.COMPLETE)
    write_private(file, render_pem(LABEL, whole.der), mode=PUBLIC, overwrite=True)
    say(f"wrote CRL number {whole.number} to {file}")


def _chosen(connection: Connection, ca: str | None) -> list[Issuer]:
    issuers = list_issuers(connection)
    chosen = [each for each in issuers if ca is None or ca in {each.name, each.line, each.issuer_id}]
    if not chosen:
        raise Fault(Kind.NOT_FOUND, f"there is no CA {(ca or '')[:64]!r}", hint="troth ca list shows those there are")
    return chosen


def _is_ours(issuer: Issuer, ca: str | None) -> bool:
    """Say whether the key is here, as far as the registry knows; a root's only counts when it is asked for."""
    return issuer.is_trusted and issuer.key_name != "" and (ca is not None or issuer.purpose is not Purpose.ROOT)


def _row(public_url: str, issuer: Issuer, crl: StoredCRL, now: datetime) -> dict[str, object]:
    shard, is_delta = crl.scope.shard, crl.kind is CRLKind.DELTA
    return {
        "ca": issuer.name,
        "issuer_id": issuer.issuer_id,
        "shard": shard,
        "kind": crl.kind,
        "number": crl.number,
        "base_number": crl.base_number,
        "entries": crl.entries,
        "this_update": crl.this_update,
        "next_update": crl.next_update,
        "state": _state(issuer, crl, now),
        "sha256": crl.sha256,
        "url": crl_url(public_url, issuer.issuer_id, shard, delta=is_delta),
    }


def _state(issuer: Issuer, crl: StoredCRL, now: datetime) -> str:
    if now >= crl.next_update:
        return "expired"
    return "due" if now >= due_at(issuer.purpose, crl.this_update, crl.next_update) else "good"
