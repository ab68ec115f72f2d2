"""The keys and certificates of our own doors: certified where there are none, renewed in time and with CA and names.

A renewal keeps the key and replaces one file, the chain: key and chain always belong together, whenever it is cut off.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from troth.app.cabinet import FileCabinet
from troth.app.home import Home
from troth.app.settings import Settings
from troth.app.settings_values import parse_address
from troth.app.wiring.door import open_door
from troth.authority.derive import read_profile
from troth.authority.issuer_intents import CEREMONY
from troth.authority.settle import issue
from troth.clock import Clock
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.file import FileKey, generate, read_key, write_key
from troth.keys.files import PUBLIC, read_bounded, write_private
from troth.keys.pkcs11.uri import is_token_uri
from troth.keys.requests import build_request
from troth.limits import CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX
from troth.registry.issuers import Issuer, get_issuer, list_issuers
from troth.registry.profiles import get_profile
from troth.registry.trust import path_shown, trust_bundle
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import certificate_id, find_extension, parse_chain, render_chain
from troth.x509.profiles import Profile, Purpose
from troth.x509.requests import parse_request

SERVERS: Final = ("gateway", "web")
OPERATOR: Final = "operator"
DOORS_RENEWED: Final = "home.renewed"
_CHAIN_BYTES_MAX: Final = 2 * CERTIFICATE_BYTES_MAX * CHAIN_CERTIFICATES_MAX
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Doors:
    """What it takes to certify the home's own keys."""

    home: Home
    settings: Settings
    db: Database
    clock: Clock
    cabinet: FileCabinet
    actor: str

    def certify_missing(self) -> list[str]:
        """Certify what has no certificate yet, the first operator too, where its CA is there; return their names."""
        made = [name for name in SERVERS if self._missing(self._server(name), Purpose.SERVERS)]
        for name in made:
            self._certify(
                self._server(name), "server", Purpose.SERVERS, self.settings.site.name, own_names(self.settings)
            )
        if self._missing(self._operator, Purpose.OPERATORS):
            self._certify(self._operator, "operator", Purpose.OPERATORS, OPERATOR, ())
            made.append(OPERATOR)
        return made

    def renew_due(self) -> list[str]:
        """Renew the certificates of our servers that near their end, or whose CA or names are others by now.

        Return whose they were. Chains that lead to the roots in another way than before are written anew. Raises
        `Fault` as `issue` does.
        """
        renewed = [name for name in SERVERS if self._chain(self._server(name)) and self._renew(name)]
        rewritten = [name for name in SERVERS if self._rewrite(self._server(name))]
        if renewed or rewritten:
            with change(self.db, self.clock, self.actor) as changing:
                # Doors that are open follow this.
                changing.record(DOORS_RENEWED, self.settings.site.name, renewed=renewed, rewritten=rewritten)
        return renewed

    def write_roots(self) -> None:
        """Write ``root.pem`` with the roots in force, the youngest first; the same ones change nothing."""
        with read(self.db) as connection:
            roots = [root.certificate for root in trust_bundle(connection).roots]
        content = render_chain(roots)
        file = self.home.root_certificate
        if roots and (not file.exists() or read_bounded(file, _CHAIN_BYTES_MAX) != content):
            write_private(file, content, mode=PUBLIC, overwrite=True)

    @property
    def _operator(self) -> Path:
        return self.home.operator / OPERATOR

    def _server(self, name: str) -> Path:
        return self.home.servers / name

    def _missing(self, path: Path, purpose: Purpose) -> bool:
        if _pem(path).exists():
            return False
        with read(self.db) as connection:
            return any(each.purpose is purpose and self._is_at_hand(each) for each in list_issuers(connection))

    def _is_at_hand(self, issuer: Issuer) -> bool:
        name = issuer.key_name
        return is_token_uri(name) or (bool(name) and (self.home.path / name).exists())

    def _renew(self, name: str) -> bool:
        path = self._server(name)
        leaf = self._chain(path)[0]
        with read(self.db) as connection:
            rules = read_profile(get_profile(connection, "server").document)
            issuer = get_issuer(connection, Purpose.SERVERS, rules.issuer_name)
        if not self._is_at_hand(issuer):
            # A host that only runs gateways: its certificates come from where the keys are.
            return False
        names = own_names(self.settings)
        is_current = leaf.issuer == issuer.certificate.subject and _names_of(leaf) == set(names)
        if is_current and not _is_due(leaf, rules, self.clock.now()):
            return False
        self._certify(path, "server", Purpose.SERVERS, self.settings.site.name, names)
        return True

    def _certify(self, path: Path, profile: str, purpose: Purpose, name: str, names: tuple[str, ...]) -> None:
        """Write ``PATH.key``, where there is none yet, and ``PATH.pem``, the chain without the root."""
        key = self._key(path.with_suffix(".key"))
        certificate = issue(
            self.db,
            self.clock,
            open_door(self.db, self.cabinet, self.settings.site.public_url, (purpose,)),
            self.actor,
            profile=profile,
            request=parse_request(build_request(key, name)),
            name=name,
            alternative_names=names,
            method=CEREMONY,
            proof={},
            public_url=self.settings.site.public_url,
        )
        self._write(path, certificate)

    def _key(self, file: Path) -> FileKey:
        if file.exists():
            return read_key(file, self.cabinet.passphrase)
        key = generate(KeyAlgorithm.P256)
        write_key(file, key, self.cabinet.passphrase)
        return key

    def _rewrite(self, path: Path) -> bool:
        chain = self._chain(path)
        return bool(chain) and self._write(path, chain[0])

    def _write(self, path: Path, leaf: x509.Certificate) -> bool:
        with read(self.db) as connection:
            issuers = [each for each in list_issuers(connection) if each.certificate.subject == leaf.issuer]
            if not issuers:
                raise Fault(Kind.CONFLICT, f"{_pem(path)} was not certified here", hint="troth init certifies it anew")
            shown = [leaf, *path_shown(connection, issuers[-1].issuer_id)]
        if [certificate_id(each) for each in self._chain(path)] == [certificate_id(each) for each in shown]:
            return False
        write_private(_pem(path), render_chain(shown), mode=PUBLIC, overwrite=True)
        return True

    def _chain(self, path: Path) -> tuple[x509.Certificate, ...]:
        return parse_chain(read_bounded(_pem(path), _CHAIN_BYTES_MAX)) if _pem(path).exists() else ()


def own_names(settings: Settings) -> tuple[str, ...]:
    """Return what stands in our servers' certificates: the site's names, and this machine's own where it is local."""
    listen = settings.listen
    hosts = {parse_address(each)[0] for each in (listen.mqtt, listen.https, listen.operators)}
    local = _LOCAL if hosts <= set(_LOCAL) else ()
    return tuple(dict.fromkeys((settings.site.name, *settings.site.names, *local)))


def _pem(path: Path) -> Path:
    return path.with_suffix(".pem")


def _names_of(leaf: x509.Certificate) -> set[str]:
    names = find_extension(leaf, x509.SubjectAlternativeName)
    if names is None:
        return set()
    return {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}


def _is_due(leaf: x509.Certificate, rules: Profile, now: datetime) -> bool:
    return leaf.not_valid_after_utc - now <= rules.renew_before
