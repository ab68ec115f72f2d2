"""``troth crl request|sign``: the CRL of a CA whose key lies on a machine that has nothing but key and certificate."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509
from sqlalchemy import Connection

from troth.authority.status.brought import request_crl
from troth.authority.status.elsewhere import (
    CRLRequest,
    Listed,
    MadeCRL,
    make_crl,
    parse_crl_request,
    render_crl_request,
)
from troth.cli.output import answer, say
from troth.cli.passphrase import PassphraseFileOption, prompt_passphrase, read_passphrase
from troth.cli.server import HOME, HomeOption, JsonOption, opened
from troth.clock import SystemClock, parse_duration
from troth.errors import Fault, Kind
from troth.keys.file import FileKey, read_key
from troth.keys.files import PUBLIC, read_bounded, write_private
from troth.limits import CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX, CRL_REQUEST_BYTES_MAX, FOREIGN_CRL_BYTES_MAX
from troth.registry.issuers import Issuer, find_issuer, get_issuer_named
from troth.registry.revocations import find_revocation
from troth.store.read import read
from troth.x509.certificates import certificate_id, parse_chain
from troth.x509.crl import parse_crl
from troth.x509.pem import is_pem, parse_pem, render_pem

LABEL: Final = "X509 CRL"
_CHAIN_BYTES_MAX: Final = 2 * CERTIFICATE_BYTES_MAX * CHAIN_CERTIFICATES_MAX


def request(
    ca: Annotated[str, typer.Option("--ca", metavar="CA", help="The CA's name, such as root-1.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the request to this file.")] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Write down what the next CRL of a CA has to say, for the machine that has its key: `crl sign` takes it there."""
    with opened(home) as here, read(here.db) as connection:
        asked = request_crl(connection, get_issuer_named(connection, ca))
    rendered = render_crl_request(asked)
    if out is not None:
        write_private(out, rendered, mode=PUBLIC, overwrite=True)
        say(f"wrote what the CRL of {asked.issuer} has to say to {out}; where its key is: troth crl sign {out.name}")
    text = "\n".join((f"revoked by {asked.issuer}: {len(asked.listed)}", *(f"  {each.text}" for each in asked.listed)))
    answer(_value(asked.issuer, asked.listed, number=asked.number), text, as_json=as_json)


def sign(
    file: Annotated[Path, typer.Argument(metavar="REQUEST", help="What `crl request` has written.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The CA's private key, PKCS#8 in PEM.")],
    certificate: Annotated[
        Path,
        typer.Option("--certificate", metavar="FILE", help="The CA's certificate, PEM; others may be beside it."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Write the CRL to this file, PEM.")],
    valid: Annotated[str, typer.Option("--valid", metavar="DURATION", help="How long it may be believed.")] = "365d",
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign the CRL of a CA where there is its key and no home. What was signed last is kept beside the key.

    From that come the next number, and what stays revoked whatever the request says: keep it with the key.
    """
    asked = parse_crl_request(read_bounded(file, CRL_REQUEST_BYTES_MAX))
    held = parse_chain(read_bounded(certificate, _CHAIN_BYTES_MAX))
    own = next((each for each in held if certificate_id(each) == asked.issuer_id), held[0])
    kept = key.with_name(f"{key.name}.crl")
    last = read_crl(kept) if kept.exists() else None
    opened_key = _open(key, passphrase_file)
    made = make_crl(own, opened_key, asked, last, now=SystemClock().now(), valid=parse_duration(valid))
    pem = render_pem(LABEL, made.der)
    # Beside the key first: its number is never given again, whatever becomes of the other file.
    write_private(kept, pem, overwrite=True)
    write_private(out, pem, mode=PUBLIC, overwrite=True)
    _tell(asked, made, out, as_json=as_json)


def read_crl(file: Path) -> x509.CertificateRevocationList:
    """Read a CRL, PEM or DER, from a file. Raises `Fault`: not found, too large, malformed."""
    data = read_bounded(file, FOREIGN_CRL_BYTES_MAX)
    return parse_crl(parse_pem(data, LABEL, blocks_max=1)[0] if is_pem(data) else data)


def carried_lines(connection: Connection, issuer: Issuer) -> list[str]:
    """Return what a person has to carry to where the key of a revoked CA's parent is; nothing where that is here."""
    parent = find_issuer(connection, issuer.parent_id or "")
    found = find_revocation(connection, issuer.parent_id or "", issuer.certificate.serial_number)
    if parent is None or parent.key_name or found is None:
        return []
    listed = Listed(found.serial, found.revoked_at, found.reason, issuer.name)
    return [
        f"the key of {parent.name} is on another machine, where its next CRL has to list this:",
        f"  {listed.text}",
        f"carry it there: troth crl request --ca {parent.name} --out FILE; there troth crl sign, here troth crl import",
    ]


def _open(key: Path, passphrase_file: str | None) -> FileKey:
    passphrase = read_passphrase(passphrase_file)
    try:
        return read_key(key, passphrase)
    except Fault as fault:
        if fault.kind is not Kind.BAD_KEY or passphrase is not None or not sys.stdin.isatty():
            raise
        return read_key(key, prompt_passphrase(confirm=False))


def _tell(asked: CRLRequest, made: MadeCRL, out: Path, *, as_json: bool) -> None:
    text = f"signed CRL number {made.number} of {asked.issuer}, good until {made.next_update:%Y-%m-%d}; it revokes"
    lines = [f"{text} {len(made.listed)}", *(f"  {each.text}" for each in made.listed)]
    asked_for = {each.serial for each in asked.listed}
    stay = [each for each in made.listed if each.serial not in asked_for]
    if stay:
        say(f"the request does not name {len(stay)} that the last CRL revokes: they stay revoked")
    times = {"this_update": made.this_update, "next_update": made.next_update}
    answer(_value(asked.issuer, made.listed, number=made.number, **times), "\n".join(lines), as_json=as_json)
    say(f"wrote it to {out}; where it is served: troth crl import {out.name}")


def _value(ca: str, listed: tuple[Listed, ...], **more: object) -> dict[str, object]:
    revoked = [
        {"name": each.name or None, "serial": f"{each.serial:x}", "reason": each.reason, "since": each.revoked_at}
        for each in listed
    ]
    return {"ca": ca, **more, "revoked": revoked}
