"""What OCSP answers are made of: the state of each certificate, and signers that are each certified by one issuer.

A signer's key is made by whoever answers, in memory; its certificate goes through the one door like any other. Answers
are made and kept where they are asked for. RFC 6960 sections 2.2 and 4.2.2.2.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from troth.authority.derive import read_profile
from troth.authority.intents import OCSP_SIGNER_PROFILE, Intent, IntentState
from troth.authority.issue import prepare
from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.keys.requests import build_request
from troth.keys.signing import SigningKey
from troth.registry.certificates import CertificateRow, find_by_serial, find_certificate
from troth.registry.issuers import Issuer, list_issuers
from troth.registry.profiles import get_profile
from troth.x509.crl import Reason
from troth.x509.ocsp import CertStatus, good, revoked
from troth.x509.profiles import Purpose
from troth.x509.requests import parse_request

SIGNER_METHOD: Final = "ocsp-signer"

SerialKey = tuple[str, int]
"""A certificate by its issuer's id and its serial number."""

_SERIAL_BITS_MAX: Final = 160
_GOOD: Final = good()


def list_answered(connection: Connection) -> list[Issuer]:
    """Return the issuers for whose certificates there are answers.

    Not the root, whose key is not at hand to certify a signer, nor one that is retired, revoked or kept elsewhere.
    """
    return [
        issuer
        for issuer in list_issuers(connection)
        if issuer.purpose is not Purpose.ROOT and issuer.is_trusted and issuer.key_name
    ]


def find_statuses(connection: Connection, keys: Sequence[SerialKey]) -> dict[SerialKey, CertStatus | None]:
    """Return the state of each certificate; None for a serial number that its issuer has never given."""
    return {key: _status(connection, *key) for key in keys}


def prepare_signer(change: Change, issuer: Issuer, key: SigningKey, public_url: str) -> Intent:
    """Record the intent to certify `key` as a signer of answers about what `issuer` has certified.

    Raises `Fault` as `prepare` does, and what `key` raises.
    """
    name = f"OCSP for {issuer.name}"
    return prepare(
        change,
        profile=OCSP_SIGNER_PROFILE,
        request=parse_request(build_request(key, name)),
        name=name,
        method=SIGNER_METHOD,
        proof={},
        public_url=public_url,
        issuer=issuer,
    )


def find_signer(connection: Connection, intent: Intent) -> tuple[CertificateRow, datetime]:
    """Return the certificate that `intent` has led to, and when it is to be renewed.

    Raises `Fault`: what it was refused with; unavailable while it waits for the authority.
    """
    if intent.state is IntentState.REFUSED:
        raise intent.refused()
    row = find_certificate(connection, intent.certificate_id or "")
    if row is None:
        raise Fault(Kind.UNAVAILABLE, "no signer of OCSP answers was certified", detail=f"intent {intent.intent_id}")
    return row, row.not_after - read_profile(get_profile(connection, row.profile).document).renew_before


def _status(connection: Connection, issuer_id: str, serial: int) -> CertStatus | None:
    if serial <= 0 or serial.bit_length() > _SERIAL_BITS_MAX:
        return None
    row = find_by_serial(connection, issuer_id, f"{serial:x}")
    return None if row is None else _status_of(row)


def _status_of(row: CertificateRow) -> CertStatus:
    # What the CRL says: one that is only deactivated is refused at our own doors, and not revoked.
    if row.revoked_at is None:
        return _GOOD
    return revoked(row.revoked_at, Reason(row.reason or Reason.UNSPECIFIED))
