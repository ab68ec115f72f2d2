"""The sockets that devices and people connect to: bound once by the supervisor, handed down to its workers."""

import socket
from dataclasses import dataclass
from typing import Final

from troth.app.settings import Listen
from troth.app.settings_values import parse_address
from troth.errors import Fault, Kind

BACKLOG = 1024

_KINDS: Final = {"time": socket.SOCK_DGRAM}
"""What is not TCP."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One address, and a socket on it for each process that serves it; the kernel spreads connections over them."""

    name: str
    address: str
    sockets: tuple[socket.socket, ...]


def bind_all(listen: Listen, *, gateways: int, web: int, time: int) -> dict[str, Listener]:
    """Bind every listener that this host's processes serve, or none of them. Raises `Fault` (misconfigured)."""
    wanted = {"mqtt": gateways, "https": gateways, "public": gateways, "operators": web, "time": time}
    bound: dict[str, Listener] = {}
    try:
        for name, count in wanted.items():
            if count:
                bound[name] = _bind(name, getattr(listen, name), count, _KINDS.get(name, socket.SOCK_STREAM))
    except Fault:
        close_all(bound)
        raise
    return bound


def close_all(listeners: dict[str, Listener]) -> None:
    """Close this process's copies of the sockets."""
    for listener in listeners.values():
        for each in listener.sockets:
            each.close()


def _bind(name: str, text: str, count: int, kind: socket.SocketKind) -> Listener:
    host, port = parse_address(text)
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)
        make = _datagrams if kind is socket.SOCK_DGRAM else _socket
        if kind is socket.SOCK_STREAM:
            _refuse_a_taken_port(family, address)
        first = make(family, address)
        bound = first.getsockname()
        sockets = (first, *(make(family, bound) for _ in range(count - 1)))
    except OSError as error:
        raise Fault(
            Kind.MISCONFIGURED,
            f"listen.{name}: cannot listen on {text}: {error.strerror or error}",
            hint=f"choose another address with listen.{name} in troth.toml or TROTH_LISTEN__{name.upper()}",
        ) from error
    shown = f"[{bound[0]}]" if family == socket.AF_INET6 else bound[0]
    return Listener(name, f"{shown}:{bound[1]}", sockets)


def _socket(family: int, address: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(address)
    made.listen(BACKLOG)
    made.setblocking(False)
    return made


def _datagrams(family: int, address: tuple[object, ...]) -> socket.socket:
    """Without the options of the others: for datagrams each of them would let two homes share one port unseen."""
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind(address)
    made.setblocking(False)
    return made


def _refuse_a_taken_port(family: int, address: tuple[object, ...]) -> None:
    """Raise `OSError` when somebody listens there: SO_REUSEPORT alone would let two homes share one port unseen."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
