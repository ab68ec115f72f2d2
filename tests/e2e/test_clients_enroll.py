"""Enrollment by openssl and curl: the key and the request are made by one, the EST is spoken by the other."""

import base64
import json
import subprocess
from pathlib import Path

import pytest
from tests.fixtures.clients import Visit, openssl
from tests.fixtures.estate import Estate, credential, run
from tests.fixtures.story import Story, new_nonce, stranger

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl", "curl", "mosquitto_pub", "mosquitto_sub")]

KEYS = {
    "P-256": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
    "P-384": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"),
    "Ed25519": ("-newkey", "ed25519"),
    "RSA-2048": ("-newkey", "rsa:2048"),
}
OUT_OF_HAND = "the thing's name and what was shown for it do not go together, or no longer"


@pytest.mark.parametrize("key", KEYS)
def test_enroll(story: Story, key: str) -> None:
    estate = story.estate
    thing = estate.thing("thermostat")
    token = estate.platform.run("token", "create", "--thing", thing, "--ttl", "15m")["token"]
    request, key_file = estate.request(thing, *KEYS[key])
    mark = estate.platform.mark()
    status, answer = estate.simple_enroll(thing, token, request)
    assert status == 200
    printed = run("openssl", "pkcs7", "-inform", "DER", "-print_certs", stdin=base64.b64decode(answer)).stdout
    # The answer is the new certificate and no other (RFC 7030, section 4.2.3).
    assert printed.count(b"BEGIN CERTIFICATE") == 1
    assert f"subject=CN = {thing}\n".encode() in printed
    chain_file = key_file.with_suffix(".pem")
    chain_file.write_bytes(printed)
    require_valid(story, chain_file)
    in_certificate = run("openssl", "x509", "-pubkey", "-noout", "-in", chain_file).stdout
    assert in_certificate == run("openssl", "pkey", "-pubout", "-in", key_file).stdout
    granted = estate.platform.wait_for("enrollment.granted", mark, thing=thing)
    row = estate.platform.run("cert", "show", granted["certificate_id"])
    assert (row["thing"], row["state"], row["method"]) == (thing, "ACTIVE", "token")
    # With openssl alone the device then phones home.
    reading = Visit(credential(thing, key_file), thing, f"home/{thing}/temperature", new_nonce())
    service = story.listen(reading.topic)
    assert openssl(story.door, reading).acknowledged
    service.wait_for(reading.topic, reading.payload)


def require_valid(story: Story, chain_file: Path) -> None:
    """Require that openssl leads a device's certificate to the root, by what /cacerts tells."""
    status, answer = story.estate.curl(story.estate.est("cacerts"))
    assert status == 200
    printed = run("openssl", "pkcs7", "-inform", "DER", "-print_certs", stdin=base64.b64decode(answer)).stdout
    told = chain_file.with_suffix(".cacerts.pem")
    told.write_bytes(printed)
    assert printed.count(b"BEGIN CERTIFICATE") == 2
    root = story.estate.root_file
    run("openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", root, "-untrusted", told, chain_file)


def test_a_lost_answer_is_given_again_and_another_request_is_not_answered(embedded: Story) -> None:
    estate = embedded.estate
    thing = estate.thing("thermostat")
    token = estate.token(thing)
    request, _ = estate.request(thing)
    other, _ = estate.request(thing)
    first = estate.simple_enroll(thing, token, request)
    assert first[0] == 200
    assert estate.simple_enroll(thing, token, request) == first
    mark = estate.platform.mark()
    status, body = estate.simple_enroll(thing, token, other)
    assert (status, json.loads(body)["detail"]) == (401, OUT_OF_HAND)
    assert "is spent on another request" in estate.platform.wait_for("enrollment.refused", mark, thing=thing)["reason"]
    assert len(estate.platform.run("cert", "list", "--thing", thing)) == 1


def test_anothers_token_is_refused_and_stays_good(embedded: Story) -> None:
    estate = embedded.estate
    thermostat, fish_tank = estate.thing("thermostat"), estate.thing("fish-tank")
    token = estate.token(thermostat)
    request, _ = estate.request(thermostat)
    mark = estate.platform.mark()
    status, body = estate.simple_enroll(fish_tank, token, request)
    assert (status, json.loads(body)["detail"]) == (401, OUT_OF_HAND)
    assert f"is for thing {thermostat!r}" in estate.platform.wait_for("enrollment.refused", mark)["reason"]
    assert estate.platform.run("cert", "list", "--thing", fish_tank) == []
    assert estate.simple_enroll(thermostat, token, request)[0] == 200


