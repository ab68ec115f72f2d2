"""A connection by stunnel with OpenSSL's pkcs11 engine, where this interpreter's own `ssl` cannot use a key in a token.

One process for one connection, over a pair of sockets that nobody else can open; what it is told, PIN included, goes in
by a descriptor and is on no disk. The server is verified by stunnel: chain, name, and time by the machine's clock.
stunnel(8), version 5, its inetd mode.
"""

import os
import shutil
import socket
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from troth.errors import Fault, Kind
from troth.tls.alerts import alert_name
from troth.tls.refusals import Refusal
from troth.tls.token_keys import TokenKeyAccess

_CONNECTED: Final = "TLS connected"
_LINES_KEPT: Final = 40
_VERDICTS: Final[Mapping[str, str]] = {
    "Subject checks failed": "wrong-name",
    "error: self-signed certificate in certificate chain": "unknown-issuer",
    "error: self-signed certificate": "self-signed",
    "error: unable to get": "unknown-issuer",
    "error: certificate has expired": "expired",
    "error: certificate is not yet valid": "not-yet-valid",
    "error: certificate signature failure": "bad-signature",
    "certificate purpose": "wrong-purpose",
    "certificate verify failed": "untrusted",
    "wrong version number": "not-tls",
    "unsupported protocol": "no-shared-protocol",
    "s_connect:": "unreachable",
    "Error resolving": "unreachable",
    "unexpected eof": "closed",
    "Connection reset": "reset",
}
"""What stunnel writes when there is no connection, the more telling first, and the word for it."""


class NoTunnel(Exception):
    """There is no connection; `refusal` says who ended it and why."""

    def __init__(self, refusal: Refusal) -> None:
        """Tell of `refusal`."""
        super().__init__(refusal.word)
        self.refusal = refusal


def open_tunnel(
    host: str,
    port: int,
    server_name: str,
    roots: Sequence[x509.Certificate],
    chain_file: Path,
    access: TokenKeyAccess,
    timeout_s: float,
) -> socket.socket:
    """Return a socket behind which stunnel speaks TLS with a server that has proven by `roots` to be `server_name`.

    It shows the chain in `chain_file` and proves it by the key in the token. What the server thinks of that, who reads
    learns by the connection's end, without the alert. stunnel ends with the socket.

    Raises:
        NoTunnel: No such server, none that answers in time, or one that is not who it must be.
        Fault: UNSUPPORTED when there is no stunnel; UNAVAILABLE when it cannot use the key.
    """
    program = shutil.which("stunnel") or shutil.which("stunnel4")
    if program is None:
        raise Fault(Kind.UNSUPPORTED, "there is no stunnel on this machine")
    pem = b"".join(root.public_bytes(Encoding.PEM) for root in roots)
    with _in_memory("roots", pem) as roots_file:
        told = _configuration(f"{host}:{port}", server_name, f"/proc/self/fd/{roots_file}", chain_file, access)
        with _in_memory("stunnel", told.encode()) as told_file:
            ours, process = _start([program, "-fd", str(told_file)], (roots_file, told_file))
    try:
        _Said(process).require_connected(timeout_s)
    except BaseException:
        ours.close()
        raise
    ours.settimeout(timeout_s)
    return ours


def _start(words: Sequence[str], inherited: tuple[int, ...]) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Return a process, and the other end of what it reads and writes."""
    ours, theirs = socket.socketpair()
    with theirs:
        ends = theirs.fileno()
        try:
            # What is typed at the agent's terminal is not for it.
            return ours, subprocess.Popen(
                words,
                stdin=ends,
                stdout=ends,
                stderr=subprocess.PIPE,
                pass_fds=inherited,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise


def _configuration(server: str, server_name: str, roots: str, chain_file: Path, access: TokenKeyAccess) -> str:
    """Write what stunnel is told. Raises `Fault` (misconfigured) for a value that would be more than one line."""
    names = ("checkIP", "") if _is_address(server_name) else ("checkHost", server_name)
    lines = (
        ("foreground", "yes"),
        ("syslog", "no"),
        ("debug", "info"),
        ("engine", "pkcs11"),
        ("engineCtrl", f"MODULE_PATH:{access.module}"),
        ("engineCtrl", f"PIN:{access.pin}"),
        ("client", "yes"),
        ("connect", server),
        ("engineId", "pkcs11"),
        ("cert", str(chain_file)),
        ("key", access.uri),
        ("CAfile", roots),
        ("verifyChain", "yes"),
        (names[0], server_name),
        ("sni", names[1]),
        ("sslVersionMin", "TLSv1.2"),
        ("TIMEOUTclose", "5"),
    )
    if not all(value.isprintable() for _, value in lines):
        raise Fault(Kind.MISCONFIGURED, "stunnel cannot be told a path, a name or a PIN that is not printable")
    return "".join(f"{name} = {value}\n" for name, value in lines)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


@contextmanager
def _in_memory(name: str, content: bytes) -> Iterator[int]:
    """Give a descriptor of a file with this content that is on no disk."""
    descriptor = os.memfd_create(name)
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


class _Said:
    """Reads what one stunnel says to its end, so that it never waits to be heard, and buries it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._is_connected = False
        self._settled = threading.Event()
        threading.Thread(target=self._read, name="stunnel", daemon=True).start()

    def require_connected(self, timeout_s: float) -> None:
        """Return once it is connected. Raises as `open_tunnel`."""
        if not self._settled.wait(timeout_s):
            self._process.kill()
            raise NoTunnel(Refusal("timeout", "no connection in time"))
        if self._is_connected:
            return
        said = "; ".join(self._lines)
        if "Configuration successful" not in said:
            hint = "check that the token is there, that the URI means its key, and the PIN"
            raise Fault(Kind.UNAVAILABLE, "stunnel cannot use the key in the token now", hint=hint, detail=said[-400:])
        raise NoTunnel(Refusal(_word(said), self._lines[-2] if len(self._lines) > 1 else said))

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                # Behind date, time, level and number of the connection.
                text = line.decode("utf-8", "replace").strip().partition("]: ")[2]
                self._lines.append(text)
                if text.startswith(_CONNECTED):
                    self._is_connected = True
                    self._settled.set()
        self._process.wait()
        self._settled.set()


def _word(said: str) -> str:
    for line in said.split("; "):
        alert = alert_name(line.rpartition("SSL routines::")[2])
        if alert:
            return f"alert:{alert}"
    return next((word for words, word in _VERDICTS.items() if words in said), "other")
