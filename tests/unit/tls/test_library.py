"""OpenSSL is told once, before it is loaded: what our processes say is what a process of its own shows here."""

import os
import subprocess
import sys
from pathlib import Path

SAYS_ONE_BYTE = """
import ssl, sys
from troth.tls.library import configure_openssl
if "told" in sys.argv:
    configure_openssl()
from pathlib import Path
from tests.unit.tls.certificates import SERVER, authority, leaf
from troth.tls.client import client_context
from troth.tls.server import ClientAuth, ServerIdentity, ServerTLS
from OpenSSL import SSL

root = authority("Home")
held = leaf("home", root, SERVER, names=["localhost"])
server = ServerTLS(ServerIdentity(held.chain, held.key), (), ClientAuth.NONE).connection()
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
client = client_context([root.certificate]).wrap_bio(incoming, outgoing, server_hostname="localhost")
try:
    client.do_handshake()
except ssl.SSLWantReadError:
    server.bio_write(outgoing.read())
try:
    server.do_handshake()
except SSL.WantReadError:
    incoming.write(server.bio_read(32_768))
client.do_handshake()
server.bio_write(outgoing.read())
server.do_handshake()
server.send(b"x")
sent = server.bio_read(32_768)
incoming.write(sent)
assert client.read(1) == b"x"
print(len(sent))
"""
RECORD_OF_ONE_BYTE = 5 + 1 + 1 + 16
"""Header, data, inner type and tag (RFC 8446, 5.2)."""
ROOT = Path(__file__).parents[3]


def sent(*told: str, **environment: str) -> int:
    """Return how many bytes a server sends whose handshake is over and who says one byte."""
    kept = {name: value for name, value in os.environ.items() if name != "OPENSSL_CONF"}
    command = [sys.executable, "-c", SAYS_ONE_BYTE, *told]
    said = subprocess.run(
        command,
        cwd=ROOT,
        env=kept | {"PYTHONPATH": str(ROOT)} | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return int(said.stdout)


def test_a_server_that_resumes_no_session_sends_no_tickets() -> None:
    assert sent("told") == RECORD_OF_ONE_BYTE
    assert sent() > RECORD_OF_ONE_BYTE


def test_a_configuration_of_the_sites_own_is_kept(tmp_path: Path) -> None:
    own = tmp_path / "openssl.cnf"
    own.write_text("# nothing\n")
    assert sent("told", OPENSSL_CONF=str(own)) > RECORD_OF_ONE_BYTE
