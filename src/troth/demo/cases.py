"""What happens on this stage and what must come of it: the cases, in their order, each with what both ends must say.

Knows nobody who plays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

LET_IN: Final = "let in"
RECEIVED: Final = "received"
FOUND: Final = "found"
COPIED: Final = "found, and its copy is let in"
HAD: Final = "had"
"""What became of a key that somebody tried to get at; any other word says why he did not."""
REFUSED: Final = "refused"
GIVEN_AWAY: Final = "given away"
NO_TOKEN: Final = "no SoftHSM here"
NO_LOOK: Final = "may not be looked into here"


@dataclass(frozen=True, slots=True)
class Case:
    """Something that is tried, and what each of those who take part must say of it."""

    case_id: str
    story: str
    why: str
    """What there is to learn from it."""
    expected: Mapping[str, str]
    lacking: Mapping[str, str] = field(default_factory=dict)
    """What may be seen instead, where this machine lacks what that part of the case is played with."""


def _at_the_gateway(case_id: str, story: str, why: str, impostor: str, gateway: str) -> Case:
    return Case(case_id, story, why, {"impostor": impostor, "gateway": gateway, "twin": LET_IN})


def _at_a_fake_home(case_id: str, story: str, why: str, thermostat: str, fake_home: str) -> Case:
    return Case(case_id, story, why, {"thermostat": thermostat, "fake home": fake_home, "twin": LET_IN})


CASES: Final[tuple[Case, ...]] = (
    Case(
        "enroll",
        "each device makes a key and gets a certificate for it with a one-time token",
        "The private key never left the device that made it, and the token is spent.",
        {"devices": "thermostat, fish-tank, home", "registry": "thermostat ACTIVE, fish-tank ACTIVE, home ACTIVE"},
    ),
    Case(
        "phone-home",
        "the thermostat sends a reading, and the home service that subscribed to it gets it",
        "Both ends have proven who they are, and the policy lets the thermostat speak for itself.",
        {"thermostat": "published", "home": RECEIVED},
    ),
    _at_a_fake_home(
        "fake-home-other-ca",
        "a neighbour's home answers under our home's name, certified by the neighbour's own CA",
        "Anyone can write a name. The thermostat believes it when its own root stands behind it, and only then.",
        "unknown-issuer",
        "alert:unknown_ca",
    ),
    _at_a_fake_home(
        "fake-home-wrong-name",
        "our printer answers in our home's place, with its own certificate by our own CA",
        "A good certificate for another name is no good here: the printer may be the printer, not the home.",
        "wrong-name",
        "alert:bad_certificate",
    ),
    Case(
        "no-clock",
        "the thermostat has no clock; a thief with a server key of ours, whose certificate is over, is in our place",
        "A clock that anyone can set back is no judge. The home signs what time it is, for this one question.",
        {
            "by a clock set back": "it would be believed",
            "thermostat": "expired",
            "fake home": "heard nothing",
            "twin": LET_IN,
        },
    ),
    _at_the_gateway(
        "no-certificate",
        "somebody without any certificate claims to be the thermostat",
        "In mutual TLS the client has to prove itself too; a name alone proves nothing.",
        "alert:certificate_required",
        "handshake.failed: no-certificate",
    ),
    _at_the_gateway(
        "self-signed-namesake",
        "somebody signs a certificate for the name thermostat himself",
        "Whoever vouches for himself has nobody to vouch for him.",
        "alert:unknown_ca",
        "handshake.failed: self-signed",
    ),
    _at_the_gateway(
        "other-ca-namesake",
        "the neighbour's CA, named like ours, certifies another thermostat",
        "A CA is known by its key and not by its name.",
        "alert:unknown_ca",
        "handshake.failed: unknown-issuer",
    ),
    _at_the_gateway(
        "expired",
        "a certificate that our own CA signed, and whose time is over",
        "Certificates end by themselves, so that one that was lost and forgotten is worth nothing one day.",
        "alert:certificate_expired",
        "handshake.failed: certificate-expired",
    ),
    _at_the_gateway(
        "not-yet-valid",
        "a certificate that our own CA signed, and whose time is still to come",
        "What was signed for tomorrow opens nothing today.",
        "alert:bad_certificate",
        "handshake.failed: certificate-not-yet-valid",
    ),
    _at_the_gateway(
        "server-certificate-as-client",
        "a certificate that our own CA for servers signed, shown by a client",
        "Each CA of this home certifies for one use: whoever steals a server's key is no device by that.",
        "alert:unknown_ca",
        "handshake.failed: unknown-issuer",
    ),
    _at_the_gateway(
        "fish-tank-publishes-as-thermostat",
        "the fish tank, with its own good certificate, sends a reading in the thermostat's name",
        "The policy holds each message to the name in the certificate. MQTT 3.1.1 can only hang up.",
        "closed",
        "publish.denied: policy",
    ),
    _at_the_gateway(
        "fish-tank-reads-thermostat",
        "the fish tank subscribes to the thermostat's readings",
        "What is not allowed is denied; nobody had to think of forbidding it.",
        "SUBACK 0x80",
        "subscribe.denied: policy",
    ),
    _at_the_gateway(
        "fish-tank-takes-client-id",
        "the fish tank connects under the thermostat's client id, to throw it out",
        "In MQTT the last to come with a client id wins it; so the policy ties it to the certificate.",
        "CONNACK 5",
        "connection.refused: connect-denied",
    ),
    _at_the_gateway(
        "fish-tank-subscribes-everything",
        "the fish tank subscribes to # and, by way of a shared subscription, to $share/x/#",
        "Each filter is decided by itself, and the way around is closed as the front door is.",
        "SUBACK 0x80, SUBACK 0x80",
        "subscribe.denied: policy, subscribe.denied: policy",
    ),
    _at_the_gateway(
        "fish-tank-wills-as-thermostat",
        "the fish tank leaves a will, to be published in the thermostat's name when it is gone",
        "A will is a message sent later, and decided now.",
        "CONNACK 5",
        "connection.refused: will-denied",
    ),
    _at_the_gateway(
        "altered-reading",
        "somebody on the thermostat's own connection sends its signed reading, with another temperature in it",
        "TLS proved the wire and not what went into it. The reading's signature is of its bytes, and of no others.",
        "closed",
        "publish.denied: reading-altered",
    ),
    _at_the_gateway(
        "replayed-reading",
        "a signed reading that has arrived before is sent once more, every byte of it true",
        "Each reading has a number that counts once. Yesterday's temperature is no news today.",
        "closed",
        "publish.denied: reading-replayed",
    ),
    Case(
        "revoked-while-connected",
        "the thermostat is stolen; its certificate is revoked while the thief is connected with it",
        "TLS looks at a certificate once. The gateway hears of every change, and withdrawn means now.",
        {
            "impostor": "closed",
            "gateway": "session.closed: certificate-revoked",
            "twin": LET_IN,
            "after": "less than a second",
        },
    ),
    _at_the_gateway(
        "revoked-reconnects",
        "the thief comes back with the revoked certificate",
        "It was the certificate that was withdrawn: another one of the same thermostat is let in.",
        "CONNACK 5",
        "connection.refused: certificate-revoked",
    ),
    Case(
        "re-enrolled-same-thing",
        "the thermostat is found and enrolls again: a new certificate, the same thing, the same policies",
        "The identity is the thing. It outlives its certificates, and keeps what it may do.",
        {"thermostat": "new certificate, same thing", "home": RECEIVED},
    ),
    Case(
        "renewed-while-running",
        "the thermostat gets a new key and certificate while it goes on sending readings",
        "The old certificate vouched for the new one, and went out of force when that was used. No reading was lost.",
        {
            "thermostat": "another certificate",
            "registry": "thermostat INACTIVE, thermostat ACTIVE",
            "home": f"{RECEIVED} 20 of 20, in order",
        },
    ),
    Case(
        "key-cannot-be-copied",
        "a thief in the thermostat's account looks for its key, in its files and in its agent; then he tries a token",
        "Who can read the key is the device until that is revoked. A key belongs where nobody can read it.",
        {
            "key in a file": COPIED,
            "agent's memory": FOUND,
            "key in a token": REFUSED,
            "careless twin": GIVEN_AWAY,
        },
        {"agent's memory": NO_LOOK, "key in a token": NO_TOKEN, "careless twin": NO_TOKEN},
    ),
    Case(
        "neighbours-trust-each-other",
        "the home is switched off, and the fish tank asks the thermostat how warm it is",
        "Each shows what the home once said of it, and looks at the other's. Nobody in between is needed for that.",
        {
            "fish-tank": "met thermostat, and got a reply",
            "thermostat": "met fish-tank, and got a message",
            "home": "unreachable",
        },
    ),
    Case(
        "stranger-at-the-door",
        "somebody from the neighbour's home comes to the thermostat, and then stands in its place",
        "Who calls and who is called look at each other alike; nobody is told anything before both are content.",
        {
            "stranger": "alert:unknown_ca",
            "thermostat": "unknown-issuer",
            "stranger in its place": "alert:unknown_ca",
            "fish-tank": "unknown-issuer",
            "twin": LET_IN,
        },
    ),
)
