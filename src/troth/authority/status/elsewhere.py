"""A CRL made where there is its CA's key and certificate and no database: what it has to say comes as a file.

Never takes back what it has said: what the last CRL of that key lists stays, and numbers and times only grow. Knows no
file and no registry. RFC 5280 section 5.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from cryptography import x509

from troth.errors import Fault, Kind, PeerFault
from troth.keys.signing import SigningKey
from troth.limits import CRL_REQUEST_BYTES_MAX, ISSUERS_MAX, NAME_CHARS_MAX
from troth.x509.algorithms import PublicKey, is_sound_hash
from troth.x509.certificates import UNREADABLE, certificate_id, find_extension, subject_text
from troth.x509.crl import PASSING, CRLTemplate, Reason, assemble_crl, build_entry, build_tbs
from troth.x509.signing import is_signature
from troth.x509.times import is_in_time

NUMBER_MAX: Final = 2**63 - 2
"""What the store can count to. RFC 5280, 5.2.3 lets numbers have 20 bytes."""
_SERIAL_DIGITS_MAX: Final = 40
_ID_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class Listed:
    """One certificate that a CRL is to list, or lists."""

    serial: int
    revoked_at: datetime
    reason: Reason
    name: str = ""
    """What its CA is called; empty where that is not known."""

    @property
    def text(self) -> str:
        """For a person: all that the entry says."""
        return f"{self.name or 'a CA'}: serial {self.serial:x}, {self.reason}, since {_text(self.revoked_at)}"


@dataclass(frozen=True, slots=True)
class CRLRequest:
    """What the next CRL of a CA has to say."""

    issuer: str
    """What the CA is called where this comes from."""
    issuer_id: str
    number: int
    """The last number that is known there; 0 for none."""
    listed: tuple[Listed, ...]


@dataclass(frozen=True, slots=True)
class MadeCRL:
    """What came of a request."""

    der: bytes
    number: int
    this_update: datetime
    next_update: datetime
    listed: tuple[Listed, ...]


def render_crl_request(request: CRLRequest) -> bytes:
    """Return a request as JSON, which a person can read too."""
    revoked = [
        {"name": each.name, "serial": f"{each.serial:x}", "reason": each.reason.value, "since": _text(each.revoked_at)}
        for each in request.listed
    ]
    value = {"ca": request.issuer, "issuer_id": request.issuer_id, "number": request.number, "revoked": revoked}
    return json.dumps(value, indent=1).encode() + b"\n"


def parse_crl_request(data: bytes) -> CRLRequest:
    """Read a request. Raises `PeerFault`: too large; malformed, also for what no request of ours would say."""
    if len(data) > CRL_REQUEST_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"a request for a CRL has at most {CRL_REQUEST_BYTES_MAX} bytes")
    try:
        value = json.loads(data)
        _require(value.keys() == {"ca", "issuer_id", "number", "revoked"})
        listed = tuple(_listed(each) for each in value["revoked"])
        _require(len({each.serial for each in listed}) == len(listed) <= ISSUERS_MAX)
        _require(type(value["number"]) is int and 0 <= value["number"] <= NUMBER_MAX)
        identity = value["issuer_id"]
        _require(len(bytes.fromhex(identity)) * 2 == _ID_DIGITS == len(identity))
        return CRLRequest(_name(value["ca"]), identity.lower(), value["number"], listed)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise PeerFault(
            Kind.MALFORMED,
            "that is no request for a CRL",
            detail=repr(error),
            hint="troth crl request writes one, where the CA's certificates are revoked",
        ) from error


def list_revoked(crl: x509.CertificateRevocationList) -> list[Listed]:
    """Return what a complete CRL revokes. Raises `PeerFault` (malformed): unreadable, on hold, another CA's entry."""
    try:
        return [_read(entry) for entry in crl]
    except UNREADABLE as error:
        raise PeerFault(Kind.MALFORMED, "the CRL has entries that cannot be read", detail=str(error)) from error


