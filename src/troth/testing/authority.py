"""A whole certificate authority for tests: the real hierarchy and the real door, throwaway keys, a database of its own.

authority = TestAuthority(tmp_path)
lamp = authority.device("lamp-1")      # lamp.chain_file, lamp.key_file
authority.revoke(lamp)
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final

from cryptography import x509

from troth.app.profiles import built_in_profiles
from troth.app.wiring.door import open_door
from troth.authority.ceremony import Ceremony
from troth.authority.door import Door
from troth.authority.generation import Generation
from troth.authority.hierarchy import Hierarchy, found
from troth.authority.revoke import revoke
from troth.authority.serve import serve
from troth.authority.settle import issue
from troth.clock import Clock, SystemClock
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.file import FileKey, generate, render_key
from troth.keys.requests import build_request
from troth.registry.things import create_thing, find_thing
from troth.store import migrate
from troth.store.connect import Database, connect
from troth.testing.clock import FakeClock
from troth.tls.server import ServerIdentity
from troth.x509.algorithms import KeyAlgorithm, PublicKey
from troth.x509.certificates import certificate_id, render_chain
from troth.x509.crl import Reason
from troth.x509.profiles import Purpose
from troth.x509.requests import Request, parse_request

ACTOR: Final = "operator:test"
AGE: Final = timedelta(days=1000)


class MemoryCabinet:
    """CA keys in memory. A `troth.authority.hierarchy.KeyCabinet`."""

    def __init__(self) -> None:
        self.keys: dict[str, FileKey] = {}

    def make(self, name: str, algorithm: KeyAlgorithm) -> FileKey:
        """Return the key of this name, made now if there is none."""
        return self.keys.setdefault(name, generate(algorithm))

    def open(self, name: str, public_key: PublicKey | None = None) -> FileKey:
        """Return the key of this name. Raises `Fault` (not found)."""
        if name not in self.keys:
            raise Fault(Kind.NOT_FOUND, f"there is no key {name}")
        return self.keys[name]


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate, the key that goes with it, and files of both."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    """Its own certificate first, then those up to but without the root."""
    key: FileKey = field(repr=False)
    chain_file: Path
    key_file: Path

    @property
    def certificate_id(self) -> str:
        """The certificate's id."""
        return certificate_id(self.certificate)

    @property
    def server_identity(self) -> ServerIdentity:
        """What a TLS server shows."""
        return ServerIdentity(self.chain, self.key.servable_key)


