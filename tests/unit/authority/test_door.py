"""The door signs what a committed intent stands for, and nothing that anybody else has made of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.fixtures.issuance import certificates, intend, reread, tamper

from troth.app.profiles import built_in_profiles
from troth.authority.door import Door
from troth.authority.intents import Intent, IntentState
from troth.authority.settle import settle
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.file import FileKey, generate
from troth.keys.requests import build_request
from troth.limits import INTENT_AGE_S_MAX, INTENT_AHEAD_S_MAX
from troth.registry.profiles import apply_profile
from troth.testing.authority import TestAuthority, new_request
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm, PublicKey
from troth.x509.profiles import ExtendedUse, Purpose
from troth.x509.subjects import thing_subject
from troth.x509.verify import verify_issued_by


@dataclass
class WatchedKey:
    """A CA's key that counts, and can be made to fail."""

    inner: FileKey
    error: Exception | None = None
    other: FileKey | None = None
    signed: list[bytes] = field(default_factory=list)

    @property
    def algorithm(self) -> KeyAlgorithm:
        return self.inner.algorithm

    @property
    def public_key(self) -> PublicKey:
        return self.inner.public_key

    def sign(self, data: bytes) -> bytes:
        self.signed.append(data)
        if self.error:
            raise self.error
        return (self.other or self.inner).sign(data)


@pytest.fixture
def key(authority: TestAuthority) -> WatchedKey:
    return WatchedKey(authority.cabinet.open("keys/devices-1.key"))


@pytest.fixture
def door(authority: TestAuthority, key: WatchedKey) -> Door:
    return Door({authority.hierarchy.issuing[Purpose.DEVICES].issuer_id: key}, authority.public_url)


def test_an_intent_gets_one_signature(authority: TestAuthority, door: Door, key: WatchedKey) -> None:
    own = generate(KeyAlgorithm.P256)
    intent = intend(authority, key=own)
    signed = door.sign(authority.db, intent.intent_id, authority.clock.now())
    assert key.signed == [signed.certificate.tbs_certificate_bytes]
    assert signed.certificate.public_key() == own.public_key
    assert signed.certificate.serial_number == intent.serial
    verify_issued_by(
        signed.certificate, authority.issuer(Purpose.DEVICES), at=authority.clock.now(), use=ExtendedUse.CLIENT_AUTH
    )


def test_an_intent_that_nobody_committed_is_not_signed(authority: TestAuthority, door: Door, key: WatchedKey) -> None:
    with pytest.raises(Fault) as caught:
        door.sign(authority.db, "0" * 32, authority.clock.now())
    assert caught.value.kind is Kind.NOT_FOUND
    assert key.signed == []


def test_what_is_concluded_is_not_signed_again(authority: TestAuthority, door: Door, key: WatchedKey) -> None:
    intent = intend(authority)
    settle(authority.db, authority.clock, door, intent.intent_id)
    with pytest.raises(Fault) as caught:
        door.sign(authority.db, intent.intent_id, authority.clock.now())
    assert caught.value.kind is Kind.CONFLICT
    assert settle(authority.db, authority.clock, door, intent.intent_id).state is IntentState.ISSUED
    assert len(key.signed) == 1


@pytest.mark.parametrize(
    ("seconds", "signs"),
    [
        (INTENT_AGE_S_MAX, True),
        (INTENT_AGE_S_MAX + 1, False),
        (-INTENT_AHEAD_S_MAX, True),
        (-INTENT_AHEAD_S_MAX - 1, False),
    ],
)
def test_neither_the_past_nor_the_future_is_signed(
    authority: TestAuthority, door: Door, key: WatchedKey, clock: FakeClock, seconds: int, signs: bool
) -> None:
    intent = intend(authority)
    clock.advance(timedelta(seconds=seconds))
    settled = settle(authority.db, clock, door, intent.intent_id)
    assert (settled.state is IntentState.ISSUED) is signs
    assert bool(key.signed) is signs
    if not signs:
        assert settled.refused().kind is Kind.EXPIRED
        assert certificates(authority.db, "lamp-1") == []


def _spki(key: FileKey) -> bytes:
    return key.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _another_thing(intent: Intent) -> dict[str, Any]:
    return {"thing": "safe-1"}


def _another_thing_with_its_subject(intent: Intent) -> dict[str, Any]:
    return {"thing": "safe-1", "subject": thing_subject("safe-1").public_bytes()}


def _another_key(intent: Intent) -> dict[str, Any]:
    return {"public_key": _spki(generate(KeyAlgorithm.P256))}


def _another_request(intent: Intent) -> dict[str, Any]:
    return {"request": build_request(generate(KeyAlgorithm.P256), "lamp-1")}


def _another_request_with_all_that_follows(intent: Intent) -> dict[str, Any]:
    key = generate(KeyAlgorithm.P256)
    request = new_request(key, "lamp-1")
    return {"request": request.der, "request_digest": request.digest, "public_key": _spki(key)}


def _a_request_signed_by_another_key(intent: Intent) -> dict[str, Any]:
    assert intent.request is not None
    return {"request": intent.request[:-1] + bytes([intent.request[-1] ^ 1])}


def _no_request(intent: Intent) -> dict[str, Any]:
    return {"request": None}


