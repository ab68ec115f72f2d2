"""``troth ca code|register|update|deactivate|activate``: CAs of elsewhere, whose devices introduce themselves here."""

from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from troth.cli.output import answer
from troth.cli.server import HOME, HomeOption, JsonOption, WhyOption, opened
from troth.enrollment.jit import set_first_connections
from troth.errors import Fault, Kind, PeerFault
from troth.journal.change import change
from troth.keys.files import read_bounded
from troth.limits import CERTIFICATE_BYTES_MAX, FOREIGN_CRL_BYTES_MAX
from troth.registry.foreign_issuers import (
    ForeignIssuer,
    ForeignPurpose,
    ForeignState,
    get_foreign_issuer,
    make_code,
    register_foreign_issuer,
    replace_crl,
    set_foreign_state,
)
from troth.x509.certificates import UNREADABLE, parse_certificate, subject_text
from troth.x509.crl import parse_crl
from troth.x509.pem import is_pem, parse_pem

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name that it was registered under.")]
CrlOption = Annotated[
    Path | None, typer.Option("--crl", metavar="FILE", help="Its CRL: from then on it must tell of every device.")
]
AutoOption = Annotated[
    bool | None,
    typer.Option(
        "--auto-registration/--no-auto-registration",
        help="Whether its devices' certificates are registered when they first connect.",
    ),
]
TemplateOption = Annotated[
    str | None,
    typer.Option("--template", metavar="NAME", help="The template of the type jitp that makes things of them at once."),
]


def code(why: WhyOption = "", home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Make a registration code. Have the CA sign a certificate with it as common name: that proves it holds its key."""
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        made = make_code(changing)
    answer({"code": made}, made, as_json=as_json)


def register(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The CA's certificate, PEM or DER.")],
    purpose: Annotated[
        ForeignPurpose, typer.Option("--purpose", help="What its certificates are: a maker's, or a customer's.")
    ],
    name: Annotated[str, typer.Option("--name", help="What it is called here.")],
    proof: Annotated[
        Path | None, typer.Option("--proof", metavar="FILE", help="A certificate of the CA over a registration code.")
    ] = None,
    crl: CrlOption = None,
    auto_registration: AutoOption = None,
    template: TemplateOption = None,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Take certificates of a CA of elsewhere as proofs of who devices are, where an enrollment asks for them.

    A maker's CA may be registered without --proof: it will hardly sign for you. A customer's devices may also connect
    with them: --auto-registration lets those wait for `troth cert activate` that come, --template makes things of them.
    """
    certificate = parse_certificate(read_bounded(file, 2 * CERTIFICATE_BYTES_MAX))
    verification = _verification(read_bounded(proof, 2 * CERTIFICATE_BYTES_MAX)) if proof is not None else None
    revoked = _crl(crl) if crl is not None else None
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        made = register_foreign_issuer(
            changing, certificate, name=name, purpose=purpose, verification=verification, crl=revoked
        )
        if auto_registration or template is not None:
            registers = auto_registration is not False
            made = set_first_connections(changing, name, registers=registers, template=template)
    answer(foreign_row(made), f"registered {made.name}: {subject_text(certificate.subject)}", as_json=as_json)


def update(
    name: NameArgument,
    auto_registration: AutoOption = None,
    template: TemplateOption = None,
    no_template: Annotated[
        bool, typer.Option("--no-template", help="Make things of none: they wait for an operator.")
    ] = False,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Say what is done about devices of a customer's CA that connect for the first time; what is not named stays."""
    if template is not None and no_template:
        raise Fault(Kind.MALFORMED, "a template is named, and none is wanted", hint="leave out --no-template")
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        before = get_foreign_issuer(changing.connection, name)
        registers = before.registers if auto_registration is None else auto_registration
        kept = None if no_template or auto_registration is False else before.template
        chosen = template if template is not None else kept
        found = set_first_connections(changing, name, registers=registers, template=chosen)
    answer(foreign_row(found), f"{name}: {_first_connections(found)}", as_json=as_json)


def deactivate(name: NameArgument, why: WhyOption = "", home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Take no certificates of a registered CA any more. What its devices got here stays in force."""
    _set(name, ForeignState.INACTIVE, why, home, as_json=as_json)


def activate(
    name: NameArgument,
    crl: CrlOption = None,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Take certificates of a registered CA again; with --crl, go by its newest CRL."""
    revoked = _crl(crl) if crl is not None else None
    if revoked is not None:
        with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
            replace_crl(changing, name, revoked)
    _set(name, ForeignState.ACTIVE, why, home, as_json=as_json)


def foreign_row(found: ForeignIssuer) -> dict[str, object]:
    """Return a CA of elsewhere as a row."""
    certificate = found.certificate
    return {
        "name": found.name,
        "issuer_id": found.issuer_id,
        "purpose": found.purpose,
        "state": found.state,
        "proven": found.is_proven,
        "auto_registration": found.registers,
        "template": found.template,
        "subject": subject_text(certificate.subject),
        "not_after": certificate.not_valid_after_utc,
        "crl_next_update": found.crl.next_update_utc if found.crl is not None else None,
    }


def foreign_pem(found: ForeignIssuer) -> str:
    """Return its certificate as PEM."""
    return found.certificate.public_bytes(Encoding.PEM).decode()


def _first_connections(found: ForeignIssuer) -> str:
    if not found.registers:
        return "who is not registered is refused"
    if found.template is None:
        return "who connects for the first time waits for an operator"
    return f"who connects for the first time becomes a thing by template {found.template}"


def _verification(data: bytes) -> x509.Certificate:
    """Read a certificate of any version: openssl makes one of version 1 where it is told of no extensions."""
    try:
        return x509.load_der_x509_certificate(parse_pem(data, "CERTIFICATE", blocks_max=1)[0] if is_pem(data) else data)
    except UNREADABLE as error:
        raise PeerFault(Kind.MALFORMED, "the proof is no certificate", detail=str(error)) from error


def _set(name: str, state: ForeignState, why: str, home: Path, *, as_json: bool) -> None:
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        found = set_foreign_state(changing, name, state)
    answer(foreign_row(found), f"{name} is {found.state.lower()}", as_json=as_json)


def _crl(file: Path) -> x509.CertificateRevocationList:
    data = read_bounded(file, FOREIGN_CRL_BYTES_MAX)
    return parse_crl(parse_pem(data, "X509 CRL", blocks_max=1)[0] if is_pem(data) else data)
