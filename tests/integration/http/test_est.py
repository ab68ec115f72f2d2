"""Enrollment through the HTTPS door with curl and openssl; every impostor beside an honest twin."""

import base64
import json
import socket
import ssl
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.doors import Answer, RunningDoors, curl
from tests.fixtures.enrolling import new_token, withdraw
from tests.fixtures.issuance import certificates, entries

from troth.keys.file import FileKey, generate
from troth.keys.requests import build_request
from troth.limits import EST_BODY_BYTES_MAX, FAILED_PROOFS_PER_MINUTE_MAX
from troth.testing.authority import Held, TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm

pytestmark = pytest.mark.needs("curl", "openssl")

PKCS10 = "Content-Type: application/pkcs10"


def openssl(*words: str, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *words], input=data, capture_output=True, check=True).stdout


def a_request(thing: str = "lamp-1", key: FileKey | None = None) -> bytes:
    return base64.b64encode(build_request(key or generate(KeyAlgorithm.P256), thing))


def post(doors: RunningDoors, thing: str, secret: str, body: bytes, *words: str) -> Answer:
    """Enroll as a stranger with curl would; words given come first, so that they replace these."""
    defaults = ["--header", PKCS10] if not any("Content-Type" in word for word in words) else []
    return curl(
        f"https://localhost:{doors.https}/.well-known/est/simpleenroll",
        *defaults,
        "--user",
        f"{thing}:{secret}",
        *words,
        root=doors.site.root_file,
        data=body,
    )


def issued(site: TestAuthority) -> int:
    return len([entry for entry in entries(site.db, "certificate.issued") if entry.data["thing"]])


def problem(answer: Answer) -> dict[str, object]:
    assert answer.headers["content-type"] == "application/problem+json"
    members: dict[str, object] = json.loads(answer.body)
    assert members["status"] == answer.status
    return members


def test_curl_and_openssl_alone_enroll_a_device(doors: RunningDoors, tmp_path: Path) -> None:
    secret = new_token(doors.site)
    key, csr, leaf, issuers = (tmp_path / name for name in ("d.key", "d.csr", "d.pem", "issuers.pem"))
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key),
            "-subj", "/CN=lamp-1", "-outform", "DER", "-out", str(csr))  # fmt: skip
    answer = post(doors, "lamp-1", secret, openssl("base64", "-e", "-in", str(csr)))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    assert answer.headers["cache-control"] == "no-store"
    assert b"\n" not in answer.body
    leaf.write_bytes(openssl("pkcs7", "-inform", "DER", "-print_certs", data=base64.b64decode(answer.body)))
    told = curl(f"https://localhost:{doors.https}/.well-known/est/cacerts", root=doors.site.root_file)
    assert told.status == 200
    issuers.write_bytes(openssl("pkcs7", "-inform", "DER", "-print_certs", data=base64.b64decode(told.body)))
    assert leaf.read_text().count("BEGIN") == 1
    assert issuers.read_text().count("BEGIN") == 2
    openssl(
        "verify", "-CAfile", str(doors.site.root_file), "-untrusted", str(issuers), "-purpose", "sslclient", str(leaf)
    )
    assert openssl("pkey", "-in", str(key), "-pubout") == openssl("x509", "-in", str(leaf), "-noout", "-pubkey")
    (row,) = certificates(doors.site.db, "lamp-1")
    assert row.subject == "CN=lamp-1"


def test_a_lost_answer_is_given_again(doors: RunningDoors) -> None:
    secret, body = new_token(doors.site), a_request()
    assert post(doors, "lamp-1", secret, body).body == post(doors, "lamp-1", secret, body).body
    assert issued(doors.site) == 1


REFUSAL = {
    "type": "urn:troth:fault:unauthenticated",
    "title": "Who asks has not been proven",
    "status": 401,
}