def _another_serial(intent: Intent) -> dict[str, Any]:
    return {"serial": "1234567890abcdef1234567890abcdef"}


def _a_longer_life(intent: Intent) -> dict[str, Any]:
    return {"not_after": int((intent.not_after + timedelta(days=3650)).timestamp() * 1_000_000)}


def _another_name(intent: Intent) -> dict[str, Any]:
    return {"san": json.dumps(["bank.example"])}


def _another_time(intent: Intent) -> dict[str, Any]:
    return {"created_at": int((intent.created_at + timedelta(seconds=10)).timestamp() * 1_000_000)}


def _a_server(intent: Intent) -> dict[str, Any]:
    return {"profile": "server"}


def _an_issuer(intent: Intent) -> dict[str, Any]:
    return {"profile": "issuing-devices"}


def _a_root(intent: Intent) -> dict[str, Any]:
    return {"profile": "root"}


@pytest.mark.parametrize(
    "forge",
    [
        _another_thing,
        _another_thing_with_its_subject,
        _another_key,
        _another_request,
        _another_request_with_all_that_follows,
        _a_request_signed_by_another_key,
        _no_request,
        _another_serial,
        _a_longer_life,
        _another_name,
        _another_time,
        _a_server,
        _an_issuer,
        _a_root,
    ],
)
def test_an_intent_changed_after_its_commit_is_refused(
    authority: TestAuthority, door: Door, key: WatchedKey, forge: Callable[[Intent], dict[str, Any]]
) -> None:
    authority.thing("safe-1")
    intent, twin = intend(authority), intend(authority)
    tamper(authority.db, intent, **forge(intent))
    settled = settle(authority.db, authority.clock, door, intent.intent_id)
    assert settled.state is IntentState.REFUSED
    assert key.signed == []
    assert certificates(authority.db, "lamp-1") == certificates(authority.db, "safe-1") == []
    assert settle(authority.db, authority.clock, door, twin.intent_id).state is IntentState.ISSUED


def test_an_intent_that_the_journal_does_not_know_is_refused(
    authority: TestAuthority, door: Door, key: WatchedKey
) -> None:
    intent = intend(authority)
    tamper(authority.db, intent, id="f" * 32)
    with pytest.raises(Fault) as caught:
        door.sign(authority.db, "f" * 32, authority.clock.now())
    assert caught.value.kind is Kind.REJECTED
    assert key.signed == []


def test_what_was_linted_under_another_profile_is_not_signed(
    authority: TestAuthority, door: Door, key: WatchedKey, clock: FakeClock
) -> None:
    intent = intend(authority)
    with change(authority.db, clock, "operator:test") as changing:
        text = built_in_profiles()["device"].replace("ocsp = true", "ocsp = false")
        apply_profile(changing, text)
    settled = settle(authority.db, clock, door, intent.intent_id)
    assert settled.refused().kind is Kind.REJECTED
    assert key.signed == []


def test_the_public_url_is_the_authoritys_own(authority: TestAuthority, key: WatchedKey) -> None:
    issuer_id = authority.hierarchy.issuing[Purpose.DEVICES].issuer_id
    elsewhere = Door({issuer_id: key}, "http://elsewhere.example")
    intent = intend(authority)
    assert settle(authority.db, authority.clock, elsewhere, intent.intent_id).state is IntentState.REFUSED
    assert key.signed == []


def test_without_its_issuers_key_an_intent_waits(authority: TestAuthority, clock: FakeClock) -> None:
    intent = intend(authority)
    with pytest.raises(Fault) as caught:
        settle(authority.db, clock, Door({}, authority.public_url), intent.intent_id)
    assert (caught.value.kind, caught.value.retry_after) == (Kind.UNAVAILABLE, 5.0)
    assert reread(authority.db, intent).state is IntentState.PREPARED
    assert settle(authority.db, clock, authority.door(), intent.intent_id).state is IntentState.ISSUED


@pytest.mark.parametrize(
    "error",
    [
        Fault(Kind.UNAVAILABLE, "the token is locked", detail="CKR_PIN_LOCKED"),
        OSError("device gone"),
        ValueError("odd"),
    ],
)
def test_while_a_key_fails_an_intent_waits(
    authority: TestAuthority, door: Door, key: WatchedKey, error: Exception
) -> None:
    intent = intend(authority)
    key.error = error
    with pytest.raises(Fault) as caught:
        settle(authority.db, authority.clock, door, intent.intent_id)
    assert caught.value.kind is Kind.UNAVAILABLE
    assert str(error) in (caught.value.detail or "")
    assert str(error) not in caught.value.message
    assert reread(authority.db, intent).state is IntentState.PREPARED
    key.error = None
    assert settle(authority.db, authority.clock, door, intent.intent_id).state is IntentState.ISSUED


def test_a_signature_of_another_key_never_leaves(authority: TestAuthority, door: Door, key: WatchedKey) -> None:
    intent = intend(authority)
    key.other = generate(KeyAlgorithm.P256)
    with pytest.raises(Fault) as caught:
        settle(authority.db, authority.clock, door, intent.intent_id)
    assert caught.value.kind is Kind.UNAVAILABLE
    assert reread(authority.db, intent).state is IntentState.PREPARED
    assert certificates(authority.db, "lamp-1") == []
