"""What the intents of one batch refer to, looked up once each, in the snapshot or change of one connection."""

from collections.abc import Collection

from sqlalchemy import Connection

from troth.authority.derive import read_profile
from troth.registry.issuers import Issuer, find_issuer, get_issuer
from troth.registry.profiles import get_profile
from troth.registry.things import find_things
from troth.x509.profiles import Profile, Purpose


class Lookups:
    """Profiles, issuers and things, remembered for as long as the connection's view of them holds."""

    def __init__(self, connection: Connection, things: Collection[str]) -> None:
        """`things` are all names that will be asked for."""
        self._connection = connection
        self._things = find_things(connection, things)
        self._profiles: dict[str, Profile] = {}
        self._issuers: dict[str, Issuer | None] = {}
        self._signing: dict[tuple[Purpose, str | None], Issuer] = {}

    def profile(self, name: str) -> Profile:
        """Return the profile in force under `name`. Raises `Fault` (not found)."""
        if name not in self._profiles:
            self._profiles[name] = read_profile(get_profile(self._connection, name).document)
        return self._profiles[name]

    def issuer(self, issuer_id: str) -> Issuer | None:
        """Return the issuer with this id, or None."""
        if issuer_id not in self._issuers:
            self._issuers[issuer_id] = find_issuer(self._connection, issuer_id)
        return self._issuers[issuer_id]

    def signing(self, purpose: Purpose, name: str | None) -> Issuer:
        """Return the issuer that signs for `purpose`, as `get_issuer` does. Raises `Fault` (not found)."""
        if (purpose, name) not in self._signing:
            self._signing[purpose, name] = get_issuer(self._connection, purpose, name)
        return self._signing[purpose, name]

    def has_thing(self, name: str) -> bool:
        """Say whether there is a thing of this name."""
        return name in self._things