def test_impostors_hear_the_same_and_their_honest_twin_is_let_in(doors: RunningDoors, live_clock: FakeClock) -> None:
    site = doors.site
    spent, revoked, expired = (new_token(site) for _ in range(3))
    others, good = new_token(site, "safe-1"), new_token(site, minutes=60)
    assert post(doors, "lamp-1", spent, a_request()).status == 200
    withdraw(site, revoked)
    live_clock.advance(timedelta(minutes=15))
    impostors = {"wrong": "A" * 22, "spent": spent, "revoked": revoked, "expired": expired, "others": others}
    answers = {name: post(doors, "lamp-1", secret, a_request()) for name, secret in impostors.items()}
    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(impostors, 401)
    assert len({answer.body for answer in answers.values()}) == 1
    told = problem(answers["wrong"])
    assert {name: told[name] for name in REFUSAL} == REFUSAL
    assert all(answer.headers["www-authenticate"].startswith("Basic ") for answer in answers.values())
    assert issued(site) == 1
    assert post(doors, "lamp-1", good, a_request()).status == 200
    assert issued(site) == 2


def test_without_credentials_one_is_asked_for_them(doors: RunningDoors) -> None:
    url = f"https://localhost:{doors.https}/.well-known/est/simpleenroll"
    answer = curl(url, "--header", PKCS10, root=doors.site.root_file, data=a_request())
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="enrollment", charset="UTF-8"'
    digest = curl(url, "--header", PKCS10, "--header", "Authorization: Bearer x", root=doors.site.root_file, data=b"x")
    assert digest.status == 401


def _signed_by_another_key() -> bytes:
    der = bytearray(build_request(generate(KeyAlgorithm.P256), "lamp-1"))
    der[-1] ^= 1
    return base64.b64encode(bytes(der))


def _for_another_name() -> bytes:
    return a_request("safe-1")


def _with_a_weak_key() -> bytes:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(weak, SHA256())
    return base64.b64encode(csr.public_bytes(Encoding.DER))


def _no_base64() -> bytes:
    return b"\x00\x01 this is not it"


def _no_request() -> bytes:
    return base64.b64encode(b"0\x03\x02\x01\x00")


def _nothing() -> bytes:
    return b""


@pytest.mark.parametrize(
    ("forge", "status"),
    [
        (_signed_by_another_key, 400),
        (_for_another_name, 422),
        (_with_a_weak_key, 422),
        (_no_base64, 400),
        (_no_request, 400),
        (_nothing, 400),
    ],
)
def test_a_request_that_cannot_be_granted_costs_no_token(doors: RunningDoors, forge: object, status: int) -> None:
    secret = new_token(doors.site)
    assert callable(forge)
    answer = post(doors, "lamp-1", secret, forge())
    assert answer.status == status
    assert problem(answer)["detail"]
    assert issued(doors.site) == 0
    assert post(doors, "lamp-1", secret, a_request()).status == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_bound_is_not_read(doors: RunningDoors, chunked: bool) -> None:
    words = ["--header", "Transfer-Encoding: chunked"] if chunked else []
    secret = new_token(doors.site)
    answer = post(doors, "lamp-1", secret, b"A" * (EST_BODY_BYTES_MAX + 1), *words)
    assert answer.status == 413
    assert post(doors, "lamp-1", secret, a_request(), *words).status == 200


def test_a_body_without_end_is_answered_at_the_bound(doors: RunningDoors) -> None:
    context = ssl.create_default_context(cafile=str(doors.site.root_file))
    credentials = base64.b64encode(f"lamp-1:{new_token(doors.site)}".encode()).decode()
    head = (
        "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/pkcs10\r\n"
        f"Authorization: Basic {credentials}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with (
        socket.create_connection(("127.0.0.1", doors.https), timeout=10) as tcp,
        context.wrap_socket(tcp, server_hostname="localhost") as tls,
    ):
        tls.sendall(head.encode() + b"%x\r\n" % (EST_BODY_BYTES_MAX + 1) + b"A" * (EST_BODY_BYTES_MAX + 1))
        # No end of the chunk, and none of the body: the answer comes all the same.
        assert tls.recv(4096).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/pkcs10", 200),
        ("application/PKCS10; charset=x", 200),
        ("application/x-www-form-urlencoded", 415),
        ("application/json", 415),
    ],
)
def test_a_request_comes_under_its_own_type(doors: RunningDoors, content_type: str, status: int) -> None:
    answer = post(doors, "lamp-1", new_token(doors.site), a_request(), "--header", f"Content-Type: {content_type}")
    assert answer.status == status


