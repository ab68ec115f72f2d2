"""The one door to a CA key: from the id of a committed intent to a signed certificate. Nothing else calls their `sign`.

It trusts no bytes from anybody. It reads the committed intent, derives the whole certificate from the evidence in it,
compares with the digest that the journal recorded, lints again, signs once, and verifies what it signed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from cryptography import x509

from troth.authority.committed import Committed, read_committed
from troth.authority.derive import derive, draft, signer_of, tbs_digest
from troth.authority.intents import OCSP_SIGNER_PROFILE, Intent
from troth.errors import Fault, Kind
from troth.keys.signing import SigningKey
from troth.limits import INTENT_AGE_S_MAX, INTENT_AHEAD_S_MAX
from troth.points import Point, reached
from troth.store.connect import Database
from troth.x509.algorithms import KeyAlgorithm, PublicKey, algorithm_of
from troth.x509.building import assemble
from troth.x509.profiles import Profile
from troth.x509.signing import is_signature

RETRY_AFTER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed certificate and the intent that it was signed for, as it was read from the database."""

    intent: Intent
    certificate: x509.Certificate


Outcome = Signed | Exception
"""What came of one intent at the door."""

_A = TypeVar("_A")
_B = TypeVar("_B")


@dataclass(frozen=True, slots=True)
class _Drafted:
    """What is about to be signed, with which key, and by which key everybody will verify it."""

    intent: Intent
    tbs: bytes
    key: SigningKey
    algorithm: KeyAlgorithm
    verifier: PublicKey


class Door:
    """Holds CA keys and signs what committed intents stand for.

    `keys` are by issuer id; a root's, before it has a certificate, by the SHA-256 of its SubjectPublicKeyInfo.
    `signer_keys`, by issuer id, certify signers of OCSP answers and nothing else. `public_url` is the site's own, from
    this process's settings. Threads may share a door if they may share its keys.
    """

    def __init__(
        self, keys: Mapping[str, SigningKey], public_url: str, signer_keys: Mapping[str, SigningKey] | None = None
    ) -> None:
        self._keys = dict(keys)
        self._signer_keys = dict(signer_keys or {})
        self._public_url = public_url

    @property
    def issuer_ids(self) -> Collection[str]:
        """Whose signatures are to be had here."""
        return self._keys.keys()

    @property
    def signer_issuer_ids(self) -> Collection[str]:
        """Whose signatures are to be had here by signers of OCSP answers."""
        return self._signer_keys.keys()

    def sign(self, db: Database, intent_id: str, now: datetime) -> Signed:
        """Sign the certificate of the committed intent with its issuer's key. Blocks. Registers nothing.

        Raises `Fault`: unavailable (with `retry_after`) when the key is not here or does not work, or the database
        does not answer: the intent can still be signed. Any other kind means that it never will be: expired (it waited
        longer than `INTENT_AGE_S_MAX`, or comes from the future), conflict (it is not waiting), rejected and the like
        (it does not stand for a certificate that may be signed).
        """
        (outcome,) = self.sign_many(db, [intent_id], now)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def sign_many(self, db: Database, intent_ids: Sequence[str], now: datetime) -> list[Outcome]:
        """Sign each of these intents as `sign` does; in their order, what came of it or the exception.

        All are read in one snapshot. A key that fails is not asked again in the same call. Raises `Fault` (unavailable)
        when the database does not answer.
        """
        committed = read_committed(db, intent_ids)
        reached(Point.READ)
        # All are drafted, then all are signed: to go to and fro between the two costs a tenth more for each.
        drafted = _each(lambda each: self._draft(each, now), committed)
        failed: dict[str, Fault] = {}
        return _each(lambda each: _sign(each, failed), drafted)

    def _draft(self, committed: Committed, now: datetime) -> _Drafted:
        intent = committed.intent
        _check_age(intent, now)
        template = derive(
            intent, committed.profile, committed.issuer_certificate, self._public_url, shards=committed.shards
        )
        key = self._key(intent, committed.profile)
        verifier = signer_of(template)
        algorithm = algorithm_of(verifier)
        drafted = draft(template, algorithm)
        reached(Point.DRAFTED)
        if tbs_digest(drafted) != committed.tbs_digest:
            raise Fault(
                Kind.REJECTED,
                "what would be signed is not what was recorded",
                detail="the intent, its profile or the site's public URL has changed since",
            )
        return _Drafted(intent, drafted, key, algorithm, verifier)

    def _key(self, intent: Intent, profile: Profile) -> SigningKey:
        key = self._keys.get(intent.issuer_id)
        if key is None and profile.is_ocsp_signer:
            key = self._signer_keys.get(intent.issuer_id)
        if key is None and intent.profile == OCSP_SIGNER_PROFILE and intent.issuer_id in self._signer_keys:
            raise Fault(
                Kind.REJECTED, f"profile {intent.profile!r} is not one of OCSP signers", hint="troth profile show"
            )
        if key is None:
            raise _unavailable(f"no key for issuer {intent.issuer_id}")
        return key


def _each(work: Callable[[_A], _B], inputs: Sequence[_A | Exception]) -> list[_B | Exception]:
    """Return what comes of each, and the exceptions in their places."""
    outputs: list[_B | Exception] = []
    for each in inputs:
        try:
            outputs.append(each if isinstance(each, Exception) else work(each))
        except Exception as error:  # one intent that breaks our own code must not keep the others waiting
            outputs.append(error)
    return outputs


def _sign(drafted: _Drafted, failed: dict[str, Fault]) -> Signed:
    """Sign one, unless its key has failed before in the same call."""
    issuer_id = drafted.intent.issuer_id
    if issuer_id in failed:
        raise failed[issuer_id]
    try:
        certificate = _sign_once(drafted.key, drafted.algorithm, drafted.verifier, drafted.tbs)
    except Fault as fault:
        failed[issuer_id] = fault
        raise
    return Signed(drafted.intent, certificate)


def _sign_once(key: SigningKey, algorithm: KeyAlgorithm, public_key: PublicKey, tbs: bytes) -> x509.Certificate:
    try:
        signature = key.sign(tbs)
    except Exception as error:  # a key may be a file, a card or a machine far away, each with failures of its own
        detail = getattr(error, "detail", None)
        raise _unavailable(f"{type(error).__name__}: {error}{f' ({detail})' if detail else ''}") from error
    reached(Point.SIGNED)
    # By the key in the issuer's certificate, or for a root in its own: what every verifier will go by. The rest of what
    # they look at is in the bytes, which have been linted.
    if not is_signature(public_key, signature, tbs):
        raise _unavailable("the key made no valid signature")
    reached(Point.VERIFIED)
    return assemble(tbs, algorithm, signature)


def _check_age(intent: Intent, now: datetime) -> None:
    age = now - intent.created_at
    if age > timedelta(seconds=INTENT_AGE_S_MAX):
        raise Fault(Kind.EXPIRED, "the authority did not come to it in time", hint="ask again")
    if age < -timedelta(seconds=INTENT_AHEAD_S_MAX):
        hint = "set the clocks of this site's machines"
        raise Fault(Kind.EXPIRED, "the request comes from the future of the authority's clock", hint=hint)


def _unavailable(detail: str) -> Fault:
    return Fault(
        Kind.UNAVAILABLE,
        "the authority cannot sign at the moment",
        detail=detail,
        hint="look at the log of the authority's process; troth tries again by itself",
        retry_after=RETRY_AFTER_S,
    )
