"""`troth init`: a home from nothing. Made in a staging folder and moved in, so that no half-made home is ever seen.

See docs/decisions/0004. Needs no network.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from troth.app.cabinet import FileCabinet
from troth.app.home import Home, open_home
from troth.app.profiles import built_in_profiles
from troth.app.settings import Settings, build_settings, parse_address
from troth.app.settings_file import render_settings
from troth.app.wiring.database import find_database
from troth.app.wiring.door import open_door
from troth.app.wiring.signer import open_signer
from troth.authority.hierarchy import INIT, found
from troth.authority.issue import CEREMONY
from troth.authority.settle import issue
from troth.clock import Clock
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.file import generate, write_key
from troth.keys.files import PUBLIC, write_private
from troth.keys.requests import build_request
from troth.registry.issuers import chain_of, get_issuer, list_issuers
from troth.store import migrate, revision
from troth.store.connect import Database, connect
from troth.store.read import read
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import render_chain
from troth.x509.profiles import Purpose
from troth.x509.requests import parse_request

STAGING: Final = ".init"
COMPLETE: Final = "complete"
MARKER: Final = "troth.toml"
SERVERS: Final = ("gateway", "web")
OPERATOR: Final = "operator"
HOME_INITIALISED: Final = "home.initialised"
_FOLDERS: Final = ("root", "keys", "servers", "operator", "data", "run")
_OURS: Final = frozenset({STAGING, "root.pem", "journal.pub", *_FOLDERS, MARKER})


@dataclass(frozen=True, slots=True)
class Birth:
    """What to make: the site's name and public URL, and what the keys are encrypted with."""

    name: str
    public_url: str
    passphrase: bytes | None


def initialise(path: Path, birth: Birth, environment: Mapping[str, str], clock: Clock) -> bool:
    """Make a home at `path`; return False when there is one already, which only gets the newest schema.

    Finishes what an earlier call left. Raises `Fault`: misconfigured (names, URL, a folder that is not ours or cannot
    be written), conflict (a database that already has a hierarchy; a home of another site; a call at the same time).
    """
    home = Home(path.absolute())
    staging = home.path / STAGING
    if home.exists:
        # The settings are moved in last: what is still in the staging folder is good for nothing.
        shutil.rmtree(staging, ignore_errors=True)
        _, settings = open_home(path, environment)
        _require_same(settings, birth)
        _upgrade(home, settings)
        return False
    tables: dict[str, object] = {"site": {"name": birth.name, "public_url": birth.public_url}}
    settings = build_settings(tables, environment, source="troth init")
    try:
        _prepare_folder(home)
        with _alone(home):
            if not (staging / COMPLETE).exists():
                shutil.rmtree(staging, ignore_errors=True)
                staging.mkdir(mode=0o700)
                _build(Home(staging), settings, birth, clock)
                write_private(staging / COMPLETE, b"")
            _move_in(staging, home)
    except OSError as error:
        raise Fault(Kind.MISCONFIGURED, f"cannot make a home in {path}: {error.strerror}") from error
    return True


def _upgrade(home: Home, settings: Settings) -> None:
    """Bring the database of an older version to this one's schema; nothing happens to one that has it.

    Where the home's database is gone none is made: an empty one would only hide the loss.
    """
    db = find_database(home, settings)
    try:
        revision.require(db)
        migrate.upgrade(db)
    finally:
        db.dispose()


def _require_same(settings: Settings, birth: Birth) -> None:
    there = (settings.site.name, settings.site.public_url)
    if (birth.name or there[0], birth.public_url.rstrip("/") or there[1]) != there:
        raise Fault(
            Kind.CONFLICT,
            f"there is a home of {settings.site.name} at {settings.site.public_url} here already; nothing was changed",
            hint="choose another --home; names are in every certificate and cannot be changed afterwards",
        )


