"""``troth cert``: the certificates that were issued, and taking them back."""

from dataclasses import fields
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from troth.authority.revoke import Reason, parse_reason, revoke_thing
from troth.authority.revoke import revoke as revoke_certificate
from troth.cli.output import answer, answer_table
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, WhyOption, duration, opened
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.registry import certificates
from troth.registry.certificates import CertificateRow, CertificateState
from troth.store.read import read

app = typer.Typer()

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The certificate's id, or how it begins (4 or more digits).")
]


@app.command("list")
def list_(
    thing: Annotated[str | None, typer.Option("--thing", help="Only those issued for this thing.")] = None,
    state: Annotated[CertificateState | None, typer.Option("--state", help="Only those in this state.")] = None,
    expiring: Annotated[
        str | None, typer.Option("--expiring", metavar="TIME", help="Only those that expire within it: 30d.")
    ] = None,
    after: Annotated[str | None, typer.Option("--after", help="Go on after this id.")] = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List certificates."""
    with opened(home) as here, read(here.db) as connection:
        found = certificates.list_certificates(
            connection,
            thing=thing,
            state=state,
            expiring_before=here.clock.now() + duration(expiring) if expiring else None,
            after=after,
            limit=limit,
        )
    rows = [_row(each) if as_json else {**_row(each), "id": each.certificate_id[:16]} for each in found]
    answer_table(rows, ["id", "thing", "profile", "state", "not_after"], as_json=as_json, empty="no certificates")


@app.command()
def show(identity: IdArgument, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Show a certificate, with its PEM."""
    with opened(home) as here, read(here.db) as connection:
        found = certificates.get_certificate(connection, identity)
    pem = x509.load_der_x509_certificate(found.der).public_bytes(Encoding.PEM).decode()
    row = _row(found)
    lines = [*(f"{name:<15} {value}" for name, value in row.items() if value is not None), pem.strip()]
    answer({**row, "pem": pem}, "\n".join(lines), as_json=as_json)


@app.command()
def revoke(
    identity: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The certificate's id, or how it begins.")
    ] = None,
    thing: Annotated[str | None, typer.Option("--thing", help="Instead: every certificate of this thing.")] = None,
    reason: Annotated[str, typer.Option("--reason", help=f"One of: {', '.join(Reason)}.")] = "unspecified",
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Revoke a certificate for ever. Its live connections are closed within a second, and the next are refused."""
    if (identity is None) == (thing is None):
        raise Fault(Kind.MALFORMED, "say which certificate", hint="give its id, or --thing T for all of a thing's")
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        if thing is not None:
            revoked = revoke_thing(changing, thing, parse_reason(reason))
        else:
            assert identity is not None
            found = certificates.get_certificate(changing.connection, identity)
            revoked = [revoke_certificate(changing, found.certificate_id, parse_reason(reason))]
    text = "\n".join(f"revoked {each.certificate_id} ({each.reason})" for each in revoked) or "nothing to revoke"
    answer([_row(each) for each in revoked], text, as_json=as_json)


def _row(certificate: CertificateRow) -> dict[str, object]:
    names = [field.name for field in fields(certificate) if field.name != "der"]
    return {name: getattr(certificate, name) for name in names}
