"""Devices that could be neighbours: identities that show certificates of every kind, good or not, and lax listeners."""

import queue
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from cryptography import x509
from tests.fixtures.hierarchy import Maker, Signed
from tests.unit.device.home import NOWHERE, Home

from troth.clock import SystemClock
from troth.device.endpoint import Address
from troth.device.events import Event
from troth.device.identity import open_identity
from troth.device.meeting import NotMet, Party
from troth.device.peer import FOLDER, Peer
from troth.device.recognition import Expected
from troth.device.slots import Slot, Slots
from troth.keys.file import FileKey, generate, render_key
from troth.protocols.neighbours import Line, Welcome
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import render_chain
from troth.x509.profiles import Profile, Purpose
from troth.x509.subjects import THINGS_DOMAIN, issuer_subject, parse_alternative_names, thing_host, thing_subject

ANYBODY = Expected(("*",), timedelta.max)
DAY = timedelta(days=1)
PATIENCE_S = 30


@dataclass(frozen=True)
class Shown:
    """A certificate with its key, and those above it."""

    signed: Signed
    above: tuple[x509.Certificate, ...] = ()


class Neighbourhood:
    """One home with a CA for peers, and the certificates that it gives and would never give."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.maker: Maker = home.maker

    @cached_property
    def peers(self) -> Signed:
        return self.maker.issuer(Purpose.PEERS, generate(KeyAlgorithm.P256), [x509.DNSName(THINGS_DOMAIN)])

    @cached_property
    def any_use(self) -> Signed:
        """A CA that names no uses, and may so certify for all: not one of the built-in kinds."""
        key, profile = generate(KeyAlgorithm.P256), self.maker.profiles["issuing-devices"]
        subject = issuer_subject("home.example", "old", 1)
        template = self.maker.template(
            replace(profile, name="any", extended_key_usage=()), subject, key, self.home.root
        )
        return Signed(self.maker.sign(template, self.maker.root.key, linted=False), key)

    def peer(self, thing: str, *, ends: timedelta = DAY, life: timedelta = DAY, san: Sequence[str] = ()) -> Shown:
        """Return what the home gives a thing: by default as it is, else one that ends and lives otherwise."""
        return self._peer(thing, self.peers, self.maker.profiles["peer"], ends, life, san)

    def by_any_ca(self, thing: str) -> Shown:
        """Return a peer's certificate in all, but for the CA that signed it."""
        return self._peer(thing, self.any_use, self.maker.profiles["peer"], DAY, DAY, ())

    def device(self, thing: str) -> Shown:
        return Shown(self.maker.device(thing), (self.maker.devices.certificate,))

    def server(self, thing: str) -> Shown:
        return Shown(self.maker.server(f"{thing}.home.example"), (self.maker.servers.certificate,))

    def self_signed(self, thing: str) -> Shown:
        key = generate(KeyAlgorithm.P256)
        signed = self._certificate(thing, key, None, key, self.maker.profiles["peer"], DAY, DAY, ())
        return Shown(signed)

    def identity(self, path: Path, thing: str, shown: Shown) -> Path:
        """Write an identity of this home that shows this to neighbours."""
        path.mkdir(mode=0o700)
        # Not durably: a disk that is waited for would take most of these tests' time.
        (path / "device.toml").write_text(f'thing = "{thing}"\n[endpoint]\nest = "{NOWHERE}"\nmqtt = "{NOWHERE}"\n')
        (path / "trust.pem").write_bytes(render_chain([self.home.root]))
        for folder, each in ((path, self.device(thing)), (path / FOLDER, shown)):
            folder.mkdir(mode=0o700, exist_ok=True)
            slot = Slot(folder / "a")
            slot.make()
            slot.key_file.touch(0o600)
            slot.key_file.write_bytes(render_key(each.signed.key, None))
            slot.chain_file.write_bytes(render_chain([each.signed.certificate, *each.above]))
            (folder / "current").symlink_to("a")
        return path

    def _peer(
        self, thing: str, issuer: Signed, profile: Profile, ends: timedelta, life: timedelta, san: Sequence[str]
    ) -> Shown:
        key = generate(KeyAlgorithm.P256)
        return Shown(
            self._certificate(thing, key, issuer.certificate, issuer.key, profile, ends, life, san),
            (issuer.certificate,),
        )

    def _certificate(
        self,
        thing: str,
        key: FileKey,
        issuer: x509.Certificate | None,
        signer: FileKey,
        profile: Profile,
        ends: timedelta,
        life: timedelta,
        san: Sequence[str],
    ) -> Signed:
        names = parse_alternative_names(san or [thing_host(thing)])
        template = self.maker.template(profile, thing_subject(thing), key, issuer, san=names)
        not_after = (self.maker.now + ends).replace(microsecond=0)
        made = replace(template, not_before=not_after - life, not_after=not_after)
        return Signed(self.maker.sign(made, signer, linted=False), key)


class Events(queue.SimpleQueue[tuple[Event, dict[str, object]]]):
    """What a host tells, in turn."""

    def __call__(self, event: Event, **fields: object) -> None:
        self.put((event, fields))

    def wait(self, event: Event) -> dict[str, object]:
        """Return the next event, which must be this one."""
        found, fields = self.get(timeout=PATIENCE_S)
        assert found is event, (found, fields)
        return fields


def lax_party(path: Path, shown: Shown) -> Party:
    """Return somebody who shows this whatever it is worth, and takes anybody of the home."""
    slot = Slots(path / FOLDER).current()
    assert slot is not None
    identity = open_identity(path)
    return Party(identity, Peer(slot, (shown.signed.certificate, *shown.above)), ANYBODY, SystemClock())


@contextmanager
def lax_host(party: Party) -> Iterator[tuple[Address, "queue.SimpleQueue[Line | NotMet | None]"]]:
    """Let a party take one connection, and welcome who comes; put what it hears, or why it met nobody."""
    heard: queue.SimpleQueue[Line | NotMet | None] = queue.SimpleQueue()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = Address("127.0.0.1", listening.getsockname()[1])

        def work() -> None:
            plain, _ = listening.accept()
            try:
                stream = party.meet(plain, address, listens=True)
            except NotMet as fault:
                heard.put(fault)
                return
            try:
                stream.say(Welcome(stream.thing))
                heard.put(stream.hear(PATIENCE_S))
            except NotMet as fault:
                heard.put(fault)
            finally:
                stream.close()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield address, heard
        finally:
            thread.join(PATIENCE_S)


def lax_call(party: Party, address: Address) -> Line | None:
    """Let a party call, and return what it hears first. Raises `NotMet`."""
    stream = party.meet(socket.create_connection((address.host, address.port)), address, listens=False)
    try:
        return stream.hear(PATIENCE_S)
    finally:
        stream.close()
