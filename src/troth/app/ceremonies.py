"""A home's ceremonies: what `troth.authority` does with its keys, and what is then written to the home's files.

Whoever calls needs no network. Where something of the home runs, it follows by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from troth.app.cabinet import FileCabinet, home_cabinet
from troth.app.doors import Doors, own_names
from troth.app.home import Home
from troth.app.settings import Settings
from troth.app.wiring.door import open_crl_door
from troth.authority.adopt import adopt_answer, adopt_issuer, request_issuer
from troth.authority.ceremony import Ceremony
from troth.authority.rollover import Rollover, create_issuer, retire, roll_over
from troth.authority.roots import adopt_root
from troth.authority.status.publish import scopes_of
from troth.authority.subordinate import sign_request
from troth.clock import Clock
from troth.errors import Fault, Kind
from troth.keys.file import FileKey, read_key
from troth.registry.issuer_requests import IssuerRequest
from troth.registry.issuers import Issuer, list_issuers
from troth.registry.trust import TrustBundle
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.profiles import Purpose
from troth.x509.requests import Request


@dataclass(frozen=True, slots=True)
class Ceremonies:
    """All that it takes, at hand."""

    home: Home
    settings: Settings
    db: Database
    clock: Clock
    cabinet: FileCabinet
    actor: str
    why: str = ""
    """The reason given, for the journal."""

    @property
    def ceremony(self) -> Ceremony:
        """The authority's part of it."""
        return Ceremony(self.db, self.clock, self.settings.site.public_url, self.cabinet, self.actor, self.why)

    @property
    def site(self) -> str:
        """The site's name."""
        return self.settings.site.name

    def create(self, purpose: Purpose, line: str | None, key: str | None) -> Issuer:
        """Make a further issuing CA. Raises `Fault` as `create_issuer` does."""
        names = own_names(self.settings)
        return create_issuer(self.ceremony, site=self.site, purpose=purpose, line=line, names=names, key=key)

    def roll_over(self, line: str, key: str | None) -> Rollover:
        """Bring the next generation of a line into force, then bring our own doors and files in step.

        Raises `Fault` as `rollover.roll_over` does.
        """
        done = roll_over(self.ceremony, site=self.site, line=line, names=own_names(self.settings), key=key)
        if done.new.purpose is Purpose.ROOT:
            self._publish_crl(done.new)
        self.refresh()
        return done

    def request(self, purpose: Purpose, line: str | None, key: str | None) -> IssuerRequest:
        """Make a key here and ask for its certificate. Raises `Fault` as `request_issuer` does."""
        return request_issuer(self.ceremony, site=self.site, purpose=purpose, line=line, key=key)

    def adopt(
        self,
        certificates: Sequence[x509.Certificate],
        key: FileKey | None,
        purpose: Purpose | None,
        line: str | None,
    ) -> Issuer:
        """Register a CA that was certified elsewhere: brought with its key, asked for here, or the next root.

        Raises `Fault`: malformed (a key without a purpose), and as `troth.authority.adopt` and `roots` do.
        """
        if key is not None:
            if purpose is None:
                hint = "say with --purpose what it certifies: devices, servers, operators or root"
                raise Fault(Kind.MALFORMED, "a CA that is brought with its key has one purpose", hint=hint)
            issuer = adopt_issuer(
                self.ceremony, self.cabinet, certificates, key, purpose=purpose, line=line, site=self.site
            )
        elif purpose is Purpose.ROOT:
            issuer = adopt_root(self.ceremony, certificates)
        else:
            issuer = adopt_answer(self.ceremony, certificates)
        self.refresh()
        return issuer

    def sign(
        self, request: Request, purpose: Purpose, line: str | None, names: Sequence[str]
    ) -> tuple[Issuer, TrustBundle]:
        """Sign the request of a subordinate whose key is elsewhere. Raises `Fault` as `sign_request` does."""
        allowed = (*own_names(self.settings), *names)
        return sign_request(self.ceremony, request, site=self.site, purpose=purpose, line=line, names=allowed)

    def retire(self, name: str, force: str | None) -> Issuer:
        """Take nothing any more that an issuer has signed. Raises `Fault` as `rollover.retire` does."""
        retired = retire(self.ceremony, name, force=force)
        self.refresh()
        return retired

    def refresh(self) -> list[str]:
        """Certify doors that have no certificate or an old CA's; write ``root.pem``; return who was certified."""
        doors = Doors(self.home, self.settings, self.db, self.clock, self.cabinet, self.actor)
        doors.write_roots()
        return [*doors.certify_missing(), *doors.renew_due()]

    def _publish_crl(self, root: Issuer) -> None:
        # Its key is at hand now; certificates that it signs say that its CRL is to be had.
        door = open_crl_door(self.db, self.cabinet, self.settings.site.public_url, (Purpose.ROOT,))
        door.publish(self.db, self.clock, self.actor, root, scopes_of(root))


def open_cabinet(
    home: Home, settings: Settings, db: Database, passphrase: bytes | None, pin: str | None = None
) -> FileCabinet:
    """Return the home's cabinet, where new keys are encrypted as those that are there.

    Raises `Fault` (bad key): a passphrase that the keys here do not have, or none for keys that have one.
    """
    with read(db) as connection:
        names = [issuer.key_name for issuer in list_issuers(connection)]
    for file in _files(home, names):
        read_key(file, passphrase)
        if passphrase is not None and _opens(file, None):
            raise Fault(
                Kind.BAD_KEY,
                "the keys of this home are not encrypted, and a new one would be",
                hint="leave the passphrase away: what runs could not open the new key",
            )
        break
    return home_cabinet(home, settings, passphrase, pin)


def _files(home: Home, names: Sequence[str]) -> list[Path]:
    found = [home.path / name for name in names if name and not name.startswith("pkcs11:")]
    return [file for file in found if file.exists()]


def _opens(file: Path, passphrase: bytes | None) -> bool:
    try:
        read_key(file, passphrase)
    except Fault:
        return False
    return True