def make_crl(
    certificate: x509.Certificate,
    key: SigningKey,
    request: CRLRequest,
    last: x509.CertificateRevocationList | None,
    *,
    now: datetime,
    valid: timedelta,
) -> MadeCRL:
    """Sign the CRL that `request` asks for. `last` is the one that this key has signed before, where that is known.

    It ends with its CA's certificate at the latest. Raises `Fault`: not found (another CA's request), bad key (another
    CA's key, one that fails), rejected (no CA that signs CRLs, a `last` of somebody else), expired (the CA's time),
    conflict (the clock is behind what was signed or revoked before).
    """
    now = now.replace(microsecond=0)
    _require_signer(certificate, key, request, now)
    before = _before(certificate, last, now)
    listed = {each.serial: each for each in (*request.listed, *before)}
    late = next((each for each in listed.values() if each.revoked_at > now), None)
    if late is not None:
        raise _clock_behind(f"{late.text}, which is yet to come")
    template = CRLTemplate(
        issuer=certificate,
        number=max(request.number, _number(last)) + 1,
        this_update=now,
        next_update=min(now + valid, certificate.not_valid_after_utc),
    )
    entries = [build_entry(each.serial, each.revoked_at, each.reason) for _, each in sorted(listed.items())]
    tbs = build_tbs(template, key.algorithm, entries)
    signature = key.sign(tbs)
    if not is_signature(key.public_key, signature, tbs):
        raise Fault(Kind.BAD_KEY, "the key made no valid signature")
    named = {each.serial: each.name for each in request.listed}
    shown = tuple(Listed(n, each.revoked_at, each.reason, named.get(n, "")) for n, each in sorted(listed.items()))
    der = assemble_crl(tbs, key.algorithm, signature)
    return MadeCRL(der, template.number, template.this_update, template.next_update, shown)


def _require_signer(certificate: x509.Certificate, key: SigningKey, request: CRLRequest, now: datetime) -> None:
    name = subject_text(certificate.subject)
    if certificate_id(certificate) != request.issuer_id:
        raise Fault(Kind.NOT_FOUND, f"the request is for {request.issuer}, and the certificate is that of {name}")
    if key.public_key != certificate.public_key():
        raise Fault(Kind.BAD_KEY, f"the key is not that of {name}")
    usage = find_extension(certificate, x509.KeyUsage)
    if usage is None or not usage.crl_sign or find_extension(certificate, x509.SubjectKeyIdentifier) is None:
        raise Fault(Kind.REJECTED, f"{name} is no CA that signs CRLs")
    if not is_in_time(certificate.not_valid_before_utc, certificate.not_valid_after_utc, now):
        raise Fault(
            Kind.EXPIRED, f"the certificate of {name} is not in force now", hint="is this machine's clock right?"
        )


def _before(
    certificate: x509.Certificate, last: x509.CertificateRevocationList | None, now: datetime
) -> tuple[Listed, ...]:
    """What the last CRL has revoked stays so, with its date and reason, whatever a request says."""
    if last is None:
        return ()
    key = cast("PublicKey", certificate.public_key())  # the signing key's own, as has been seen
    if not (is_sound_hash(last.signature_hash_algorithm) and last.is_signature_valid(key)):
        raise Fault(Kind.REJECTED, "what lies beside the key as its last CRL was signed by another")
    if last.last_update_utc > now:
        raise _clock_behind(f"the last CRL was made at {_text(last.last_update_utc)}")
    return tuple(list_revoked(last))


def _number(last: x509.CertificateRevocationList | None) -> int:
    # Not `if last`: an empty CRL is as false as none.
    said = last.extensions if last is not None else ()
    return next((each.value.crl_number for each in said if isinstance(each.value, x509.CRLNumber)), 0)


def _clock_behind(what: str) -> Fault:
    return Fault(Kind.CONFLICT, f"this machine's clock is behind: {what}", hint="set the clock, then do this again")


def _read(entry: x509.RevokedCertificate) -> Listed:
    reason = Reason.UNSPECIFIED
    for each in entry.extensions:
        if isinstance(each.value, x509.CRLReason):
            reason = Reason(each.value.reason.value)
        elif each.critical:
            raise ValueError(f"a critical extension {each.oid.dotted_string}")
    if reason in PASSING:
        raise ValueError(f"{reason} revokes nothing for good")
    return Listed(entry.serial_number, entry.revocation_date_utc, reason)


def _listed(value: Mapping[str, object]) -> Listed:
    _require(value.keys() == {"name", "serial", "reason", "since"})
    digits, since = str(value["serial"]), datetime.fromisoformat(str(value["since"]))
    reason = Reason(str(value["reason"]))
    _require(digits.isascii() and digits.isalnum() and len(digits) <= _SERIAL_DIGITS_MAX)
    _require(int(digits, 16) > 0 and since.tzinfo is not None and reason not in PASSING)
    return Listed(int(digits, 16), since.astimezone(UTC).replace(microsecond=0), reason, _name(value["name"]))


def _name(value: object) -> str:
    """A name is shown to whoever signs: nothing in it may play with the terminal."""
    _require(isinstance(value, str) and len(value) <= NAME_CHARS_MAX and value.isascii() and value.isprintable())
    return str(value)


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError("not as a request is")


def _text(at: datetime) -> str:
    return at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
