"""``troth device``: a device's side of it all. Runs where no server of troth is installed."""

from pathlib import Path
from typing import Annotated

import typer

from troth.cli.device_agent import run
from troth.cli.device_identity import identity_row, show
from troth.cli.device_messages import publish, subscribe
from troth.cli.device_neighbours import call, serve
from troth.cli.device_options import IDENTITY, IdentityOption, JsonOption, read_file
from troth.cli.output import answer, say
from troth.clock import Clock, SystemClock
from troth.device.endpoint import EST_PORT, MQTT_PORT, Address, Endpoint, parse_address, parse_server_name
from troth.device.enroll import Enrolled, Wanted
from troth.device.enroll import enroll as enroll_device
from troth.device.identity import open_identity, read_chain
from troth.device.peer import ready_peer, renew_peer
from troth.device.renew import find_due
from troth.device.renew import renew as renew_device
from troth.device.slot_keys import TokenPlace, find_key
from troth.device.trust import refresh_trust
from troth.errors import Fault, Kind
from troth.keys.files import read_bounded
from troth.limits import TOKEN_CHARS_MAX
from troth.names import parse_thing_name
from troth.protocols.roughtime.servers import SERVER_LIST_BYTES_MAX, parse_servers
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import certificate_id, subject_text

app = typer.Typer()


@app.command()
def enroll(
    endpoint: Annotated[
        str, typer.Option("--endpoint", metavar="HOST[:PORT]", help=f"The home's HTTPS door; port {EST_PORT} if none.")
    ],
    thing: Annotated[str, typer.Option("--thing", metavar="NAME", help="The name that this device has at home.")],
    token_file: Annotated[
        str, typer.Option("--token-file", metavar="FILE", help="The file with the one-time token; - is stdin.")
    ],
    trust: Annotated[
        Path, typer.Option("--trust", metavar="ROOT.pem", help="The home's root certificate: the only one trusted.")
    ],
    mqtt: Annotated[
        str | None,
        typer.Option("--mqtt", metavar="HOST[:PORT]", help=f"The MQTT door; the same host, port {MQTT_PORT} if none."),
    ] = None,
    server_name: Annotated[
        str | None,
        typer.Option("--server-name", metavar="NAME", help="What the home's certificates say, if not those hosts."),
    ] = None,
    key: Annotated[KeyAlgorithm, typer.Option("--key", help="The kind of key to make.")] = KeyAlgorithm.P256,
    key_module: Annotated[
        Path | None,
        typer.Option(
            "--key-module", metavar="MODULE.so", help="Make the key in a token, reached by this PKCS#11 module."
        ),
    ] = None,
    key_token: Annotated[
        str | None, typer.Option("--key-token", metavar="LABEL", help="What the token is called.")
    ] = None,
    key_pin_file: Annotated[
        Path | None, typer.Option("--key-pin-file", metavar="FILE", help="The file with the token's PIN.")
    ] = None,
    time_servers: Annotated[
        Path | None,
        typer.Option(
            "--time-servers",
            metavar="time.json",
            help="Who is asked for the time before any certificate is judged: for a device without a clock.",
        ),
    ] = None,
    identity: IdentityOption = IDENTITY,
    as_json: JsonOption = False,
) -> None:
    """Make a key here and get a certificate for it.

    The key never leaves this device; a one-time token proves who it is. Where an identity is already, the same thing
    gets a new key and certificate, and the old one stays in use until the new one is whole. An enrollment that was cut
    short is finished.
    """
    est = parse_address(endpoint, EST_PORT)
    wanted = Wanted(
        thing=parse_thing_name(thing),
        endpoint=Endpoint(
            est=est,
            mqtt=parse_address(mqtt, MQTT_PORT) if mqtt else Address(est.host, MQTT_PORT),
            server_name=parse_server_name(server_name) if server_name else None,
        ),
        trust=read_chain(trust),
        algorithm=key,
        place=_place(key_module, key_token, key_pin_file),
        time_servers=parse_servers(read_bounded(time_servers, SERVER_LIST_BYTES_MAX)) if time_servers else (),
    )
    clock = SystemClock()
    done = enroll_device(identity, wanted, _read_token(token_file), clock)
    if done.resumed:
        say("finished an enrollment that had been cut short")
    _tell_clock(done)
    value = {**identity_row(done.identity, clock), "resumed": done.resumed}
    until = done.identity.certificate.not_valid_after_utc
    answer(value, f"enrolled {thing}, until {until:%Y-%m-%d %H:%M} UTC; identity in {identity}", as_json=as_json)


