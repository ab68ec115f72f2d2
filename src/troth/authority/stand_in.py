"""Stand-ins for a rehearsal: every CA with its names, windows and extensions as they are, under a key of its own.

Nobody trusts them, and they end with the database that they stand in.
"""

from cryptography import x509
from sqlalchemy import Connection

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.keys.file import FileKey, generate
from troth.registry.cross_certificates import add_cross_certificate, list_cross_certificates
from troth.registry.issuers import Issuer, add_issuer, list_issuers
from troth.x509.algorithms import KeyAlgorithm, PublicKey, algorithm_of, signature_hash
from troth.x509.building import key_identifier


class MemoryKeys:
    """CA keys in memory, gone with the process. A `troth.authority.ceremony.KeyCabinet`."""

    def __init__(self) -> None:
        self.keys: dict[str, FileKey] = {}

    def make(self, name: str, algorithm: KeyAlgorithm) -> FileKey:
        """Return the key kept under `name`, made now if there is none."""
        return self.keys.setdefault(name, generate(algorithm))

    def open(self, name: str, public_key: PublicKey | None = None) -> FileKey:
        """Return the key kept under `name`. Raises `Fault` (not found)."""
        if name not in self.keys:
            raise Fault(Kind.NOT_FOUND, f"there is no key {name}")
        return self.keys[name]


def stand_in(real: Connection, changing: Change, keys: MemoryKeys, ids: dict[str, str]) -> None:
    """Register stand-ins for all issuers and cross certificates that `real` sees; fill `ids` with real id -> theirs."""
    issuers = {issuer.issuer_id: issuer for issuer in list_issuers(real)}
    made: dict[str, tuple[x509.Certificate, FileKey]] = {}
    for issuer in _from_the_top(list(issuers.values())):
        # The key of a CA that is kept elsewhere is here in the copy: what is rehearsed is the rest.
        name = issuer.key_name or f"elsewhere/{issuer.name}.key"
        key = keys.make(name, algorithm_of(issuer.certificate.public_key()))
        above = made.get(issuer.parent_id or "")
        certificate = _resigned(issuer.certificate, key, above[0] if above else None, above[1] if above else key)
        made[issuer.issuer_id] = certificate, key
        ids[issuer.issuer_id] = add_issuer(
            changing,
            certificate,
            name=issuer.name,
            purpose=issuer.purpose,
            parent_id=ids.get(issuer.parent_id or ""),
            key_name=name,
            shards=issuer.shards,
            line=issuer.line,
            number=issuer.number,
            state=issuer.state,
        ).issuer_id
    for cross in list_cross_certificates(real):
        subject, signer = made[cross.subject_id], made[cross.issuer_id]
        certificate = _resigned(cross.certificate, subject[1], *signer)
        add_cross_certificate(changing, certificate, subject_id=ids[cross.subject_id], issuer_id=ids[cross.issuer_id])


def _from_the_top(issuers: list[Issuer]) -> list[Issuer]:
    """Return the issuers so that each comes after the one that certified it."""
    found: list[Issuer] = []
    while len(found) < len(issuers):
        known = {None, *(each.issuer_id for each in found)}
        found += [each for each in issuers if each not in found and each.parent_id in known]
    return found


def _resigned(
    certificate: x509.Certificate, key: FileKey, issuer: x509.Certificate | None, signer: FileKey
) -> x509.Certificate:
    """Return `certificate` with the public half of `key` for its own, signed by `signer`."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(issuer.subject if issuer else certificate.subject)
        .public_key(key.public_key)
        .serial_number(certificate.serial_number)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
    )
    for extension in certificate.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectKeyIdentifier):
            value = x509.SubjectKeyIdentifier(key_identifier(key.public_key))
        elif isinstance(value, x509.AuthorityKeyIdentifier):
            value = x509.AuthorityKeyIdentifier(key_identifier(signer.public_key), None, None)
        builder = builder.add_extension(value, extension.critical)
    return builder.sign(signer.private_key, signature_hash(signer.algorithm))