def _prepare_folder(home: Home) -> None:
    home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    foreign = sorted(entry.name for entry in home.path.iterdir() if entry.name not in _OURS)
    if foreign:
        raise Fault(
            Kind.MISCONFIGURED, f"{home.path} is not empty: it has {foreign[0]}", hint="give an empty or a new folder"
        )
    home.path.chmod(0o700)


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Keep every other init out of the home. Raises `Fault` (conflict) when one is in it, or has just made it."""
    descriptor = os.open(home.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    hint = "wait until it has ended, then do this again"
    at_work = Fault(Kind.CONFLICT, f"another troth init is at work in {home.path}", hint=hint)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise at_work from error
        if home.exists:
            raise at_work
        yield
    finally:
        os.close(descriptor)


def _build(home: Home, settings: Settings, birth: Birth, clock: Clock) -> None:
    for folder in (home.root_keys, home.keys, home.servers, home.operator, home.data):
        folder.mkdir(mode=0o700)
    db = connect(settings.store.url, home.path)
    try:
        migrate.upgrade(db)
        with read(db) as connection:
            if list_issuers(connection):
                raise Fault(
                    Kind.CONFLICT,
                    f"the database {_without_password(settings.store.url)} already has a CA hierarchy",
                    hint="give an empty database; one that an init left unfinished can be dropped",
                )
        _found(home, settings, birth, db, clock)
    finally:
        db.dispose()
    write_private(home.settings_file, render_settings(birth.name, settings.site.public_url).encode())


def _found(home: Home, settings: Settings, birth: Birth, db: Database, clock: Clock) -> None:
    cabinet = FileCabinet(home.path, birth.passphrase)
    names = _own_names(settings)
    hierarchy = found(
        db,
        clock,
        site=settings.site.name,
        names=names,
        public_url=settings.site.public_url,
        profiles=tuple(built_in_profiles().values()),
        cabinet=cabinet,
    )
    write_private(home.root_certificate, render_chain([hierarchy.root.certificate]), mode=PUBLIC)
    ceremony = _Ceremony(db, clock, cabinet, birth, settings.site.public_url)
    for server in SERVERS:
        ceremony.certify(home.servers / server, "server", Purpose.SERVERS, settings.site.name, names)
    ceremony.certify(home.operator / OPERATOR, "operator", Purpose.OPERATORS, OPERATOR, ())
    with change(db, clock, INIT) as changing:
        changing.record(HOME_INITIALISED, settings.site.name, public_url=settings.site.public_url)
    _sign_journal(home, settings, birth, db, clock)


def _sign_journal(home: Home, settings: Settings, birth: Birth, db: Database, clock: Clock) -> None:
    """Make the key of the journal's checkpoints, write its public half, and sign the first one."""
    write_key(home.checkpoint_key, generate(KeyAlgorithm.ED25519), birth.passphrase)
    signer = open_signer(home, settings, db, clock, birth.passphrase)
    write_private(home.verifier_key, f"{signer.verifier.render()}\n".encode(), mode=PUBLIC)
    signer.sign(first=True)


@dataclass(frozen=True, slots=True)
class _Ceremony:
    """What it takes to certify the home's own keys, before anything of it runs."""

    db: Database
    clock: Clock
    cabinet: FileCabinet
    birth: Birth
    public_url: str

    def certify(
        self, path: Path, profile: str, purpose: Purpose, name: str, alternative_names: tuple[str, ...]
    ) -> None:
        """Write ``PATH.key`` and ``PATH.pem``, the chain without the root."""
        key = generate(KeyAlgorithm.P256)
        write_key(path.with_suffix(".key"), key, self.birth.passphrase)
        certificate = issue(
            self.db,
            self.clock,
            open_door(self.db, self.cabinet, self.public_url),
            INIT,
            profile=profile,
            request=parse_request(build_request(key, name)),
            name=name,
            alternative_names=alternative_names,
            method=CEREMONY,
            proof={},
            public_url=self.public_url,
        )
        with read(self.db) as connection:
            above = chain_of(connection, get_issuer(connection, purpose).issuer_id)
        write_private(path.with_suffix(".pem"), render_chain([certificate, *above[:-1]]), mode=PUBLIC)


def _own_names(settings: Settings) -> tuple[str, ...]:
    """Return what stands in our servers' certificates: the site, and this machine's own names where it is local."""
    listen = settings.listen
    hosts = {parse_address(each)[0] for each in (listen.mqtt, listen.https, listen.operators)}
    local = ("localhost", "127.0.0.1", "::1") if hosts <= {"localhost", "127.0.0.1", "::1"} else ()
    return tuple(dict.fromkeys((settings.site.name, *local)))


def _move_in(staging: Path, home: Home) -> None:
    """Rename everything into place, the settings last: a home that has them is whole."""
    entries = [entry for entry in staging.iterdir() if entry.name not in {COMPLETE, MARKER}]
    for entry in entries:
        entry.rename(home.path / entry.name)
    if (staging / MARKER).exists():
        (staging / MARKER).rename(home.settings_file)
    shutil.rmtree(staging, ignore_errors=True)


def _without_password(url: str) -> str:
    head, separator, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://...@{tail}" if separator else url
