"""The site's public CA certificates in memory: read from the registry, and again when the journal tells of a new one.

What is handed out are bytes made once. Knows no HTTP.
"""

from collections.abc import Mapping, Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from troth.authority.derive import CERTIFICATES_PATH, published_name
from troth.enrollment.est import cacerts
from troth.journal.record import Entry
from troth.registry.issuers import list_issuers
from troth.registry.trust import TrustBundle, trust_bundle
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.profiles import Purpose


class Issuers:
    """The issuers of this site as they are published."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.files: Mapping[str, bytes] = {}
        """Path -> DER of each issuing CA's certificate. The root is not among them: nobody may take trust from here."""
        self.shards: Mapping[str, int] = {}
        """Over how many CRLs each issuer's certificates are spread, the root's too."""
        self.cacerts: bytes = b""
        """The body of EST's /cacerts."""
        self.bundle = TrustBundle((), (), ())
        """What it holds."""
        self.devices: tuple[x509.Certificate, ...] = ()
        """The issuing CAs of devices."""

    def load(self) -> None:
        """Read them from the registry. Blocks. Raises `Fault` (unavailable)."""
        with read(self._db) as connection:
            issuers = list_issuers(connection)
            bundle = trust_bundle(connection)
        self.files = {
            f"{CERTIFICATES_PATH}{published_name(issuer.issuer_id)}.cer": issuer.certificate.public_bytes(Encoding.DER)
            for issuer in issuers
            if issuer.purpose is not Purpose.ROOT
        }
        self.shards = {issuer.issuer_id: issuer.shards for issuer in issuers}
        self.bundle = bundle
        self.cacerts = cacerts(bundle)
        self.devices = tuple(issuer.certificate for issuer in bundle.devices)


def tells_of_issuers(entries: Sequence[Entry]) -> bool:
    """Say whether `entries` make `Issuers.load` due."""
    return any(entry.kind.startswith("issuer.") for entry in entries)
