"""The home that everybody is measured with: one hierarchy, one server certificate, the same devices for each server.

Made as `troth init` makes it; the devices are certified by its CA for devices before anything runs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from troth.app.home import open_home
from troth.app.init import Birth, initialise
from troth.app.wiring.database import open_database
from troth.clock import SystemClock
from troth.journal.change import change
from troth.keys.file import read_key
from troth.names import Realm
from troth.registry.issuers import list_issuers
from troth.registry.policies import attach_policy, create_policy
from troth.store.connect import Database
from troth.store.read import read
from troth.testing.authority import ACTOR, MemoryCabinet, TestAuthority
from troth.x509.certificates import render_chain
from troth.x509.profiles import Purpose

NAME: Final = "bench.example"
PUBLIC_URL: Final = "http://bench.example:8080"
DEVICES: Final = ("device-1", "device-2", "device-3", "device-4")
SERVICE: Final = "service"
"""The one that may read what the devices send."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A client's certificate, alone in its file, and its key's."""

    name: str
    certificate_file: Path
    key_file: Path


@dataclass(frozen=True, slots=True)
class Site:
    """Where everything stands. All files are PEM and without a passphrase."""

    home: Path
    root_file: Path
    """What clients trust."""
    server_chain_file: Path
    server_key_file: Path
    issuer_file: Path
    """The CA that certified the devices."""
    anchors_file: Path
    """That CA and the root, for a server that takes no anchor but a root."""
    devices: tuple[Identity, ...]
    service: Identity


def topic_of(device: str) -> str:
    """Return the topic that a device sends to."""
    return f"bench/{device}/reading"


def make_site(folder: Path) -> Site:
    """Make a home in `folder` with its devices, and the rules that Troth decides by."""
    clock = SystemClock()
    initialise(folder / "home", Birth(NAME, PUBLIC_URL, None), {}, clock)
    home, settings = open_home(folder / "home", {})
    files = folder / "files"
    files.mkdir()
    db = open_database(home, settings)
    try:
        authority = TestAuthority(
            files, db=db, clock=clock, cabinet=keys_of(home.path, db), site=NAME, public_url=PUBLIC_URL
        )
        identities = {name: _certify(authority, name) for name in (*DEVICES, SERVICE)}
        _allow(authority)
        issuer = authority.issuer(Purpose.DEVICES)
        issuer_file, anchors_file = files / "issuer.pem", files / "anchors.pem"
        issuer_file.write_bytes(render_chain([issuer]))
        anchors_file.write_bytes(render_chain([issuer, authority.root]))
    finally:
        db.dispose()
    return Site(
        home=home.path,
        root_file=home.root_certificate,
        server_chain_file=home.servers / "gateway.pem",
        server_key_file=home.servers / "gateway.key",
        issuer_file=issuer_file,
        anchors_file=anchors_file,
        devices=tuple(identities[name] for name in DEVICES),
        service=identities[SERVICE],
    )


def keys_of(home: Path, db: Database) -> MemoryCabinet:
    """Return the home's CA keys, as the authority's process opens them."""
    opened = MemoryCabinet()
    with read(db) as connection:
        for issuer in list_issuers(connection):
            opened.keys[issuer.key_name] = read_key(home / issuer.key_name, None)
    return opened


def _certify(authority: TestAuthority, name: str) -> Identity:
    held = authority.device(name)
    file = authority.folder / f"{name}.pem"
    file.write_bytes(render_chain([held.certificate]))
    return Identity(name, file, held.key_file)


def _allow(authority: TestAuthority) -> None:
    """Let each device send to its own topics, and the service read them all; the other servers are told the same."""
    thing = "${iot:Connection.Thing.ThingName}"
    rules = {
        "devices": (DEVICES, _policy({"iot:Connect": f"client/{thing}-*", "iot:Publish": f"topic/bench/{thing}/*"})),
        "service": (
            (SERVICE,),
            _policy(
                {
                    "iot:Connect": f"client/{thing}-*",
                    "iot:Subscribe": "topicfilter/bench/*",
                    "iot:Receive": "topic/bench/*",
                }
            ),
        ),
    }
    with change(authority.db, authority.clock, ACTOR) as changing:
        for policy, (things, document) in rules.items():
            create_policy(changing, policy, document)
            for name in things:
                attach_policy(changing, policy, thing=name)


def _policy(allowed: Mapping[str, str]) -> str:
    statements = [
        {"Effect": "Allow", "Action": action, "Resource": Realm().arn(*resource.split("/", 1))}
        for action, resource in allowed.items()
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
