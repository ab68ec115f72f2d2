"""Asks for answers over so many connections, as fast as they come, and looks at each of them a little."""

import base64
import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cryptography import x509

from bench.processes import cpu_s
from troth.x509.der import OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, constructed, integer, tlv
from troth.x509.ocsp import issuer_digests

_NONCE = bytes.fromhex("2b0601050507300102")
_GOOD = b"\x80\x00"
_SUCCESSFUL = b"\x0a\x01\x00"
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Figure:
    """What one load has led to."""

    answers: int
    good: int
    wall_s: float
    server_cpu_s: float

    @property
    def per_core_s(self) -> float:
        """Answers for each second of the server's CPU time: what one core can do that does nothing else."""
        return self.answers / self.server_cpu_s if self.server_cpu_s else 0.0


def requests(folder: Path, nonce: bool = False) -> list[bytes]:
    """Return one request in DER for each certificate of the site, by SHA-1."""
    digests = issuer_digests(x509.load_pem_x509_certificate((folder / "issuer.pem").read_bytes()))[0]
    head = (
        tlv(SEQUENCE, tlv(OBJECT_IDENTIFIER, digests.algorithm)),
        tlv(OCTET_STRING, digests.name_hash),
        tlv(OCTET_STRING, digests.key_hash),
    )
    after = b""
    if nonce:
        value = tlv(OCTET_STRING, tlv(OCTET_STRING, bytes(32)))
        after = tlv(constructed(2), tlv(SEQUENCE, tlv(SEQUENCE, tlv(OBJECT_IDENTIFIER, _NONCE), value)))
    serials: list[int] = json.loads((folder / "serials.json").read_text())
    asked = (tlv(SEQUENCE, tlv(SEQUENCE, tlv(SEQUENCE, *head, integer(serial)))) for serial in serials)
    return [tlv(SEQUENCE, tlv(SEQUENCE, each, after)) for each in asked]


def get(path: str, request: bytes) -> bytes:
    """Return a GET, whole."""
    text = quote(base64.b64encode(request), safe="")
    return f"GET {path}/{text} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, request: bytes) -> bytes:
    """Return a POST, whole."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/ocsp-request\r\n"
    return f"{head}Content-Length: {len(request)}\r\n\r\n".encode() + request


def over_kept_connections(port: int, pid: int, asked: list[bytes], count: int, connections: int = 16) -> Figure:
    """Ask `count` times, over connections that stay open, each with one request under way."""
    sockets = [socket.create_connection(("127.0.0.1", port), _PATIENCE_S) for _ in range(connections)]
    began, cpu, answers, good = time.perf_counter(), cpu_s([pid]), 0, 0
    for start in range(0, count, connections):
        for place, each in enumerate(sockets):
            each.sendall(asked[(start + place) % len(asked)])
        for each in sockets:
            body = read_answer(each)
            answers += _SUCCESSFUL in body[:12]
            good += _GOOD in body
    figure = Figure(answers, good, time.perf_counter() - began, cpu_s([pid]) - cpu)
    for each in sockets:
        each.close()
    return figure


def over_new_connections(port: int, pid: int, asked: list[bytes], count: int) -> Figure:
    """Ask `count` times, over a connection for each."""
    began, cpu, answers, good = time.perf_counter(), cpu_s([pid]), 0, 0
    for number in range(count):
        with socket.create_connection(("127.0.0.1", port), _PATIENCE_S) as each:
            each.sendall(asked[number % len(asked)])
            body = read_answer(each)
        answers += _SUCCESSFUL in body[:12]
        good += _GOOD in body
    return Figure(answers, good, time.perf_counter() - began, cpu_s([pid]) - cpu)


def read_answer(sock: socket.socket) -> bytes:
    """Read one answer and return its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += _some(sock)
    return body


def _some(sock: socket.socket) -> bytes:
    data = sock.recv(65_536)
    if not data:
        raise ConnectionError("the responder closed before its answer was whole")
    return data
