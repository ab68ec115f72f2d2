"""An EST server that is honest, or has one fault that a test names: what the conformance suite is itself tested with.

On `http.server` and `ssl` of the standard library; independent of the gateway. Which fault has to be found by which
check stands in `faults.py`.
"""

import base64
import ssl
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.conformance.est.faulty_ca import Hierarchy
from tests.conformance.est.faulty_registrar import PKCS7, Refused, Registrar, Reply
from tests.conformance.est.wire import WELL_KNOWN, Credentials

LABEL: Final = "lamps"
BODY_MAX: Final = 16 * 1024
_READ_AND_FORGOTTEN_MAX: Final = 4 * 1024 * 1024
_POSTS: Final = ("simpleenroll", "simplereenroll", "serverkeygen")


class FaultyServer:
    """The server at work. Set `fault` to the name of the one that it shall have."""

    def __init__(self, hierarchy: Hierarchy, folder: Path) -> None:
        self.hierarchy = hierarchy
        self.registrar = Registrar(hierarchy, self.has)
        self.stranger: x509.Certificate | None = None
        """Whose certificate the fault `admits-strangers` lets in."""
        self.port = 0
        self._fault: str | None = None
        self._folder = folder
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    def has(self, *faults: str) -> bool:
        """Say whether the fault is one of these."""
        return self._fault in faults

    @contextmanager
    def with_fault(self, fault: str | None) -> Iterator[None]:
        """Have this fault for the length of the block."""
        self._fault = fault
        self.registrar.forget()
        try:
            yield
        finally:
            self._fault = None

    def context(self) -> ssl.SSLContext:
        """Return the server's side of TLS, as the fault has it."""
        kind = self._fault if self.has(*_OF_TLS) else None
        if kind not in self._contexts:
            self._contexts[kind] = self._make_context()
        return self._contexts[kind]

    def _make_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        chain = self._folder / "server.pem"
        chain.write_bytes(
            self.hierarchy.server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + self.hierarchy.server.public_bytes(Encoding.PEM)
            + self.hierarchy.issuing.certificate.public_bytes(Encoding.PEM)
        )
        context.load_cert_chain(chain)
        anchors = [self.hierarchy.root.certificate]
        if self.has("admits-strangers") and self.stranger is not None:
            anchors.append(self.stranger)
        context.load_verify_locations(cadata=b"".join(each.public_bytes(Encoding.DER) for each in anchors))
        context.load_verify_locations(cadata=self.hierarchy.issuing.certificate.public_bytes(Encoding.DER))
        context.verify_mode = ssl.CERT_OPTIONAL
        # Whatever this machine's OpenSSL says by itself.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.has("tls-1.3-only"):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        if self.has("tls-1.1"):
            with warnings.catch_warnings(action="ignore"):
                context.minimum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        if self.has("anonymous-ciphers"):
            context.set_ciphers("ALL:aNULL:@SECLEVEL=0")
        return context


_OF_TLS: Final = ("tls-1.3-only", "tls-1.1", "anonymous-ciphers", "admits-strangers")