@pytest.mark.parametrize(
    ("path", "method", "status", "allow"),
    [
        ("simpleenroll", "GET", 405, "POST"),
        ("cacerts", "POST", 405, "GET, HEAD"),
        ("simplereenroll", "GET", 405, "POST"),
        ("simplereenroll", "POST", 403, None),
        ("serverkeygen", "GET", 405, "POST"),
        ("fullcmc", "POST", 501, None),
        ("csrattrs", "POST", 405, "GET, HEAD"),
        ("a/label/simpleenroll", "POST", 404, None),
        ("cacerts/simpleenroll", "POST", 404, None),
        ("", "GET", 404, None),
        ("../../etc/passwd", "GET", 404, None),
    ],
)
def test_what_is_not_offered_is_said_so(
    doors: RunningDoors, path: str, method: str, status: int, allow: str | None
) -> None:
    url = f"https://localhost:{doors.https}/.well-known/est/{path}"
    words = ("--path-as-is", "--request", method, "--header", PKCS10, "--user", "lamp-1:" + "A" * 22)
    answer = curl(url, *words, root=doors.site.root_file)
    assert (answer.status, answer.headers.get("allow")) == (status, allow)
    problem(answer)


def test_guessing_is_slowed_down_and_told_when_to_come_again(doors: RunningDoors, live_clock: FakeClock) -> None:
    secret = new_token(doors.site, minutes=60)
    for _ in range(FAILED_PROOFS_PER_MINUTE_MAX):
        assert post(doors, "lamp-1", "A" * 22, a_request()).status == 401
    held_up = post(doors, "lamp-1", secret, a_request())
    assert held_up.status == 429
    assert 1 <= int(held_up.headers["retry-after"]) <= 60
    live_clock.advance(timedelta(minutes=1))
    assert post(doors, "lamp-1", secret, a_request()).status == 200


def test_without_an_authority_one_is_asked_to_come_again(
    live_authority: TestAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("troth.gateway.http.serve.ENROLLMENT_WAIT_S_MAX", 0.2)
    doors = RunningDoors(live_authority, tmp_path / "bell", with_authority=False)
    try:
        secret, body = new_token(live_authority), a_request()
        answer = post(doors, "lamp-1", secret, body)
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
    finally:
        doors.close()
    # The next door, with an authority behind it, knows of the request.
    doors = RunningDoors(live_authority, tmp_path / "bell")
    try:
        assert post(doors, "lamp-1", secret, body).status == 200
    finally:
        doors.close()
    assert issued(live_authority) == 1


def test_a_client_refuses_a_door_with_another_cas_certificate(
    doors: RunningDoors, live_authority: TestAuthority, tmp_path: Path, live_clock: FakeClock
) -> None:
    """The impostor's server bears the right name, certified by a CA of his own."""
    folder = tmp_path / "other"
    folder.mkdir()
    with TestAuthority(folder, clock=live_clock) as other:
        impostor = RunningDoors(live_authority, tmp_path / "bell-2", with_authority=False, identity=other.server())
    try:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            post(impostor, "lamp-1", new_token(live_authority), a_request())
        assert caught.value.returncode == 60
    finally:
        impostor.close()
    assert "peer-alert" in impostor.observer.failures
    assert post(doors, "lamp-1", new_token(live_authority), a_request()).status == 200


def test_a_certificate_of_another_ca_does_not_come_through_the_door(
    doors: RunningDoors, tmp_path: Path, live_clock: FakeClock
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    with TestAuthority(folder, clock=live_clock) as other:
        stranger, own = other.device("lamp-1"), doors.site.device("lamp-1")
    url = f"https://localhost:{doors.https}/.well-known/est/cacerts"

    def come(held: Held) -> int:
        words = ["--cert", str(held.chain_file), "--key", str(held.key_file)]
        return curl(url, *words, root=doors.site.root_file).status

    with pytest.raises(subprocess.CalledProcessError):
        come(stranger)
    assert "unknown-issuer" in doors.observer.failures
    assert come(own) == 200
