import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from tests.unit.device.home import THING, Home

from troth.clock import SystemClock
from troth.device.endpoint import Address
from troth.device.enroll import enroll_by
from troth.device.identity import Identity, open_identity
from troth.errors import Fault, Kind
from troth.keys.file import generate, read_key
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.profiles import ExtendedUse
from troth.x509.requests import parse_request
from troth.x509.verify import verify_chain

CLOCK = SystemClock()


class At:
    """A clock that shows one time."""

    def __init__(self, time: datetime) -> None:
        self._time = time

    def now(self) -> datetime:
        return self._time


class Line:
    """The way to a home and back; remembers the requests, and can lose answers."""

    def __init__(self, home: Home, lost: int = 0) -> None:
        self.sent: list[bytes] = []
        self._home = home
        self._lost = lost

    def __call__(self, request: bytes) -> Sequence[x509.Certificate]:
        self.sent.append(request)
        answer = self._home.answer(request)
        if len(self.sent) <= self._lost:
            raise Fault(Kind.UNAVAILABLE, "the answer was lost")
        return answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "identity"


def is_usable(identity: Identity) -> bool:
    """Key and chain belong together and lead to what is trusted."""
    verify_chain(identity.chain, identity.trust, at=CLOCK.now(), use=ExtendedUse.CLIENT_AUTH)
    return read_key(identity.slot.key_file, None).public_key == identity.certificate.public_key()


def test_a_device_makes_a_key_and_has_it_certified(path: Path, home: Home) -> None:
    line = Line(home)
    enrolled = enroll_by(path, home.wanted(), line, CLOCK)
    identity = enrolled.identity
    assert not enrolled.resumed
    assert identity == open_identity(path)
    assert identity.thing == THING
    assert is_usable(identity)
    assert identity.trust == (home.root,)
    assert identity.chain[1:] == (home.maker.devices.certificate,)
    assert parse_request(line.sent[0]).public_key == identity.certificate.public_key()
    assert str(identity.endpoint.est) == "home.example:8443"


def test_the_folder_is_laid_out_as_said_and_for_its_owner_alone(path: Path, home: Home) -> None:
    enroll_by(path, home.wanted(), home.answer, CLOCK)
    found = {str(each.relative_to(path)): oct(each.lstat().st_mode & 0o777) for each in path.rglob("*")}
    assert found == {
        "device.toml": "0o600",
        "trust.pem": "0o600",
        "a": "0o700",
        "a/key.pem": "0o600",
        "a/chain.pem": "0o600",
        "current": "0o777",  # a link has no mode of its own
    }
    assert oct(path.stat().st_mode & 0o777) == "0o700"


def test_after_a_lost_answer_the_same_request_is_sent_again(path: Path, home: Home) -> None:
    line = Line(home, lost=2)
    for _ in range(2):
        with pytest.raises(Fault, match="lost"):
            enroll_by(path, home.wanted(), line, CLOCK)
        with pytest.raises(Fault, match="holds no identity"):
            open_identity(path)
    enrolled = enroll_by(path, home.wanted(), line, CLOCK)
    assert enrolled.resumed
    assert is_usable(enrolled.identity)
    assert len(line.sent) == 3
    assert len(set(line.sent)) == 1


def test_the_request_is_on_the_disk_before_it_is_sent(path: Path, home: Home) -> None:
    def look(request: bytes) -> Sequence[x509.Certificate]:
        assert parse_request((path / "a" / "request.csr").read_bytes()).der == request
        assert read_key(path / "a" / "key.pem", None).public_key == parse_request(request).public_key
        return home.answer(request)

    enroll_by(path, home.wanted(), look, CLOCK)
    assert not (path / "a" / "request.csr").exists()