@contextmanager
def faulty_server(hierarchy: Hierarchy) -> Iterator[FaultyServer]:
    """Serve HTTPS on a free port of the loopback for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="faulty-est-") as folder:
        est = FaultyServer(hierarchy, Path(folder))

        class Handler(_Handler):
            server_under_test = est

        class Server(ThreadingHTTPServer):
            daemon_threads = False

            def get_request(self) -> tuple[Any, Any]:
                plain, address = super().get_request()
                # The handshake is made in the connection's own thread, by its first read.
                return est.context().wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client whose handshake failed, or that went away

        with Server(("127.0.0.1", 0), Handler) as server:
            est.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield est
            finally:
                server.shutdown()
                thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Paths, methods, types and sizes; what is enrolled, the registrar says."""

    server_under_test: FaultyServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 60

    def handle_any(self) -> None:
        self._password = ""
        try:
            reply = self._reply(self._read())
        except Refused as refused:
            reply = self._refusal(refused.reply)
        self._write(reply)

    do_GET = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _has(self, *faults: str) -> bool:
        return self.server_under_test.has(*faults)

    def _read(self) -> bytes:
        length = int(self.headers.get("Content-Length", 0))
        if length > _READ_AND_FORGOTTEN_MAX:
            self.close_connection = True
            raise Refused(413, "this is too much")
        body = self.rfile.read(length)
        if length > BODY_MAX and not self._has("any-size"):
            raise Refused(413, "this is too much")
        return body

    def _reply(self, body: bytes) -> Reply:
        label, operation = self._place()
        if operation == "cacerts":
            return self._cacerts()
        if operation == "csrattrs":
            self._allow("GET")
            return self.server_under_test.registrar.csrattrs()
        if operation == "fullcmc" and self._has("breaks-on-fullcmc"):
            raise Refused(500, "something broke")
        if operation in _POSTS:
            if label is not None and label != LABEL and not self._has("any-label"):
                raise Refused(404, "there is no such label")
            return self._post(operation, body)
        if self._has("any-path") and operation != "fullcmc":
            return self._cacerts()
        raise Refused(404, "there is nothing here")

    def _place(self) -> tuple[str | None, str]:
        parts = self.path.removeprefix(WELL_KNOWN + "/").split("/")
        if self.path.startswith(WELL_KNOWN) and len(parts) <= 2:
            label = parts[0] if len(parts) == 2 else None
            if label is None or not self._has("no-label"):
                return label, parts[-1]
        raise Refused(404, "there is nothing here")

    def _cacerts(self) -> Reply:
        allowed = ("GET", "HEAD", "POST") if self._has("posts-to-cacerts") else ("GET", "HEAD")
        self._allow(*allowed)
        if self._has("closed-cacerts") and self._credentials() is None:
            raise Refused(401, "who are you?", {"WWW-Authenticate": 'Basic realm="est"'})
        return self.server_under_test.registrar.cacerts()

    def _post(self, operation: str, body: bytes) -> Reply:
        self._allow("POST", *(["GET"] if self._has("enrolls-by-get") else []))
        registrar = self.server_under_test.registrar
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
        if operation == "simplereenroll":
            who: Credentials | x509.Certificate | None = self._peer()
            if who is None and not self._has("renews-for-anybody"):
                raise Refused(403, "renew with the certificate that you have")
        else:
            who = self._proven(operation)
        if kind != "application/pkcs10" and not self._has("any-type"):
            raise Refused(415, "send application/pkcs10")
        if operation == "simplereenroll":
            return registrar.renew(who if isinstance(who, x509.Certificate) else None, body)
        user = who.user if isinstance(who, Credentials) else None
        if operation == "serverkeygen":
            return registrar.make_key(user, body)
        connection: ssl.SSLSocket = self.connection
        return registrar.enroll(user, body, connection.get_channel_binding("tls-unique"))

    def _proven(self, operation: str) -> Credentials | None:
        """Return the credentials that were shown, if they are right."""
        shown = self._credentials()
        if shown is None:
            if self._has("nothing-proven" if operation == "simpleenroll" else "keys-for-anybody"):
                return None
            challenge = {} if self._has("no-challenge") else {"WWW-Authenticate": 'Basic realm="est"'}
            raise Refused(401, "who are you?", challenge)
        known = self.server_under_test.registrar.passwords
        if shown.user not in known and not self._has("any-user"):
            raise Refused(401, "who are you?", {"WWW-Authenticate": 'Basic realm="est"'})
        is_right = known.get(shown.user, shown.password) == shown.password
        is_right = is_right or self._has("any-password") or (self._has("empty-password") and not shown.password)
        if not is_right:
            raise Refused(401, "who are you?", {"WWW-Authenticate": 'Basic realm="est"'})
        return shown

    def _credentials(self) -> Credentials | None:
        header = self.headers.get("Authorization")
        if header is None:
            return None
        try:
            user, colon, password = (
                base64.b64decode(header.removeprefix("Basic "), validate=True).decode().partition(":")
            )
        except ValueError:
            colon = ""
        if not colon:
            raise Refused(500 if self._has("breaks-on-credentials") else 400, "this cannot be read")
        self._password = password
        return Credentials(user, password)

    def _peer(self) -> x509.Certificate | None:
        connection: ssl.SSLSocket = self.connection
        der = connection.getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(der) if der else None

    def _allow(self, *methods: str) -> None:
        if self.command not in methods:
            headers = {} if self._has("405-without-allow") else {"Allow": ", ".join(methods)}
            raise Refused(405, "not so", headers)

    def _refusal(self, reply: Reply) -> Reply:
        if self._has("errors-in-binary"):
            return Reply(reply.status, b"\xff\xfe\x00", {**reply.headers, "Content-Type": "application/octet-stream"})
        if self._has("errors-as-certificates") and reply.status in {400, 415}:
            return Reply(reply.status, reply.body, {**reply.headers, "Content-Type": PKCS7})
        if self._has("errors-repeat-all"):
            return Reply(reply.status, reply.body + self._password.encode(), reply.headers)
        return reply

    def _write(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in {"Content-Type": "text/plain", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD" or self._has("head-with-body"):
            self.wfile.write(reply.body)
        if self._has("closes-unannounced"):
            self.close_connection = True
