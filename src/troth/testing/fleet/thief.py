"""Somebody who has found keys that devices have let go of, and tries them at every door."""

import asyncio
from base64 import b64encode
from random import Random

from troth.gateway.grants import Peer
from troth.keys.file import generate
from troth.keys.requests import build_request
from troth.protocols.est import REQUEST_TYPE, SIMPLEREENROLL_PATH
from troth.protocols.mqtt import Connect, render
from troth.testing.fleet.handshake import Alert, Shown, meet_client
from troth.testing.fleet.home import Home, HomeDown
from troth.testing.fleet.http import Exchange
from troth.testing.fleet.session import Line, Session
from troth.testing.fleet.watcher import digest_of
from troth.testing.fleet.wire import Place
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.subjects import thing_of

NAME = "thief"


def try_key(place: Place, home: Home, found: Shown, random: Random) -> None:
    """Connect and renew with a credential; `place` hears of it as of any device's."""
    host = f"198.51.{random.randrange(256)}.{random.randrange(256)}"
    _connect(place, home, found, host)
    _renew(place, home, found, host)


def _connect(place: Place, home: Home, found: Shown, host: str) -> None:
    try:
        proven = meet_client(found, home.issuers.devices, home.clock.now(), None)
    except Alert:
        return
    line = Line(asyncio.StreamReader(), lambda: False)
    peer = Peer(proven.certificate_id or "", host, 40_000, None, "1.3")
    session = Session(home, line, peer, NAME, digest_of(found.key))
    place.begin(session)
    session.receive(render(Connect(thing_of(found.chain[0].subject) or "")))


def _renew(place: Place, home: Home, found: Shown, host: str) -> None:
    try:
        proven = meet_client(found, home.issuers.devices, home.clock.now(), home.grace)
    except Alert:
        return
    body = b64encode(build_request(generate(KeyAlgorithm.P256), thing_of(found.chain[0].subject) or ""))
    head = f"POST {SIMPLEREENROLL_PATH} HTTP/1.1\r\nContent-Type: {REQUEST_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    exchange = Exchange(head.encode() + body, Peer(proven.certificate_id or "", host, 40_000, None, "1.3"), proven)
    try:
        answer = home.exchange(exchange)
    except HomeDown:
        return
    place.exchanged(NAME, exchange, answer)
