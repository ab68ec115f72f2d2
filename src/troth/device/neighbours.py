"""Devices of one home that meet with no server between them: `call` a neighbour, or listen for them as a `Host`.

For programs without an event loop; with one, `asyncio.to_thread` (a call) or a `Host`, whose threads are its own. Each
end proves itself by its certificate for neighbours (`peer`), which it gets from its home while that can be reached.
"""

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from troth.clock import Clock, SystemClock
from troth.device.agent import draw
from troth.device.endpoint import Address
from troth.device.events import Event, Tell, reason
from troth.device.identity import open_identity
from troth.device.meeting import NotMet, Party, Stream, not_met
from troth.device.network import INTERNET, Network
from troth.device.peer import PeerKeeper, find_peer, ready_peer
from troth.device.recognition import LIFE_MAX, Expected
from troth.errors import Fault, Kind, PeerFault
from troth.limits import DEVICE_LOOK_S_MAX, NEIGHBOUR_IDLE_S_MAX, NEIGHBOUR_STEP_S_MAX, NEIGHBOURS_AT_ONCE_MAX
from troth.names import parse_thing_name
from troth.protocols.neighbours import Message, Refused, Taken, Welcome
from troth.tls.neighbours import refusal
from troth.x509.certificates import certificate_id

PORT: Final = 8884
_LOOK_S: Final = 0.5
"""How often one who waits for a place to be free looks whether all is over."""

OnMessage = Callable[[str, str], str | None]
"""Takes over a message of a thing; returns what is replied. Called in the threads of a `Host`, by several at a time."""


class Call:
    """A neighbour who was called and has let us in: ``with call(...) as neighbour``."""

    def __init__(self, stream: Stream) -> None:
        """Not for callers: see `call`."""
        self._stream = stream
        self.thing = stream.thing
        """Who it has proven to be."""

    def send(self, text: str) -> str | None:
        """Send a message and return the reply, if there is one, once the neighbour has taken it over.

        Raises `Fault`: too large; `NotMet` when it has gone: the message may have arrived; `PeerFault`.
        """
        self._stream.say(Message(text))
        match self._stream.hear(NEIGHBOUR_STEP_S_MAX):
            case Taken(reply):
                return reply
            case None:
                raise NotMet("closed", str(self._stream.address), is_theirs=False)
            case _:
                raise PeerFault(Kind.MALFORMED, "the neighbour answered something else than that it took the message")

    def close(self) -> None:
        """Part."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Part."""
        self.close()


def call(
    identity: Path | str,
    address: Address,
    thing: str,
    *,
    clock: Clock | None = None,
    life_max: timedelta = LIFE_MAX,
    network: Network = INTERNET,
) -> Call:
    """Return the neighbour at `address`, which has proven to be `thing` and has let us in.

    `clock` is what certificates are judged by where the identity has no time servers, the system's if none; `life_max`
    how long the neighbour's may live. Raises `Fault`: `NotMet`, with why and by whom; as `ready_peer` does when we have
    nothing to show; malformed.
    """
    path, clock = Path(identity), clock or SystemClock()
    expected = Expected((parse_thing_name(thing),), life_max)
    own = ready_peer(path, clock, network)
    party = Party(open_identity(path), own, expected, clock, network)
    try:
        plain = socket.create_connection((address.host, address.port), NEIGHBOUR_STEP_S_MAX)
    except OSError as error:
        raise not_met(refusal(error), str(address)) from error
    stream = party.meet(plain, address, listens=False)
    try:
        _require_welcome(stream)
    except BaseException:
        stream.close()
        raise
    return Call(stream)


def _require_welcome(stream: Stream) -> None:
    # Under TLS 1.3 a handshake ends for us before the other has looked at our certificate.
    match stream.hear(NEIGHBOUR_STEP_S_MAX):
        case Welcome():
            return
        case Refused(word):
            raise NotMet(word, str(stream.address), is_theirs=True)
        case None:
            raise NotMet("closed", str(stream.address), is_theirs=False)
        case _:
            raise PeerFault(Kind.MALFORMED, "the neighbour did not say whether it lets this device in")


