"""What this home can prove of the certificates that signed readings: the head of a bundle of evidence.

Reads the registry, the journal and the CRLs in force; signs nothing.
"""

from collections.abc import Collection, Iterator

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from troth.authority.status.stored import CRLKind, Scope, find_crl
from troth.errors import Fault, Kind
from troth.evidence.bundle import BundleHead, ProvenEntry
from troth.evidence.checkpoint import VerifierKey
from troth.evidence.entry import render_entry
from troth.journal.checkpoints import find_newest
from troth.journal.entries import list_before
from troth.journal.trees import inclusion_path
from troth.registry.certificates import CertificateRow, find_certificates
from troth.registry.issuers import chain_of, find_issuer
from troth.x509.certificates import certificate_id
from troth.x509.serials import shard_of

_TOLD: tuple[str, ...] = ("certificate.", "principal.")


def bundle_head(connection: Connection, key: VerifierKey, certificate_ids: Collection[str]) -> BundleHead:
    """Return all that is known here of these certificates, with proofs; of those that are not ours, nothing.

    `connection` must be one snapshot. Raises `Fault`: not found when the journal has no checkpoint, or not yet of the
    newest of these entries; rejected when the journal is not whole.
    """
    checkpoint = find_newest(connection)
    if checkpoint is None:
        raise Fault(Kind.NOT_FOUND, "nothing is signed yet", hint="the authority signs when it starts")
    found = find_certificates(connection, certificate_ids)
    # Of a CA of elsewhere we can prove nothing.
    own = {row.issuer_id for row in found.values() if find_issuer(connection, row.issuer_id) is not None}
    rows = {each: row for each, row in found.items() if row.issuer_id in own}
    issuers = {certificate_id(each): each for issuer in own for each in chain_of(connection, issuer)}
    entries = [entry for each in sorted(rows) for entry in _entries(connection, rows[each], checkpoint.checkpoint.size)]
    crls = {crl for row in rows.values() for crl in _crls(connection, row)}
    crls |= {crl for each in issuers for crl in _whole(connection, each)}
    return BundleHead(
        key,
        checkpoint,
        tuple(each.public_bytes(Encoding.DER) for each in issuers.values()),
        tuple(rows[each].der for each in sorted(rows)),
        tuple(sorted(entries, key=lambda entry: entry.index)),
        tuple(sorted(crls)),
    )


def _entries(connection: Connection, row: CertificateRow, size: int) -> Iterator[ProvenEntry]:
    for entry in list_before(connection, subject=row.certificate_id):
        if not entry.kind.startswith(_TOLD):
            continue
        if entry.number > size:
            hint = "the authority signs within a second while it runs"
            raise Fault(Kind.NOT_FOUND, f"entry {entry.number} of the journal is not signed yet", hint=hint)
        path = tuple(inclusion_path(connection, entry.number, size))
        yield ProvenEntry(entry.number - 1, path, render_entry(entry))


def _crls(connection: Connection, row: CertificateRow) -> Iterator[bytes]:
    """Yield the CRL that tells of a certificate: its shard's where there is one."""
    shard = Scope(row.issuer_id, shard_of(int(row.serial, 16)))
    found = find_crl(connection, shard, CRLKind.COMPLETE)
    if found is not None:
        yield found.der
    else:
        yield from _whole(connection, row.issuer_id)


def _whole(connection: Connection, issuer_id: str) -> Iterator[bytes]:
    found = find_crl(connection, Scope(issuer_id, None), CRLKind.COMPLETE)
    if found is not None:
        yield found.der
