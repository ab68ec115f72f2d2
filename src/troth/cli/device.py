"""``troth device``: a device's side of it all. Runs where no server of troth is installed."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from troth.cli.device_messages import message_row, printable
from troth.cli.output import answer, say
from troth.clock import Clock, SystemClock, parse_duration
from troth.device.connection import ConnectionFault
from troth.device.endpoint import EST_PORT, MQTT_PORT, Address, Endpoint, parse_address, parse_server_name
from troth.device.enroll import Enrolled, Wanted
from troth.device.enroll import enroll as enroll_device
from troth.device.identity import Identity, open_identity, read_chain
from troth.device.mqtt import Client, connect
from troth.device.renew import renew as renew_device
from troth.device.slot_keys import open_key
from troth.device.slots import Slots
from troth.device.trust import refresh_trust
from troth.device.waiting import Wait
from troth.errors import Fault, Kind
from troth.keys.files import read_bounded
from troth.limits import DEFAULT, TOKEN_CHARS_MAX
from troth.names import parse_thing_name
from troth.protocols.mqtt import SUBSCRIPTION_REFUSED
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import certificate_id, serial_text, subject_text

app = typer.Typer()

IdentityOption = Annotated[
    Path,
    typer.Option(
        "--identity", envvar="TROTH_IDENTITY", help="The folder with this device's identity.", show_default=True
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout; everything else goes to stderr.")]
IDENTITY: Final = Path("identity")
STANDARD: Final = "-"


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
    )
    clock = SystemClock()
    done = enroll_device(identity, wanted, _read_token(token_file), clock)
    if done.resumed:
        say("finished an enrollment that had been cut short")
    _tell_clock(done)
    value = {**_row(done.identity, clock), "resumed": done.resumed}
    until = done.identity.certificate.not_valid_after_utc
    answer(value, f"enrolled {thing}, until {until:%Y-%m-%d %H:%M} UTC; identity in {identity}", as_json=as_json)


@app.command()
def renew(
    key: Annotated[
        KeyAlgorithm | None, typer.Option("--key", help="The kind of key to make; the same as now if none.")
    ] = None,
    identity: IdentityOption = IDENTITY,
    as_json: JsonOption = False,
) -> None:
    """Make a new key here and get a certificate for it, shown by the one in use.

    Nobody's help is needed, nor a token: not even when the certificate has expired, within the grace that its profile
    gives. The new one is tried before it is the one in use; the home lets the old one go when it sees the new one. A
    renewal that was cut short is finished.
    """
    clock = SystemClock()
    done = renew_device(identity, clock, key)
    if done.resumed:
        say("finished a renewal that had been cut short")
    _tell_clock(done)
    value = {**_row(done.identity, clock), "resumed": done.resumed}
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


@app.command()
def publish(
    topic: Annotated[str, typer.Option("--topic", help="The topic to send to.")],
    message: Annotated[str | None, typer.Option("--message", help="The message, as text.")] = None,
    file: Annotated[str | None, typer.Option("--file", help="The file with the message; - is stdin.")] = None,
    qos: Annotated[int, typer.Option("--qos", min=0, max=1, help="1: return when the home has taken it over.")] = 1,
    retain: Annotated[bool, typer.Option("--retain", help="Keep it at home as the topic's last message.")] = False,
    client_id: Annotated[str | None, typer.Option("--client-id", help="Another MQTT client id than the thing.")] = None,
    identity: IdentityOption = IDENTITY,
    as_json: JsonOption = False,
) -> None:
    """Send one message over mutual TLS."""
    if (message is None) == (file is None):
        raise Fault(Kind.MALFORMED, "say what to send", hint="give either --message TEXT or --file FILE (- is stdin)")
    payload = message.encode() if message is not None else _read(file or STANDARD, DEFAULT.packet_bytes)
    opened = open_identity(identity)
    with connect(opened, SystemClock(), client_id=client_id) as client:
        try:
            client.publish(topic, payload, qos=qos, retain=retain)
            if not qos:
                # Nobody answers a message of QoS 0; an answered ping says that we were not thrown out for it.
                client.ping()
        except ConnectionFault as fault:
            raise _thrown_out(fault, f"publish to {topic!r}") from fault
    value = {"topic": topic, "bytes": len(payload), "qos": qos, "retain": retain}
    answer(value, f"published {len(payload)} bytes to {topic}", as_json=as_json)


@app.command()
def subscribe(
    filters: Annotated[list[str], typer.Option("--filter", metavar="F", help="A topic filter; may be repeated.")],
    count: Annotated[int | None, typer.Option("--count", min=1, help="Stop after so many messages.")] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="TIME", help="Stop after so long: 30s; too few are then a fault.")
    ] = None,
    qos: Annotated[int, typer.Option("--qos", min=0, max=1, help="The highest QoS to receive with.")] = 1,
    client_id: Annotated[str | None, typer.Option("--client-id", help="Another MQTT client id than the thing.")] = None,
    identity: IdentityOption = IDENTITY,
    as_json: JsonOption = False,
) -> None:
    """Print messages as they come.

    One a line, as TOPIC PAYLOAD, with what cannot be printed escaped; with --json as one object a line.
    """
    clock = SystemClock()
    wait_s = parse_duration(timeout).total_seconds() if timeout else None
    opened = open_identity(identity)
    with connect(opened, clock, client_id=client_id) as client:
        try:
            _subscribe(client, filters, qos)
            came = _print_messages(client, Wait(clock, wait_s), count, as_json=as_json)
        except ConnectionFault as fault:
            raise _thrown_out(fault, f"receive from {', '.join(filters)}") from fault
    if count is not None and came < count:
        raise Fault(Kind.UNAVAILABLE, f"{came} of {count} messages came within {timeout}")


@app.command()
def show(identity: IdentityOption = IDENTITY, as_json: JsonOption = False) -> None:
    """Show who this device is, and until when."""
    opened = open_identity(identity)
    row = _row(opened, SystemClock())
    certificate = opened.certificate
    times = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    lines = [
        f"thing         {opened.thing}",
        f"certificate   {row['certificate_id']}",
        f"valid         {times}{' (expired)' if row['expired'] else ''}",
        f"issuer        {row['issuer']}",
        f"key           {row['key']} in {opened.slot.key_file}",
        *(f"trusts        {subject_text(root.subject)}" for root in opened.trust),
        f"EST           {opened.endpoint.est}",
        f"MQTT          {opened.endpoint.mqtt}",
        *([f"server name   {opened.endpoint.server_name}"] if opened.endpoint.server_name else []),
        *(["unfinished    an enrollment was cut short; run it again"] if row["unfinished"] else []),
    ]
    answer(row, "\n".join(lines), as_json=as_json)


def _tell_clock(done: Enrolled) -> None:
    if done.clock_ahead is not None:
        say(f"this device's clock is wrong by {abs(done.clock_ahead)}: the home's was gone by")


def _subscribe(client: Client, filters: list[str], qos: int) -> None:
    codes = client.subscribe(filters, qos=qos)
    refused = [each for each, code in zip(filters, codes, strict=True) if code == SUBSCRIPTION_REFUSED]
    if len(refused) == len(filters):
        raise Fault(
            Kind.FORBIDDEN,
            f"the home does not let this device subscribe to {', '.join(refused)}",
            hint="its policy must allow iot:Subscribe on that topic filter",
        )
    for each in refused:
        say(f"refused: {each}")
    say(f"subscribed to {', '.join(each for each in filters if each not in refused)}")


def _print_messages(client: Client, wait: Wait, count: int | None, *, as_json: bool) -> int:
    came = 0
    while count is None or came < count:
        message = client.receive(wait.left_s())
        if message is None:
            break
        came += 1
        text = f"{printable(message.topic.encode())} {printable(message.payload)}"
        answer(message_row(message), text, as_json=as_json)
    return came


def _thrown_out(fault: ConnectionFault, doing: str) -> Fault:
    """Say what a connection that was closed on us most likely means: MQTT 3.1.1 has no word for it."""
    if fault.refusal.word != "closed":
        return fault
    return Fault(
        Kind.FORBIDDEN,
        f"the home closed the connection when this device was to {doing}",
        detail=fault.detail,
        hint="its policy may not allow it, or its certificate was revoked; at home: troth decision list --denied",
    )


def _read_token(file: str) -> str:
    token = _read(file, 2 * TOKEN_CHARS_MAX).decode("ascii", "replace").strip()
    if not 0 < len(token) <= TOKEN_CHARS_MAX or not token.isascii() or not token.isprintable() or ":" in token:
        raise Fault(
            Kind.MALFORMED,
            "that is not an enrollment token",
            hint="give the file that holds what `troth token create --thing NAME` printed, or - and pipe it in",
        )
    return token


def _read(file: str, bytes_max: int) -> bytes:
    if file != STANDARD:
        return read_bounded(Path(file), bytes_max)
    data = sys.stdin.buffer.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise Fault(Kind.TOO_LARGE, f"there are more than {bytes_max} bytes on stdin")
    return data


def _row(identity: Identity, clock: Clock) -> dict[str, object]:
    certificate = identity.certificate
    endpoint = identity.endpoint
    return {
        "thing": identity.thing,
        "identity": str(identity.path),
        "certificate_id": certificate_id(certificate),
        "serial": serial_text(certificate),
        "issuer": subject_text(certificate.issuer),
        "key": str(open_key(identity.slot).algorithm),
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
        "expired": clock.now() > certificate.not_valid_after_utc,
        "slot": identity.slot.name,
        "unfinished": Slots(identity.path).spare().request_file.exists(),
        "trust": [certificate_id(root) for root in identity.trust],
        "est": str(endpoint.est),
        "mqtt": str(endpoint.mqtt),
        "server_name": endpoint.server_name,
    }