@pytest.mark.parametrize(
    "change", [{"thing": "lamp-9"}, {"algorithm": KeyAlgorithm.ED25519}], ids=["thing", "algorithm"]
)
def test_a_request_for_something_else_is_not_sent_again(path: Path, home: Home, change: dict[str, str]) -> None:
    line = Line(home, lost=1)
    with pytest.raises(Fault, match="lost"):
        enroll_by(path, home.wanted(), line, CLOCK)
    enrolled = enroll_by(path, replace(home.wanted(), **change), line, CLOCK)  # type: ignore[arg-type]
    assert not enrolled.resumed
    assert len(set(line.sent)) == 2
    assert is_usable(enrolled.identity)


@pytest.mark.parametrize("name", ["key.pem", "request.csr"])
@pytest.mark.parametrize("content", [None, b"", b"torn"])
def test_a_request_without_its_key_or_torn_is_made_anew(
    path: Path, home: Home, name: str, content: bytes | None
) -> None:
    line = Line(home, lost=1)
    with pytest.raises(Fault, match="lost"):
        enroll_by(path, home.wanted(), line, CLOCK)
    (path / "a" / name).unlink()
    if content is not None:
        (path / "a" / name).write_bytes(content)
    assert is_usable(enroll_by(path, home.wanted(), line, CLOCK).identity)
    assert len(set(line.sent)) == 2


def test_another_key_in_the_place_of_the_requests_own_is_not_certified(path: Path, home: Home) -> None:
    line = Line(home, lost=1)
    with pytest.raises(Fault, match="lost"):
        enroll_by(path, home.wanted(), line, CLOCK)
    shutil.copy(home.device().key_file, path / "a" / "key.pem")
    assert is_usable(enroll_by(path, home.wanted(), line, CLOCK).identity)
    assert len(set(line.sent)) == 2


def test_enrolling_again_takes_the_other_slot_with_a_new_key(path: Path, home: Home) -> None:
    line = Line(home)
    first = enroll_by(path, home.wanted(), line, CLOCK).identity
    second = enroll_by(path, home.wanted(mqtt=Address("new.example", 1)), line, CLOCK).identity
    third = enroll_by(path, home.wanted(), line, CLOCK).identity
    assert [each.slot.name for each in (first, second, third)] == ["a", "b", "a"]
    assert len({each.certificate.public_key().public_numbers() for each in (first, second, third)}) == 3  # type: ignore[union-attr]
    assert str(second.endpoint.mqtt) == "new.example:1"
    assert is_usable(third)


def test_while_enrolling_again_what_was_in_use_stays_so(path: Path, home: Home) -> None:
    before = enroll_by(path, home.wanted(), home.answer, CLOCK).identity

    def look(request: bytes) -> Sequence[x509.Certificate]:
        assert open_identity(path) == before
        raise Fault(Kind.UNAVAILABLE, "the home is down")

    with pytest.raises(Fault, match="down"):
        enroll_by(path, home.wanted(mqtt=Address("new.example", 1)), look, CLOCK)
    assert open_identity(path) == before
    assert is_usable(before)


def test_an_identity_does_not_change_its_thing(path: Path, home: Home) -> None:
    enroll_by(path, home.wanted(), home.answer, CLOCK)
    line = Line(home)
    with pytest.raises(Fault, match="the identity of 'thermostat-1'") as caught:
        enroll_by(path, home.wanted("lamp-9"), line, CLOCK)
    assert caught.value.kind is Kind.CONFLICT
    assert not line.sent


def test_an_identity_does_not_change_its_root(path: Path, home: Home, other_home: Home) -> None:
    enroll_by(path, home.wanted(), home.answer, CLOCK)
    line = Line(other_home)
    with pytest.raises(Fault, match="another root") as caught:
        enroll_by(path, other_home.wanted(), line, CLOCK)
    assert caught.value.kind is Kind.CONFLICT
    assert not line.sent


Answer = Callable[[Home, Home, x509.CertificateSigningRequest], Sequence[x509.Certificate]]


def _for_another_key(home: Home, _other: Home, _request: x509.CertificateSigningRequest) -> list[x509.Certificate]:
    return [*home.issuers, home.issue(generate(KeyAlgorithm.P256).public_key)]