class TestAuthority:
    """A site with its hierarchy, ready to certify devices, servers and operators.

    The hierarchy is born 1,000 days before the clock's time, so that certificates can be made that have expired
    (`at` in the past). It makes its own database in `folder`, unless it is given one that has the schema; where that
    has a hierarchy already, give the `cabinet` of its keys too. Files that it writes stand in `folder`.
    """

    __test__ = False

    def __init__(
        self,
        folder: Path,
        *,
        db: Database | None = None,
        clock: Clock | None = None,
        cabinet: MemoryCabinet | None = None,
        site: str = "home.example",
        names: Sequence[str] = (),
        public_url: str = "http://home.example:8080",
    ) -> None:
        self.folder = folder
        self.clock: Clock = clock or SystemClock()
        self.public_url = public_url
        self._site = site
        self.cabinet = cabinet or MemoryCabinet()
        self._owns_db = db is None
        self.db = db or _new_database(folder)
        self.hierarchy: Hierarchy = found(
            self.db,
            FakeClock(self.clock.now() - AGE),
            site=site,
            names=names,
            public_url=public_url,
            profiles=tuple(built_in_profiles().values()),
            cabinet=self.cabinet,
        )
        self.root: x509.Certificate = self.hierarchy.root.certificate
        self.root_file = folder / "root.pem"
        self.root_file.write_bytes(render_chain([self.root]))

    def __enter__(self) -> "TestAuthority":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connections of a database of its own."""
        if self._owns_db:
            self.db.dispose()

    def issuer(self, purpose: Purpose) -> x509.Certificate:
        """Return the certificate of the issuing CA for `purpose`; that for peers is made now if there is none."""
        if purpose is Purpose.PEERS:
            clock = FakeClock(self.clock.now() - AGE)
            ceremony = Ceremony(self.db, clock, self.public_url, self.cabinet, ACTOR)
            return ceremony.bring(Generation(self._site, Purpose.PEERS, 1), self.hierarchy.root).certificate
        return self.hierarchy.issuing[purpose].certificate

    def door(self) -> Door:
        """Return a new door with the keys of the issuing CAs."""
        return open_door(self.db, self.cabinet, self.public_url)

    @asynccontextmanager
    async def serving(self, bell: Path, door: Door | None = None) -> AsyncIterator[None]:
        """Settle intents in this event loop for the length of the block, as the authority's process does."""
        ready, stop = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(serve(self.db, self.clock, door or self.door(), bell, stop, ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        try:
            yield
        finally:
            stop.set()
            await task

    def device(self, thing: str, *, key: FileKey | None = None, at: datetime | None = None) -> Held:
        """Certify a device as the thing `thing`, which is created if there is none; `at` is when (default: now)."""
        self.thing(thing)
        return self._issue("device", Purpose.DEVICES, thing, key, at, thing=thing)

    def peer(self, thing: str, *, key: FileKey | None = None, at: datetime | None = None) -> Held:
        """Certify the thing `thing` towards its neighbours; as `device`."""
        self.thing(thing)
        self.issuer(Purpose.PEERS)
        return self._issue("peer", Purpose.PEERS, thing, key, at, thing=thing)

    def server(self, *names: str, key: FileKey | None = None, at: datetime | None = None) -> Held:
        """Certify a server under these DNS names and addresses, by default ``localhost`` and this machine's."""
        names = names or ("localhost", "127.0.0.1", "::1")
        return self._issue("server", Purpose.SERVERS, names[0], key, at, name=names[0], alternative_names=names)

    def operator(self, name: str, *, key: FileKey | None = None, at: datetime | None = None) -> Held:
        """Certify an operator."""
        return self._issue("operator", Purpose.OPERATORS, name, key, at, name=name)

    def thing(self, name: str, type: str | None = None, attributes: Mapping[str, str] | None = None) -> None:
        """Create a thing if there is none of this name."""
        with change(self.db, self.clock, ACTOR) as changing:
            if find_thing(changing.connection, name) is None:
                create_thing(changing, name, type, attributes)

    def revoke(self, held: Held, reason: Reason = Reason.KEY_COMPROMISE) -> None:
        """Revoke a certificate."""
        with change(self.db, self.clock, ACTOR) as changing:
            revoke(changing, held.certificate_id, reason)

    def _issue(
        self,
        profile: str,
        purpose: Purpose,
        common_name: str,
        key: FileKey | None,
        at: datetime | None,
        *,
        thing: str | None = None,
        name: str | None = None,
        alternative_names: Sequence[str] = (),
    ) -> Held:
        key = key or generate(KeyAlgorithm.P256)
        certificate = issue(
            self.db,
            FakeClock(at) if at else self.clock,
            self.door(),
            ACTOR,
            profile=profile,
            request=new_request(key, common_name),
            thing=thing,
            name=name,
            alternative_names=alternative_names,
            method="test",
            proof={},
            public_url=self.public_url,
        )
        return self._write(certificate, purpose, key)

    def _write(self, certificate: x509.Certificate, purpose: Purpose, key: FileKey) -> Held:
        chain = (certificate, self.issuer(purpose))
        stem = certificate_id(certificate)[:16]
        chain_file, key_file = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        chain_file.write_bytes(render_chain(chain))
        key_file.write_bytes(render_key(key, None))
        return Held(certificate, chain, key, chain_file, key_file)


def new_request(key: FileKey, common_name: str) -> Request:
    """Return a request for `common_name`, signed by `key`."""
    return parse_request(build_request(key, common_name))


def _new_database(folder: Path) -> Database:
    db = connect("sqlite:///authority.db", folder)
    migrate.upgrade(db)
    return db
