"""The loads: bare handshakes, enrollments over new connections and over kept ones; blocking clients in threads."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench import machine
from bench.enroll.site import NAME, Server
from bench.processes import cpu_s

TIMEOUT_S: Final = 60.0
_CHUNK: Final = 65_536


@dataclass(frozen=True, slots=True)
class Figure:
    """What came of one load."""

    asked: int
    done: int
    wall_s: float
    cpu_us: dict[str, float]
    """Microseconds of CPU time for each that was asked, by part of the server."""
    load_us: float
    """Microseconds of CPU time for each that the load itself took, which shares the machine."""
    strangers: float
    """The share of the machine that went to neither the server nor the load."""
    error: str | None

    @property
    def per_s(self) -> float:
        return self.done / self.wall_s

    @property
    def total_us(self) -> float:
        """The CPU time of all parts together."""
        return sum(self.cpu_us.values())

    def to_json(self) -> dict[str, object]:
        return asdict(self) | {"per_s": self.per_s, "total_us": self.total_us}


Work = Callable[[Iterator[bytes]], Iterator[None]]
"""What one client does with what it takes from the queue; yields after each that has come through."""


def client_tls(root_file: Path) -> ssl.SSLContext:
    """Return the client's side of TLS 1.3; no session is resumed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(root_file)
    return context


def handshakes(server: Server, context: ssl.SSLContext) -> Work:
    """Connect, shake hands, say goodbye, and wait until the server has said it too."""

    def work(posts: Iterator[bytes]) -> Iterator[None]:
        for _ in posts:
            connection = connect(server.port, context)
            try:
                connection.unwrap().close()
            finally:
                connection.close()
            yield

    return work


def over_new_connections(server: Server, context: ssl.SSLContext) -> Work:
    """Enroll, each over a connection of its own."""

    def work(posts: Iterator[bytes]) -> Iterator[None]:
        for post in posts:
            with connect(server.port, context) as connection:
                _enroll(connection, post)
            yield

    return work


def over_kept_connections(server: Server, context: ssl.SSLContext) -> Work:
    """Enroll one after the other over one connection."""

    def work(posts: Iterator[bytes]) -> Iterator[None]:
        with connect(server.port, context) as connection:
            for post in posts:
                _enroll(connection, post)
                yield

    return work


def measure(server: Server, work: Work, posts: Sequence[bytes], clients: int) -> Figure:
    """Let so many clients do the work at once, and say what it took."""
    queue, lock, errors, done = iter(posts), threading.Lock(), list[str](), [0] * clients

    def taken() -> Iterator[bytes]:
        while True:
            with lock:
                post = next(queue, None)
            if post is None:
                return
            yield post

    def run(number: int) -> None:
        try:
            for _ in work(taken()):
                done[number] += 1
        except (OSError, ValueError) as error:
            errors.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    used = {part: cpu_s(pids) for part, pids in server.processes.items()}
    began, busy, own = time.perf_counter(), machine.busy_s(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - began
    spent = {part: cpu_s(pids) - used[part] for part, pids in server.processes.items()}
    load = time.process_time() - own
    foreign = machine.busy_s() - busy - load - sum(spent.values())
    return Figure(
        asked=len(posts),
        done=sum(done),
        wall_s=wall,
        cpu_us={part: seconds / len(posts) * 1e6 for part, seconds in spent.items()},
        load_us=load / len(posts) * 1e6,
        strangers=max(0.0, foreign / wall / (os.cpu_count() or 1)),
        error=errors[0] if errors else None,
    )


def connect(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return a proven connection. Raises `OSError`."""
    plain = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(plain, server_hostname=NAME)
    except BaseException:
        plain.close()
        raise


def _enroll(connection: ssl.SSLSocket, post: bytes) -> None:
    """Post, and read the answer whole. Raises `OSError`, and `ValueError` for anything else than a certificate."""
    connection.sendall(post)
    head, _, body = _some(connection).partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += _some(connection)
    if not head.startswith(b"HTTP/1.1 200") or b"application/pkcs7-mime" not in head:
        raise ValueError(f"the answer is {head[:60]!r} {body[:300]!r}")


def _some(connection: ssl.SSLSocket) -> bytes:
    data = connection.recv(_CHUNK)
    if not data:
        raise ConnectionError("the server closed before its answer was whole")
    return data
