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

from cryptography import x509

from troth.app.cabinet import FileCabinet, home_cabinet
from troth.app.delegating import raw_public_key, write_server_list
from troth.app.doors import OPERATOR, SERVERS, Doors, own_names
from troth.app.home import Home, open_home
from troth.app.profiles import built_in_profiles
from troth.app.settings import Settings, build_settings
from troth.app.settings_file import render_settings
from troth.app.settings_values import parse_address
from troth.app.wiring.database import find_database
from troth.app.wiring.door import open_crl_door
from troth.app.wiring.signer import open_signer
from troth.authority.ceremony import Ceremony
from troth.authority.hierarchy import INIT, apply_profiles, found, found_root
from troth.authority.roots import register_root
from troth.authority.status.publish import scopes_of
from troth.clock import Clock
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.file import generate, write_key
from troth.keys.files import PUBLIC, write_private
from troth.registry.issuers import get_issuer, list_issuers
from troth.store import migrate, revision
from troth.store.connect import Database, connect
from troth.store.read import read
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.profiles import Purpose

STAGING: Final = ".init"
COMPLETE: Final = "complete"
MARKER: Final = "troth.toml"
HOME_INITIALISED: Final = "home.initialised"
_FOLDERS: Final = ("root", "keys", "servers", "operator", "data", "run")
_OURS: Final = frozenset({STAGING, "root.pem", "journal.pub", "time.json", *_FOLDERS, MARKER})


@dataclass(frozen=True, slots=True)
class Birth:
    """What to make: the site's name and public URL, and what the keys are encrypted with."""

    name: str
    public_url: str
    passphrase: bytes | None
    root: x509.Certificate | None = None
    """The site's root, whose key is on another machine; the CAs below it are then asked for and imported."""
    root_only: bool = False
    """Make the root and nothing below it: for a machine that only signs."""


@dataclass(frozen=True, slots=True)
class Initialised:
    """What came of it."""

    created: bool
    """Whether a home was made; there was one already otherwise."""
    certified: tuple[str, ...]
    """Which of the home's own keys got a certificate, or a new one: ``gateway``, ``web``, ``operator``."""


def initialise(path: Path, birth: Birth, environment: Mapping[str, str], clock: Clock) -> Initialised:
    """Make a home at `path`, unless there is one already.

    That one gets the newest schema, and certificates for those of its own doors that have none or need new ones.
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
        return Initialised(False, _complete(home, settings, birth, clock))
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
    return Initialised(True, tuple(name for name in (*SERVERS, OPERATOR) if home.chain_of(name).exists()))


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


def _complete(home: Home, settings: Settings, birth: Birth, clock: Clock) -> tuple[str, ...]:
    """Certify doors that have no certificate yet, and renew those that near their end, where their CA's key is here."""
    db = find_database(home, settings)
    try:
        doors = Doors(home, settings, db, clock, home_cabinet(home, settings, birth.passphrase), INIT)
        made = doors.certify_missing()
        made += [name for name in doors.renew_due() if name not in made]
        doors.write_roots()
        return tuple(made)
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
    profiles = tuple(built_in_profiles().values())
    site, public_url = settings.site.name, settings.site.public_url
    if birth.root is not None:
        apply_profiles(db, clock, profiles, INIT)
        register_root(Ceremony(db, clock, public_url, cabinet, INIT), birth.root)
    elif birth.root_only:
        found_root(db, clock, site=site, public_url=public_url, profiles=profiles, cabinet=cabinet)
    else:
        names = own_names(settings)
        found(db, clock, site=site, names=names, public_url=public_url, profiles=profiles, cabinet=cabinet)
    doors = Doors(home, settings, db, clock, cabinet, INIT)
    doors.write_roots()
    doors.certify_missing()
    if birth.root is None:
        # The root's key is at hand now, and then in a safe: the first CRL is good for a year.
        with read(db) as connection:
            root = get_issuer(connection, Purpose.ROOT)
        open_crl_door(db, cabinet, public_url, (Purpose.ROOT,)).publish(db, clock, INIT, root, scopes_of(root))
    with change(db, clock, INIT) as changing:
        changing.record(HOME_INITIALISED, site, public_url=public_url)
    _sign_journal(home, settings, birth, db, clock)
    if not birth.root_only:
        _make_time_key(home, settings, birth)


def _sign_journal(home: Home, settings: Settings, birth: Birth, db: Database, clock: Clock) -> None:
    """Make the key of the journal's checkpoints, write its public half, and sign the first one."""
    write_key(home.checkpoint_key, generate(KeyAlgorithm.ED25519), birth.passphrase)
    signer = open_signer(home, settings, db, clock, birth.passphrase)
    write_private(home.verifier_key, f"{signer.verifier.render()}\n".encode(), mode=PUBLIC)
    signer.sign(first=True)


def _make_time_key(home: Home, settings: Settings, birth: Birth) -> None:
    """Make the key of the time that is told, and the list of servers that devices without a clock are given."""
    key = generate(KeyAlgorithm.ED25519)
    write_key(home.time_key, key, birth.passphrase)
    _, port = parse_address(settings.listen.time)
    write_server_list(home, settings.site.name, raw_public_key(key), port)


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
