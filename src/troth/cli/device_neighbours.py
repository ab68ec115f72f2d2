"""``troth device serve`` and ``call``: devices of one home that meet with no server between them."""

import signal
import sys
import threading
from datetime import timedelta
from typing import Annotated, Final

import typer

from troth.cli.device_agent import EventLog
from troth.cli.device_messages import printable
from troth.cli.device_options import IDENTITY, IdentityOption, JsonOption, read_file
from troth.cli.output import answer, say
from troth.clock import parse_duration
from troth.device.endpoint import Address, parse_address, parse_server_name
from troth.device.events import Event
from troth.device.neighbours import PORT, Call, Host
from troth.device.neighbours import call as call_device
from troth.device.recognition import LIFE_MAX
from troth.errors import Fault, Kind
from troth.limits import NEIGHBOUR_LINE_BYTES_MAX
from troth.names import parse_thing_name

LifeOption = Annotated[
    str | None,
    typer.Option("--max-life", metavar="TIME", help="The longest life of a neighbour's certificate; 2d if none."),
]
_ANY_PORT: Final = ":0"
_ANYBODY: Final = "*"


def serve(
    allow: Annotated[
        list[str],
        typer.Option("--allow", metavar="THING", help="Let this thing in, or all that begin so: lamp-*; repeatable."),
    ],
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST[:PORT]", help=f"Where to listen; port {PORT} if none, 0: any.")
    ],
    reply: Annotated[
        str | None, typer.Option("--reply", metavar="TEXT", help="What each message is replied to with.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when the first neighbour that was let in has gone.")
    ] = False,
    max_life: LifeOption = None,
    identity: IdentityOption = IDENTITY,
    as_json: Annotated[bool, typer.Option("--json", help="Each line of the log is a JSON object.")] = False,
) -> None:
    """Listen for neighbours: other devices of the same home, with no server between.

    Each side shows the certificate that it has for this, and looks at the other's: who signed it, for which thing,
    until when by a time that it trusts, and whether its life is short. A certificate to show is got from the home when
    there is none, and renewed when it is due. Tells who came, who was turned away and why, and each message; until
    ended by SIGTERM or SIGINT.
    """
    for each in allow:
        if each != _ANYBODY:
            parse_thing_name(each.removesuffix(_ANYBODY))
    tell = EventLog(as_json=as_json)
    with Host(identity, _listen(listen), allow, lambda *_: reply, tell, life_max=_life(max_life)) as host:
        over = host.met_one if once else threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: over.set())
        tell(Event.LISTENING, address=str(host.address))
        over.wait()


def call(
    address: Annotated[
        str, typer.Argument(metavar="HOST[:PORT]", help=f"Where the neighbour is; port {PORT} if none.")
    ],
    thing: Annotated[str, typer.Option("--thing", metavar="NAME", help="Who must be there.")],
    message: Annotated[str | None, typer.Option("--message", help="The message, as text.")] = None,
    file: Annotated[str | None, typer.Option("--file", help="The file with the message; - is stdin.")] = None,
    lines: Annotated[bool, typer.Option("--lines", help="Each line of standard input is a message.")] = False,
    max_life: LifeOption = None,
    identity: IdentityOption = IDENTITY,
    as_json: JsonOption = False,
) -> None:
    """Call a neighbour, send it messages, and print what it replies.

    Nothing is sent before both have proven who they are, as for `troth device serve`. Without a message: only see
    whether it is there.
    """
    if sum((message is not None, file is not None, lines)) > 1:
        raise Fault(Kind.MALFORMED, "say once what to send", hint="give one of --message, --file and --lines")
    where = parse_address(address, PORT)
    with call_device(identity, where, thing, life_max=_life(max_life)) as neighbour:
        said = _read(file) if file is not None else message
        if said is None and not lines:
            answer({"thing": neighbour.thing, "address": str(where)}, f"met {thing} at {where}", as_json=as_json)
            return
        say(f"met {thing} at {where}")
        for each in sys.stdin if said is None else (said,):
            _send(neighbour, each.removesuffix("\n") if lines else each, as_json=as_json)


def _send(neighbour: Call, message: str, *, as_json: bool) -> None:
    reply = neighbour.send(message)
    told = f"{neighbour.thing} took {len(message.encode())} bytes"
    text = told if reply is None else printable(reply.encode())
    answer({"thing": neighbour.thing, "taken": True, "reply": reply}, text, as_json=as_json)


def _read(file: str) -> str:
    try:
        return read_file(file, NEIGHBOUR_LINE_BYTES_MAX).decode()
    except UnicodeDecodeError as error:
        raise Fault(Kind.MALFORMED, f"{file} is no text", hint="neighbours send text: encode it, in base64") from error


def _listen(text: str) -> Address:
    if text.endswith(_ANY_PORT):
        return Address(parse_server_name(text.removesuffix(_ANY_PORT).strip("[]")), 0)
    return parse_address(text, PORT)


def _life(text: str | None) -> timedelta:
    return parse_duration(text) if text else LIFE_MAX