class Host:
    """A device that listens for its neighbours for the length of a ``with`` block.

    Its certificate for neighbours is kept good meanwhile, as `troth device run` does.
    """

    def __init__(
        self,
        identity: Path | str,
        listen: Address,
        allowed: Sequence[str],
        on_message: OnMessage,
        tell: Tell,
        *,
        clock: Clock | None = None,
        life_max: timedelta = LIFE_MAX,
        network: Network = INTERNET,
    ) -> None:
        """`allowed` are names of things, and beginnings of names with ``*`` behind; port 0 is any free one.

        `tell` hears who came and who was turned away. The rest is as for `call`.
        """
        self._path, self._listen, self._on_message, self._tell = Path(identity), listen, on_message, tell
        self._expected = Expected(tuple(allowed), life_max)
        self._clock, self._network = clock or SystemClock(), network
        self._places = threading.BoundedSemaphore(NEIGHBOURS_AT_ONCE_MAX)
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._changing = threading.Lock()
        self.met_one = threading.Event()
        """Set when a neighbour that was let in has gone."""

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(self._listen.host, int(self._socket.getsockname()[1]))

    def __enter__(self) -> Self:
        """Listen. Raises `Fault`: as `ready_peer` does; misconfigured when nothing can listen there."""
        ready_peer(self._path, self._clock, self._network)
        family = socket.AF_INET6 if ":" in self._listen.host else socket.AF_INET
        try:
            self._socket = socket.create_server((self._listen.host, self._listen.port), family=family)
        except OSError as error:
            raise Fault(Kind.MISCONFIGURED, f"nothing can listen at {self._listen}", detail=str(error)) from error
        self._accepting = self._start(self._accept)
        self._start(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more, and part from everybody."""
        self._over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        with self._changing:
            for raw in self._open:
                with suppress(OSError):
                    raw.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join()
        self._socket.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        def run() -> None:
            try:
                work(*arguments)
            finally:
                with self._changing:
                    self._threads.discard(thread)

        thread = threading.Thread(target=run, name="troth-neighbours", daemon=True)
        with self._changing:
            self._threads.add(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while not self._over.is_set():
            if not self._places.acquire(timeout=_LOOK_S):
                continue
            try:
                plain, place = self._socket.accept()
            except OSError:
                # Closed, or out of descriptors: then the next one may fare better.
                self._places.release()
                self._over.wait(_LOOK_S)
                continue
            self._start(self._serve, plain, Address(place[0], place[1]))

    def _serve(self, plain: socket.socket, address: Address) -> None:
        # A second handle, by which `__exit__` ends it whatever it is at.
        raw = plain.dup()
        with self._changing:
            self._open.add(raw)
        try:
            self._meet(plain, address)
        except NotMet as fault:
            by = "them" if fault.is_theirs else "us"
            self._tell(Event.NEIGHBOUR_REFUSED, peer=str(address), why=fault.word, by=by, **reason(fault))
        except Fault as fault:
            self._tell(Event.NEIGHBOUR_REFUSED, peer=str(address), why="other", by="us", **reason(fault))
        finally:
            with self._changing:
                self._open.discard(raw)
            raw.close()
            plain.close()
            self._places.release()

    def _meet(self, plain: socket.socket, address: Address) -> None:
        own = find_peer(self._path)
        if own is None:
            raise Fault(Kind.NOT_FOUND, f"{self._path} shows nothing to neighbours any more")
        party = Party(open_identity(self._path), own, self._expected, self._clock, self._network)
        stream = party.meet(plain, address, listens=True)
        try:
            self._converse(stream)
        finally:
            stream.close()

    def _converse(self, stream: Stream) -> None:
        stream.say(Welcome(stream.thing))
        line = stream.hear(NEIGHBOUR_IDLE_S_MAX)
        if isinstance(line, Refused):
            raise NotMet(line.word, str(stream.address), is_theirs=True)
        whom = {"peer": str(stream.address), "thing": stream.thing}
        until = stream.certificate.not_valid_after_utc
        self._tell(Event.NEIGHBOUR_IN, **whom, certificate_id=certificate_id(stream.certificate), until=until)
        ended: dict[str, object] = {}
        try:
            while line is not None:
                if not isinstance(line, Message):
                    raise PeerFault(Kind.MALFORMED, "the neighbour sent something else than a message")
                self._tell(Event.MESSAGE, **whom, message=line.text)
                stream.say(Taken(self._on_message(stream.thing, line.text)))
                line = None if self._over.is_set() else stream.hear(NEIGHBOUR_IDLE_S_MAX)
        except Fault as fault:
            ended = reason(fault)
        finally:
            self._tell(Event.NEIGHBOUR_GONE, **whom, **ended)
            self.met_one.set()

    def _keep(self) -> None:
        keeper, wait_s = PeerKeeper(self._path, self._clock, draw, self._network), DEVICE_LOOK_S_MAX
        while not self._over.wait(wait_s):
            looked = keeper.look()
            wait_s = looked.wait_s
            if looked.event is not None:
                self._tell(looked.event, **looked.fields)
