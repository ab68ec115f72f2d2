"""What of a simulated home survives its end: the database, the keys, what its doors show. And the times of it all."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from troth.app.profiles import built_in_profiles
from troth.app.wiring.door import open_door
from troth.authority.ceremony import Ceremony
from troth.authority.hierarchy import found
from troth.authority.settle import issue
from troth.clock import Clock
from troth.journal.change import change
from troth.journal.checkpoints import Signer
from troth.keys.file import FileKey, generate
from troth.keys.requests import build_request
from troth.registry.groups import add_member, create_group
from troth.registry.issuers import Issuer, get_issuer
from troth.registry.policies import attach_policy, create_policy
from troth.registry.things import create_thing
from troth.registry.trust import path_shown
from troth.store import migrate
from troth.store.connect import Database, connect
from troth.store.read import read
from troth.testing.fleet.seeding import Cabinet
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.profiles import Purpose
from troth.x509.requests import parse_request

NAME: Final = "home.example"
PUBLIC_URL: Final = "http://home.example:8080"
OPERATOR: Final = "operator:somebody"
LIFE: Final = timedelta(days=365)
"""Of a device's certificate: longer than the profile's own, so that a fleet of hundreds renews some fifteen times."""
GRACE: Final = timedelta(days=180)
KEEP_EXPIRED: Final = timedelta(days=365)
_GROUP: Final = "fleet"
_POLICY: Final = """{"Version": "2012-10-17", "Statement": [
{"Effect": "Allow", "Action": "iot:Connect",
 "Resource": "arn:aws:iot:local:000000000000:client/${iot:Connection.Thing.ThingName}"},
{"Effect": "Allow", "Action": "iot:Publish",
 "Resource": "arn:aws:iot:local:000000000000:topic/${iot:Connection.Thing.ThingName}/*"}]}"""


@dataclass
class Estate:
    """All that a home owns."""

    folder: Path
    clock: Clock
    db: Database = field(init=False)
    """Opened for all its lives, each of which closes its connections: what it has compiled is kept."""
    cabinet: Cabinet = field(default_factory=Cabinet)
    server_key: FileKey = field(default_factory=lambda: generate(KeyAlgorithm.P256))
    shown: tuple[x509.Certificate, ...] = ()
    """What its doors show: their certificate first, the root left out."""
    checkpoint_key: FileKey = field(default_factory=lambda: generate(KeyAlgorithm.ED25519))

    def signer(self, db: Database) -> Signer:
        """Return who signs the journal's head."""
        return Signer(db, self.clock, self.checkpoint_key, f"{NAME}/journal", self.folder / "checkpoint")

    def ceremony(self, db: Database) -> Ceremony:
        """Return what a rollover takes."""
        return Ceremony(db, self.clock, PUBLIC_URL, self.cabinet, OPERATOR)

    def bear(self, things: list[str]) -> x509.Certificate:
        """Make schema, hierarchy, things and policy; return the root."""
        (self.folder / "home.db").touch(0o600)
        db = self.db = connect("sqlite:///home.db", self.folder)
        migrate.upgrade(db)
        profiles = built_in_profiles()
        profiles["device"] = _stretched(profiles["device"])
        hierarchy = found(
            db, self.clock, site=NAME, public_url=PUBLIC_URL, profiles=tuple(profiles.values()), cabinet=self.cabinet
        )
        with change(db, self.clock, OPERATOR) as changing:
            create_group(changing, _GROUP)
            create_policy(changing, "own", _POLICY)
            attach_policy(changing, "own", group=_GROUP)
            for thing in things:
                create_thing(changing, thing)
                add_member(changing, _GROUP, thing)
        self.signer(db).sign(first=True)
        self.certify_doors(db)
        db.dispose()
        return hierarchy.root.certificate

    def certify_doors(self, db: Database) -> bool:
        """Renew what the doors show when that is due, or leads to the roots in another way; say whether it is new."""
        with read(db) as connection:
            issuer = get_issuer(connection, Purpose.SERVERS)
        before = self.shown
        if not before or self._is_due(before[0], issuer):
            leaf = issue(
                db,
                self.clock,
                open_door(db, self.cabinet, PUBLIC_URL, (Purpose.SERVERS,)),
                OPERATOR,
                profile="server",
                request=parse_request(build_request(self.server_key, NAME)),
                name=NAME,
                alternative_names=[NAME],
                method="operator",
                proof={},
                public_url=PUBLIC_URL,
            )
        else:
            leaf = before[0]
        with read(db) as connection:
            self.shown = (leaf, *path_shown(connection, issuer.issuer_id))
        return self.shown != before

    def _is_due(self, leaf: x509.Certificate, issuer: Issuer) -> bool:
        left = leaf.not_valid_after_utc - self.clock.now()
        return leaf.issuer != issuer.certificate.subject or left < timedelta(days=120)


def _stretched(profile: str) -> str:
    """Return the profile of devices with the times of this fleet."""
    lines = profile.replace('validity = "90d"', f'validity = "{LIFE.days}d"')
    return lines.replace('grace = "30d"', f'grace = "{GRACE.days}d"')
