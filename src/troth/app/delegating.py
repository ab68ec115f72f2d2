"""How the process that tells the time gets leave to: it asks with a key of its own, the authority's process answers.

By two files in ``run/``, so that the long-term key, which devices know, stays with the keys of the CAs, and the one in
the process that parses packets is worth a day. RFC 10049, section 5.2.6.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from troth.app.home import Home
from troth.clock import Clock
from troth.errors import Fault, Kind
from troth.gateway.time import Teller
from troth.keys.file import FileKey, generate, read_key
from troth.keys.files import PUBLIC, read_bounded, write_private
from troth.protocols.roughtime.message import parse_message, value_of
from troth.protocols.roughtime.request import KEY_BYTES
from troth.protocols.roughtime.response import delegate, until_of
from troth.protocols.roughtime.servers import SERVER_LIST_BYTES_MAX, TimeServer, parse_servers, render_servers
from troth.x509.algorithms import KeyAlgorithm

LIFE: Final = timedelta(hours=24)
BACKDATED: Final = timedelta(hours=1)
"""So that a step of the clock back does not silence the server."""
POLL_S: Final = 0.25
CERTIFICATE_BYTES_MAX: Final = 1024

log = structlog.get_logger()


def raw_public_key(key: FileKey) -> bytes:
    """Return an Ed25519 key's public half as Roughtime writes it."""
    assert isinstance(key.public_key, Ed25519PublicKey)
    return key.public_key.public_bytes_raw()


def write_server_list(home: Home, name: str, public_key: bytes, port: int) -> None:
    """Write the list that devices are given, with the home of this name as its one server."""
    host = f"[{name}]" if ":" in name else name
    servers = render_servers([TimeServer(name, public_key, f"{host}:{port}")])
    write_private(home.time_servers, servers, mode=PUBLIC, overwrite=True)


def read_own_server(home: Home) -> TimeServer:
    """Return the home's own entry of its list. Raises `Fault`: not found, malformed."""
    return parse_servers(read_bounded(home.time_servers, SERVER_LIST_BYTES_MAX))[0]


async def obtain(home: Home, long_term_key: bytes) -> Teller:
    """Ask for leave to tell the time, with a new key, and return once it is given."""
    key = generate(KeyAlgorithm.ED25519)
    own = raw_public_key(key)
    write_private(home.time_request, own, overwrite=True)
    while True:
        try:
            certificate = read_bounded(home.time_delegation, CERTIFICATE_BYTES_MAX)
            if value_of(parse_message(value_of(parse_message(certificate), "DELE")), "PUBK") == own:
                return Teller(key, certificate, long_term_key, until_of(certificate))
        except Fault as fault:
            if fault.kind is not Kind.NOT_FOUND:
                raise
        await asyncio.sleep(POLL_S)


async def keep_delegated(home: Home, clock: Clock, passphrase: bytes | None) -> None:
    """Answer the requests of the process that tells the time, each once and without end."""
    answered: bytes | None = None
    while True:
        asked = _asked(home)
        if asked is not None and asked != answered:
            answered = asked
            try:
                until = await asyncio.to_thread(_delegate, home, clock, passphrase, asked)
                log.info("time.delegated", until=until.isoformat(timespec="seconds"))
            except Fault as fault:
                log.error("time.not_delegated", reason=fault.message, detail=fault.detail, hint=fault.hint)
        await asyncio.sleep(POLL_S)


def _asked(home: Home) -> bytes | None:
    try:
        asked = read_bounded(home.time_request, KEY_BYTES)
    except Fault:
        return None
    return asked if len(asked) == KEY_BYTES else None


def _delegate(home: Home, clock: Clock, passphrase: bytes | None, public_key: bytes) -> datetime:
    key, now = read_key(home.time_key, passphrase), clock.now()
    certificate = delegate(key.sign, public_key, now - BACKDATED, now + LIFE)
    write_private(home.time_delegation, certificate, overwrite=True)
    return now + LIFE
