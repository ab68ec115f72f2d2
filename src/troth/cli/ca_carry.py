"""``troth ca request|sign|import``: CAs whose key is on one machine and whose root is on another, and CAs of others."""

from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from troth.cli.ca_home import KeyUriOption, OutOption, at_work, hand_over, issuer_row
from troth.cli.output import answer, say
from troth.cli.passphrase import PassphraseFileOption, read_passphrase
from troth.cli.server import HOME, HomeOption, JsonOption, WhyOption
from troth.errors import Fault, Kind
from troth.keys.file import FileKey, parse_key
from troth.keys.files import PUBLIC, read_bounded, write_private
from troth.keys.pkcs12 import is_pkcs12, parse_pkcs12
from troth.limits import CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX, CSR_BYTES_MAX, KEY_FILE_BYTES_MAX
from troth.x509.certificates import parse_certificate, parse_chain
from troth.x509.pem import is_pem, render_pem
from troth.x509.profiles import Purpose
from troth.x509.requests import parse_request

_CHAIN_BYTES_MAX = 2 * CERTIFICATE_BYTES_MAX * CHAIN_CERTIFICATES_MAX

PurposeArgument = Annotated[
    Purpose, typer.Argument(metavar="PURPOSE", help="What it certifies: devices, servers or operators.")
]
NameOption = Annotated[
    str | None, typer.Option("--name", help="The name of a further CA; by default that of its purpose.")
]


def request(
    purpose: PurposeArgument,
    name: NameOption = None,
    key: KeyUriOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the request to this file.")] = None,
    passphrase_file: PassphraseFileOption = None,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Make the key of a CA here, and a request for it that a root elsewhere is to sign; `ca import` takes the answer.

    Given again before the answer has come, it gives the same request.
    """
    with at_work(home, passphrase_file, why) as ceremonies:
        asked = ceremonies.request(purpose, name, key)
    pem = render_pem("CERTIFICATE REQUEST", asked.request).decode()
    if out is not None:
        write_private(out, pem.encode(), mode=PUBLIC, overwrite=True)
        say(f"wrote the request to {out}; where the root's key is: troth ca sign {out.name} {purpose.value}")
    value = {"name": asked.name, "purpose": purpose.value, "key_name": asked.key_name, "pem": pem}
    answer(value, f"asked for {asked.name}" if out is not None else pem.strip(), as_json=as_json)


def sign(
    file: Annotated[Path, typer.Argument(metavar="REQUEST", help="The request of the other machine, PEM or DER.")],
    purpose: PurposeArgument,
    name: NameOption = None,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", metavar="NAME", help="For servers: a DNS name or address beside the site's own."),
    ] = None,
    out: OutOption = None,
    passphrase_file: PassphraseFileOption = None,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Sign the request of a CA whose key is on another machine. --out writes its certificate and what leads to it."""
    asked = parse_request(read_bounded(file, 2 * CSR_BYTES_MAX))
    with at_work(home, passphrase_file, why) as ceremonies:
        signed, bundle = ceremonies.sign(asked, purpose, name, also or ())
    above = [root.certificate for root in bundle.roots] + [cross.certificate for cross in bundle.crosses]
    hand_over(out, [signed.certificate, *above])
    text = f"signed {signed.name}; on the other machine: troth ca import {out.name if out else 'FILE'}"
    answer({**issuer_row(signed), "request": asked.digest}, text, as_json=as_json)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Certificates as PEM, or a PKCS#12 file with the key.")],
    purpose: Annotated[
        Purpose | None,
        typer.Option("--purpose", metavar="PURPOSE", help="What it certifies, where its key is brought; or root."),
    ] = None,
    name: NameOption = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Its private key, PKCS#8 in PEM.")] = None,
    chain: Annotated[
        Path | None, typer.Option("--chain", metavar="FILE", help="The certificates above it up to its root, PEM.")
    ] = None,
    import_passphrase_file: Annotated[
        str | None,
        typer.Option("--import-passphrase-file", metavar="FILE", help="What the brought key is locked with."),
    ] = None,
    passphrase_file: PassphraseFileOption = None,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Take a CA that was certified elsewhere, and let it sign.

    The answer to a request of ours; a CA of your own with its key; or, with --purpose root, the next root of a site
    whose root's key is on another machine, which the root in force has certified.
    """
    brought, certificates = _read(file, key, read_passphrase(import_passphrase_file))
    if chain is not None:
        certificates += parse_chain(read_bounded(chain, _CHAIN_BYTES_MAX))
    with at_work(home, passphrase_file, why) as ceremonies:
        issuer = ceremonies.adopt(certificates, brought, purpose, name)
    answer(issuer_row(issuer), f"{issuer.name} signs for {issuer.purpose.value} now", as_json=as_json)


def _read(
    file: Path, key: Path | None, passphrase: bytes | None
) -> tuple[FileKey | None, tuple[x509.Certificate, ...]]:
    data = read_bounded(file, _CHAIN_BYTES_MAX)
    if is_pkcs12(data):
        if key is not None:
            raise Fault(Kind.MALFORMED, "a PKCS#12 file brings its own key", hint="leave --key away")
        return parse_pkcs12(data, passphrase)
    if not is_pem(data):
        return _key(key, passphrase), (parse_certificate(data),)
    if key is None and b"PRIVATE KEY-----" in data:
        # One file with both, as other tools write it.
        return parse_key(_only(data, "PRIVATE KEY"), passphrase, str(file)), parse_chain(_only(data, "CERTIFICATE"))
    return _key(key, passphrase), parse_chain(data)


def _key(file: Path | None, passphrase: bytes | None) -> FileKey | None:
    return None if file is None else parse_key(read_bounded(file, KEY_FILE_BYTES_MAX), passphrase, str(file))


def _only(data: bytes, label: str) -> bytes:
    """Return the PEM blocks of `data` whose label ends so."""
    found, inside = [], False
    for line in data.splitlines():
        if line.startswith(b"-----BEGIN "):
            inside = line.strip().endswith(f"{label}-----".encode())
        if inside:
            found.append(line)
        if line.startswith(b"-----END "):
            inside = False
    return b"\n".join([*found, b""])