@app.command()
def renew(
    key: Annotated[
        KeyAlgorithm | None, typer.Option("--key", help="The kind of key to make; the same as now if none.")
    ] = None,
    if_due: Annotated[
        bool, typer.Option("--if-due", help="Do nothing before the home would have it done; for a timer.")
    ] = False,
    peer: Annotated[
        bool, typer.Option("--peer", help="That for neighbours instead, also the first: see `troth device serve`.")
    ] = False,
    identity: IdentityOption = IDENTITY,
    as_json: JsonOption = False,
) -> None:
    """Make a new key here and get a certificate for it, shown by the one in use.

    Nobody's help is needed, nor a token: not even when the certificate has expired, within the grace that its profile
    gives. The new one is tried before it is the one in use; the home lets the old one go when it sees the new one. A
    renewal that was cut short is finished.
    """
    clock = SystemClock()
    if peer:
        if key is not None:
            raise Fault(Kind.UNSUPPORTED, "keys for neighbours are all of one kind", hint="leave --key out")
        _renew_peer(identity, clock, if_due=if_due, as_json=as_json)
        return
    if if_due and (due := find_due(identity, clock)) > clock.now():
        value = {**identity_row(open_identity(identity), clock), "renewed": False, "due": due}
        answer(value, f"not due until {due:%Y-%m-%d %H:%M} UTC", as_json=as_json)
        return
    done = renew_device(identity, clock, key)
    if done.resumed:
        say("finished a renewal that had been cut short")
    _tell_clock(done)
    value = {**identity_row(done.identity, clock), "resumed": done.resumed, "renewed": True}
    until = done.identity.certificate.not_valid_after_utc
    answer(value, f"renewed {done.identity.thing}, until {until:%Y-%m-%d %H:%M} UTC", as_json=as_json)


@app.command()
def trust(identity: IdentityOption = IDENTITY, as_json: JsonOption = False) -> None:
    """Ask the home which roots are in force, and take those that a root which is trusted already has certified.

    Roots that the home tells of no more are dropped. The home learns what this device holds.
    """
    found = refresh_trust(identity, SystemClock())
    value = {
        name: [certificate_id(root) for root in getattr(found, name)]
        for name in ("trust", "added", "dropped", "refused")
    }
    lines = [
        *(f"trusts   {subject_text(root.subject)}" for root in found.trust),
        *(f"added    {subject_text(root.subject)}" for root in found.added),
        *(f"dropped  {subject_text(root.subject)}" for root in found.dropped),
        *(f"refused  {subject_text(root.subject)}: no trusted root has certified it" for root in found.refused),
    ]
    answer(value, "\n".join(lines), as_json=as_json)


def _renew_peer(identity: Path, clock: Clock, *, if_due: bool, as_json: bool) -> None:
    shown = (ready_peer if if_due else renew_peer)(identity, clock)
    certificate = shown.certificate
    until = certificate.not_valid_after_utc
    value = {"certificate_id": certificate_id(certificate), "not_after": until, "key_in": find_key(shown.slot)}
    answer(value, f"can show neighbours a certificate until {until:%Y-%m-%d %H:%M} UTC", as_json=as_json)


def _tell_clock(done: Enrolled) -> None:
    if done.clock_ahead is not None:
        say(f"this device's clock is wrong by {abs(done.clock_ahead)}: the home's was gone by")


def _place(module: Path | None, token: str | None, pin_file: Path | None) -> TokenPlace | None:
    if module is None and token is None and pin_file is None:
        return None
    if module is None or token is None or pin_file is None:
        hint = "a key in a token needs --key-module, --key-token and --key-pin-file"
        raise Fault(Kind.MISCONFIGURED, "which token is not said in full", hint=hint)
    return TokenPlace(module.absolute(), pin_file.absolute(), token)


def _read_token(file: str) -> str:
    token = read_file(file, 2 * TOKEN_CHARS_MAX).decode("ascii", "replace").strip()
    if not 0 < len(token) <= TOKEN_CHARS_MAX or not token.isascii() or not token.isprintable() or ":" in token:
        raise Fault(
            Kind.MALFORMED,
            "that is not an enrollment token",
            hint="give the file that holds what `troth token create --thing NAME` printed, or - and pipe it in",
        )
    return token


for command in (publish, subscribe, serve, call, run, show):
    app.command()(command)
