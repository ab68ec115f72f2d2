"""EST over HTTPS as a client of our own speaks it: `ssl` and `http.client` of the standard library, nothing of Troth.

Connections are kept, one for each client certificate. Nothing is followed, decoded or retried, except that a kept
connection which the server has closed meanwhile is made anew.
"""

import base64
import http.client
import ssl
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

WELL_KNOWN: Final = "/.well-known/est"
TIMEOUT_S: Final = 60.0
_GONE: Final = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)


@dataclass(frozen=True)
class Credentials:
    """What HTTP Basic carries."""

    user: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class Identity:
    """A client certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the media type, names in lower case, without quotes."""
        pairs = (part.partition("=") for part in self.headers.get("content-type", "").split(";")[1:])
        return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_refusal(self) -> bool:
        """Whether it says that the client has erred."""
        return 400 <= self.status < 500


class Wire:
    """The way to one EST server. `url` is ``https://HOST[:PORT][/PATH]``; without a path it is /.well-known/est."""

    def __init__(self, url: str, root_file: Path) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.hostname is None:
            raise ValueError(f"{url} is no https URL")
        self.host, self.port = parts.hostname, parts.port or 443
        self.path = parts.path.rstrip("/") or WELL_KNOWN
        self.root_file = root_file
        self._contexts: dict[Identity | None, ssl.SSLContext] = {}
        self._kept: dict[Identity | None, http.client.HTTPSConnection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is kept."""
        while self._kept:
            self._kept.popitem()[1].close()

    def ask(
        self,
        method: str,
        operation: str,
        body: bytes | None = None,
        *,
        label: str | None = None,
        content_type: str | None = None,
        credentials: Credentials | None = None,
        authorization: str | None = None,
        who: Identity | None = None,
    ) -> Answer:
        """Send one request on the kept connection of `who`. Raises `OSError`, `http.client.HTTPException`."""
        headers = {"Content-Type": content_type} if content_type else {}
        if authorization or credentials:
            headers["Authorization"] = authorization or (credentials.header if credentials else "")
        target = "/".join(part for part in (self.path, label, operation) if part)
        was_kept = who in self._kept
        try:
            return self._send(self._connection(who), method, target, body, headers)
        except _GONE:
            self._drop(who)
            if not was_kept:
                raise
        except BaseException:
            self._drop(who)
            raise
        try:
            return self._send(self._connection(who), method, target, body, headers)
        except BaseException:
            self._drop(who)
            raise

    def post_on(
        self, connection: http.client.HTTPSConnection, operation: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        """Send one request on a connection of the caller's own."""
        return self._send(connection, "POST", f"{self.path}/{operation}", body, headers)

    def connect(self, context: ssl.SSLContext | None = None) -> http.client.HTTPSConnection:
        """Return a new connection, made and proven; the caller closes it."""
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=TIMEOUT_S, context=context or self.context()
        )
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection

    def context(self, who: Identity | None = None) -> ssl.SSLContext:
        """Return a new client's side of TLS that trusts the root and shows the certificate of `who`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.root_file)
        if who is not None:
            with tempfile.NamedTemporaryFile(suffix=".pem") as file:
                file.write(who.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
                file.write(who.certificate.public_bytes(Encoding.PEM))
                file.flush()
                context.load_cert_chain(file.name)
        return context

    def context_for(self, version: ssl.TLSVersion, ciphers: str | None = None) -> ssl.SSLContext:
        """Return one that speaks this version of TLS alone, however old it is."""
        context = self.context()
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = version
            context.minimum_version = version
        if ciphers is not None:
            context.set_ciphers(ciphers)
        return context

    def _connection(self, who: Identity | None) -> http.client.HTTPSConnection:
        if who not in self._kept:
            if who not in self._contexts:
                self._contexts[who] = self.context(who)
            self._kept[who] = self.connect(self._contexts[who])
        return self._kept[who]

    def _drop(self, who: Identity | None) -> None:
        connection = self._kept.pop(who, None)
        if connection is not None:
            connection.close()

    def _send(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        try:
            connection.request(method, target, body, dict(headers))
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            # A server may answer, and close, before it has read all of a body that it does not want.
            if not body or connection.sock is None:
                raise
        answer = read_answer(connection)
        # `http.client` makes a new connection by itself where the old was to be closed; here that is seen to.
        if connection.sock is None:
            for who in [each for each, kept in self._kept.items() if kept is connection]:
                self._drop(who)
        return answer


def read_answer(connection: http.client.HTTPSConnection) -> Answer:
    """Return the next answer, whole."""
    with connection.getresponse() as response:
        body = response.read()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