def test_without_a_token_nobody_is_enrolled(embedded: Story) -> None:
    estate = embedded.estate
    thing = estate.thing("thermostat")
    request, _ = estate.request(thing)
    headers = estate.folder / f"{thing}.headers"
    status, body = estate.curl(
        "--data-binary", f"@{request}", "--header", "Content-Type: application/pkcs10", "-D", str(headers),
        estate.est("simpleenroll"),
    )  # fmt: skip
    assert status == 401
    assert "www-authenticate: Basic realm=" in headers.read_text()
    assert json.loads(body)["title"] == "Who asks has not been proven"


def test_a_request_that_is_not_signed_by_its_key_is_refused(embedded: Story) -> None:
    """The signature of a request is the proof that its key is held; here another key has made it."""
    estate = embedded.estate
    thing = estate.thing("thermostat")
    token = estate.token(thing)
    request, _ = estate.request(thing)
    der = bytearray(base64.b64decode(request.read_bytes()))
    der[-1] ^= 1
    forged = request.with_suffix(".forged")
    forged.write_bytes(base64.b64encode(der))
    status, _ = estate.simple_enroll(thing, token, forged)
    assert 400 <= status < 500
    assert estate.platform.run("cert", "list", "--thing", thing) == []
    assert estate.simple_enroll(thing, token, request)[0] == 200


def test_the_request_does_not_choose_the_name(embedded: Story) -> None:
    """Whose name a certificate holds, the token says; a request for another's gets one's own."""
    estate = embedded.estate
    victim, thing = estate.thing("thermostat"), estate.thing("fish-tank")
    request, _ = estate.request(victim)
    status, answer = estate.simple_enroll(thing, estate.token(thing), request)
    if status == 200:
        printed = run("openssl", "pkcs7", "-inform", "DER", "-print_certs", stdin=base64.b64decode(answer)).stdout
        assert f"subject=CN = {thing}\n".encode() in printed
    assert estate.platform.run("cert", "list", "--thing", victim) == []


def test_the_issuer_is_where_certificates_say(embedded: Story) -> None:
    thermostat = embedded.estate.enrolled("thermostat")
    shown = run("openssl", "x509", "-noout", "-ext", "authorityInfoAccess", "-in", thermostat.chain_file).stdout
    path = shown.decode().partition("CA Issuers - URI:http://localhost:8080")[2].strip()
    status, body = embedded.estate.curl(f"http://localhost:{embedded.platform.address('public')[1]}{path}")
    assert status == 200
    assert run("openssl", "x509", "-noout", "-subject", stdin=body).stdout == b"subject=CN = localhost devices CA 1\n"


def test_curl_refuses_a_fake_home(embedded: Story, tmp_path: Path) -> None:
    """The token goes to the home that the root is of, and to no other: here to one whose root curl was not given."""
    estate = embedded.estate
    thing = estate.thing("thermostat")
    token = estate.token(thing)
    request, _ = estate.request(thing)
    mark = estate.platform.mark()
    other = stranger(tmp_path, "x", "other root")
    refused = curl_enrolling(estate, thing, token, request, other.chain_file)
    assert refused.returncode == 60
    assert b"unable to get local issuer certificate" in refused.stderr
    failed = estate.platform.wait_for("handshake.failed", mark)
    assert (failed["listener"], failed["detail"]) == ("https", "unknown_ca")
    assert curl_enrolling(estate, thing, token, request, estate.root_file).returncode == 0


def curl_enrolling(
    estate: Estate, thing: str, token: str, request: Path, root_file: Path
) -> subprocess.CompletedProcess[bytes]:
    """Enroll with curl, which is given this root."""
    return subprocess.run(  # noqa: PLW1510 - it may well fail
        ["curl", "-sS", "-K", "-", "--cacert", root_file, "--data-binary", f"@{request}", "--header",
         "Content-Type: application/pkcs10", estate.est("simpleenroll")],
        input=f'user = "{thing}:{token}"'.encode(), capture_output=True, timeout=60,
    )  # fmt: skip