def _nothing(home: Home, _other: Home, _request: x509.CertificateSigningRequest) -> list[x509.Certificate]:
    return list(home.issuers)


def _for_another_thing(home: Home, _other: Home, request: x509.CertificateSigningRequest) -> list[x509.Certificate]:
    return [*home.issuers, home.issue(request.public_key(), "lamp-9")]  # type: ignore[arg-type]


def _for_a_server(home: Home, _other: Home, request: x509.CertificateSigningRequest) -> list[x509.Certificate]:
    return [*home.issuers, home.issue_server(request.public_key())]  # type: ignore[arg-type]


def _by_another_home(_home: Home, other: Home, request: x509.CertificateSigningRequest) -> list[x509.Certificate]:
    return [*other.issuers, other.issue(request.public_key())]  # type: ignore[arg-type]


def _by_another_home_between_ours(
    home: Home, other: Home, request: x509.CertificateSigningRequest
) -> list[x509.Certificate]:
    return [*home.issuers, other.issue(request.public_key())]  # type: ignore[arg-type]


def _without_issuer(home: Home, _other: Home, request: x509.CertificateSigningRequest) -> list[x509.Certificate]:
    return [home.root, home.issue(request.public_key())]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (_nothing, "no certificate for the key"),
        (_for_another_key, "no certificate for the key"),
        (_for_another_thing, "not for 'thermostat-1'"),
        (_for_a_server, "not for client-auth"),
        (_by_another_home, "leads to no trusted issuer|not signed|names another"),
        (_by_another_home_between_ours, "leads to no trusted issuer|not signed|names another"),
        (_without_issuer, "leads to no trusted issuer"),
    ],
)
def test_a_certificate_that_is_not_ours_is_not_used(
    path: Path, home: Home, other_home: Home, answer: Answer, words: str
) -> None:
    before = enroll_by(path, home.wanted(), home.answer, CLOCK).identity

    def ask(request: bytes) -> Sequence[x509.Certificate]:
        return answer(home, other_home, x509.load_der_x509_csr(request))

    with pytest.raises(Fault, match=words) as caught:
        enroll_by(path, home.wanted(), ask, CLOCK)
    assert caught.value.kind is Kind.UNAUTHENTICATED
    assert open_identity(path) == before
    # What was refused is not taken the next time either, when nobody is asked.
    with pytest.raises(Fault, match="nobody"):
        enroll_by(path, home.wanted(), _nobody, CLOCK)
    assert open_identity(path) == before


def _nobody(_request: bytes) -> Sequence[x509.Certificate]:
    raise Fault(Kind.UNAVAILABLE, "nobody answers")


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), "not yet valid"),
        (datetime.now(UTC) + timedelta(days=91), "has expired"),
    ],
)
def test_a_wrong_clock_is_said(path: Path, home: Home, at: datetime, words: str) -> None:
    line = Line(home)
    with pytest.raises(Fault, match=words) as caught:
        enroll_by(path, home.wanted(), line, At(at))
    assert caught.value.kind is Kind.EXPIRED
    assert f"{at:%Y-%m-%d}" in (caught.value.hint or "")
    # With the clock set right, the answer that is there already is good, and nobody need be asked.
    assert is_usable(enroll_by(path, home.wanted(), _nobody, CLOCK).identity)
    assert len(line.sent) == 1


def test_a_name_that_names_no_thing_is_refused_before_anything_is_made(path: Path, home: Home) -> None:
    with pytest.raises(Fault, match="not a thing name"):
        enroll_by(path, replace(home.wanted(), thing="a b"), home.answer, CLOCK)
    assert not path.exists()


def test_a_long_name_is_enrolled_too(path: Path, home: Home) -> None:
    name = "x" * 128

    def ask(request: bytes) -> Sequence[x509.Certificate]:
        return (*home.issuers, home.issue(parse_request(request).public_key, name))

    assert enroll_by(path, home.wanted(name), ask, CLOCK).identity.thing == name
