"""Impostors that other people's TLS clients present, refused in the handshake; each beside its honest twin."""

from dataclasses import dataclass

import pytest
from tests.fixtures.clients import Client, Visit, gnutls, mosquitto, openssl, openssl_tls12, paho_mqtt
from tests.fixtures.estate import Credential
from tests.fixtures.story import Cast, Story, new_nonce

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl", "curl", "mosquitto_pub", "mosquitto_sub")]


@dataclass(frozen=True)
class Case:
    """An impostor, and what is to become of it at either end."""

    impostor: str | None
    """Who of the cast it is; None shows no certificate."""
    twin: str
    """Who differs from it in one thing, and is let in."""
    alert: int
    """What it is told (RFC 8446, section 6.2)."""
    reason: str
    """What the gateway logs and counts."""


CASES = {
    "no-certificate": Case(None, "thermostat", alert=116, reason="no-certificate"),
    "self-signed-namesake": Case("self_signed", "thermostat", alert=48, reason="self-signed"),
    "other-ca-namesake": Case("other_ca", "thermostat", alert=48, reason="unknown-issuer"),
    "forged-ca-namesake": Case("forged", "thermostat", alert=51, reason="bad-signature"),
    "expired": Case("expired", "in_time", alert=45, reason="certificate-expired"),
    "not-yet-valid": Case("too_early", "in_time", alert=42, reason="certificate-not-yet-valid"),
    "server-certificate-as-client": Case("server", "thermostat", alert=48, reason="unknown-issuer"),
}
TLS12 = {116: 40}
"""What an alert of TLS 1.3 is in TLS 1.2 (RFC 5246, section 7.4.6), where that differs."""
CLIENTS = [
    mosquitto,
    openssl,
    openssl_tls12,
    paho_mqtt,
    pytest.param(gnutls, marks=pytest.mark.needs("gnutls-cli")),
]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", CASES)
def test_an_impostor_is_refused_in_the_handshake(embedded: Story, name: str, client: Client) -> None:
    play(embedded, CASES[name], client)


@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize("name", CASES)
def test_an_impostor_is_refused_before_any_broker(on_mosquitto: Story, name: str) -> None:
    play(on_mosquitto, CASES[name], mosquitto)


def play(story: Story, case: Case, client: Client) -> None:
    """Let the impostor come, and then its twin."""
    thing = story.cast.thermostat.thing
    topic = f"home/{thing}/temperature"
    mark = story.platform.mark()
    service = story.listen(topic)

    visit = Visit(credential(story.cast, case.impostor), story.estate.name(f"{thing}:x"), topic, new_nonce())
    fared = client(story.door, visit)
    assert fared.alert == (TLS12.get(case.alert, case.alert) if client is openssl_tls12 else case.alert), fared
    assert fared.connack is None
    (event,) = refusals(story, mark, fared.source)
    assert (event["reason"], event["listener"]) == (case.reason, "mqtt")

    honest = Visit(credential(story.cast, case.twin), story.estate.name(f"{thing}:x"), topic, new_nonce())
    fared = client(story.door, honest)
    assert fared.connack == 0, fared
    service.wait_for(topic, honest.payload)
    assert service.messages() == [f"{topic} {honest.payload}"]
    assert len(refusals(story, mark, "")) == 1


def credential(cast: Cast, role: str | None) -> Credential | None:
    """Return the credential of a member of the cast."""
    found: Credential | None = getattr(cast, role) if role else None
    return found


def refusals(story: Story, mark: int, source: str) -> list[dict[str, object]]:
    """Return what has been logged since `mark` of handshakes that failed, of clients at an address."""
    story.platform.wait_for("handshake.failed", mark)
    return [each for each in story.platform.events("handshake.failed", mark) if each["peer"].startswith(source)]
