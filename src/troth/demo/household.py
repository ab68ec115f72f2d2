"""A home with its CA keys at hand, in this process: what certifies, by the one door, for the parts of the story.

Only while the home's own authority does not run. Knows nothing of who is honest.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cryptography import x509

from troth.app.cabinet import FileCabinet
from troth.app.home import open_home
from troth.app.wiring.database import open_database
from troth.app.wiring.door import open_door
from troth.authority.ceremony import Ceremony
from troth.authority.issuer_intents import CEREMONY
from troth.authority.rollover import create_issuer
from troth.authority.settle import issue
from troth.clock import Clock
from troth.device.slots import Slot
from troth.enrollment.enrollments import create_enrollment
from troth.journal.change import change
from troth.keys.file import FileKey, write_key
from troth.keys.files import write_private
from troth.keys.requests import build_request
from troth.registry.issuers import chain_of, get_issuer
from troth.registry.policies import attach_policy, create_policy
from troth.registry.profiles import apply_profile, get_profile
from troth.registry.things import create_thing
from troth.registry.types import create_type
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.certificates import parse_chain, render_chain
from troth.x509.profile_text import parse_profile
from troth.x509.profiles import Purpose
from troth.x509.requests import parse_request

ACTOR: Final = "operator:demo"
PEERS: Final = 'name = "peers"\nprofile = "peer"\nproofs = ["certificate"]\n'
"""The enrollment by which a thing gets what it shows to its neighbours: the proof is what it is at home."""
NO_POLICIES: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ShiftedClock:
    """A clock that is wrong by a fixed time."""

    right: Clock
    by: timedelta

    def now(self) -> datetime:
        """Return the time, wrong by `by`."""
        return self.right.now() + self.by


@dataclass(frozen=True, slots=True)
class Household:
    """A home, opened."""

    path: Path
    site: str
    root: x509.Certificate
    db: Database
    clock: Clock
    _cabinet: FileCabinet
    _public_url: str

    def introduce(self, thing: str, kind: str, policies: Mapping[str, str] = NO_POLICIES) -> None:
        """Create a thing of type `kind` with the policies that `policies` has the documents of, by name."""
        with change(self.db, self.clock, ACTOR) as changing:
            create_type(changing, kind)
            create_thing(changing, thing, kind)
            for name, document in policies.items():
                create_policy(changing, name, document)
                attach_policy(changing, name, thing=thing)

    def let_things_meet(self) -> None:
        """Make a CA for what things show to each other, and let all that are at home here have such certificates."""
        ceremony = Ceremony(self.db, self.clock, self._public_url, self._cabinet, ACTOR)
        create_issuer(ceremony, site=self.site, purpose=Purpose.PEERS, line=None, names=())
        with change(self.db, self.clock, ACTOR) as changing:
            create_enrollment(changing, PEERS)

    def shorten_profile(self, name: str, validity: str, of: str) -> None:
        """Put a profile `name` into force: the one `of` that name, but for how long its certificates are valid."""
        lines = {"name": f'name = "{name}"', "validity": f'validity = "{validity}"'}
        with change(self.db, self.clock, ACTOR) as changing:
            document = get_profile(changing.connection, of).document
            apply_profile(changing, "\n".join(lines.get(_key(line), line) for line in document.splitlines()))

    def certify(
        self,
        profile: str,
        key: FileKey,
        folder: Path,
        *,
        thing: str | None = None,
        name: str | None = None,
        wrong_by: timedelta = timedelta(0),
    ) -> Slot:
        """Have our own CA certify `key`, for a thing or for a server named `name`; return where key and chain stand.

        `wrong_by` is how wrong the clock is by which that happens. Raises `Fault` as `prepare` and the door do.
        """
        with read(self.db) as connection:
            purpose = parse_profile(get_profile(connection, profile).document).issuer
            assert purpose is not None  # devices and servers have issuers of their own
            above = chain_of(connection, get_issuer(connection, purpose).issuer_id)[:-1]
        certificate = issue(
            self.db,
            ShiftedClock(self.clock, wrong_by),
            open_door(self.db, self._cabinet, self._public_url),
            ACTOR,
            profile=profile,
            request=parse_request(build_request(key, thing or name or "")),
            thing=thing,
            name=name,
            alternative_names=(name,) if name else (),
            method=CEREMONY,
            proof={},
            public_url=self._public_url,
        )
        return store(folder, key, (certificate, *above))


def store(folder: Path, key: FileKey, chain: Sequence[x509.Certificate]) -> Slot:
    """Keep a key and its chain in a new folder, as devices keep theirs."""
    slot = Slot(folder)
    slot.make()
    write_key(slot.key_file, key, None)
    write_private(slot.chain_file, render_chain(chain))
    return slot


@contextmanager
def opened(path: Path, environment: Mapping[str, str], clock: Clock) -> Iterator[Household]:
    """Open the home at `path` for the length of the block. Raises `Fault` when it cannot be used."""
    home, settings = open_home(path, environment)
    db = open_database(home, settings)
    try:
        root = parse_chain(home.root_certificate.read_bytes())[0]
        yield Household(path, settings.site.name, root, db, clock, FileCabinet(path, None), settings.site.public_url)
    finally:
        db.dispose()


def _key(line: str) -> str:
    return line.partition("=")[0].strip()
