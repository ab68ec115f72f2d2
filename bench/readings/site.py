"""A site with one meter whose readings are signed, checked as the gateway does, and bundled."""

import json
from pathlib import Path
from typing import Self

from cryptography import x509

from troth.authority.history import bundle_head
from troth.clock import SystemClock
from troth.evidence.bundle import Writer
from troth.evidence.checkpoint import VerifierKey
from troth.evidence.judging import ALWAYS, Signer, Standing
from troth.evidence.raw import RawReading, render_raw
from troth.evidence.reading import Reading, sign_reading
from troth.gateway.readings import Readings
from troth.journal.checkpoints import Signer as JournalSigner
from troth.keys.file import generate
from troth.limits import DEFAULT
from troth.names import Realm
from troth.policy.attachment import NamedPolicy, TargetKind
from troth.policy.compiled import Compiled
from troth.policy.context import ConnectionContext, Thing
from troth.policy.document import parse_document
from troth.policy.engine import Grant
from troth.protocols.mqtt import Publish, build_publish
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import attributes

_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "iot:*", "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": "iot:Publish",
            "Resource": Realm().arn("topic", "home/*/power"),
            "Condition": {"Bool": {"troth:MessageSigned": "false"}},
        },
    ],
}


class Site:
    """A home, its journal, and a meter."""

    thing = "meter-7"
    topic = "home/meter-7/power"
    payload = b'{"watts": 412.5, "volts": 231.2}'

    def __init__(self, folder: Path) -> None:
        self.clock = SystemClock()
        self._authority = TestAuthority(folder)
        key = generate(KeyAlgorithm.ED25519)
        self._journal = JournalSigner(self._authority.db, self.clock, key, "bench/journal", folder / "checkpoint")
        self._journal.sign(first=True)
        self.meter = self._authority.device(self.thing)
        self._journal.sign()
        self._key_id = bytes.fromhex(self.meter.certificate_id)
        self._now = self.clock.now()
        certificate = self.meter.certificate
        signer = Signer(
            self.meter.certificate_id,
            self.thing,
            self.meter.key.public_key,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            ((ALWAYS, Standing.IN_FORCE),),
        )
        self._checker = Readings(self._authority.db, self.clock).checker(self.meter.certificate_id, self.thing)
        self._checker.signers = {signer.certificate_id: signer}
        policy = NamedPolicy("meters", parse_document(json.dumps(_POLICY), DEFAULT), TargetKind.THING, self.thing)
        context = ConnectionContext(
            Realm(), attributes(certificate), "127.0.0.1", client_id=self.thing, thing=Thing(self.thing)
        )
        self._grant = Grant(Compiled([policy]), context, self.clock.now)

    @property
    def root(self) -> x509.Certificate:
        """What a stranger trusts."""
        return self._authority.root

    @property
    def key(self) -> VerifierKey:
        """The journal's public key."""
        return self._journal.verifier

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._authority.close()

    def reading(self, number: int) -> bytes:
        """Return the meter's reading of this number, signed."""
        said = Reading(self._key_id, self.thing, self.topic, self._now, number, self.payload)
        return sign_reading(said, self.meter.key)

    def packet(self, signed: bytes) -> Publish:
        """Return the message that it comes in."""
        return build_publish(self.topic, signed, qos=1, packet_id=1)

    def allows(self, packet: Publish) -> bool:
        """Say whether the gateway lets a message pass."""
        return self._checker.allows(self._grant, packet)

    def write_bundle(self, file: Path, count: int) -> None:
        """Write the evidence of so many readings."""
        with file.open("wb") as out:
            writer = Writer(out.write)
            with read(self._authority.db) as connection:
                writer.head(bundle_head(connection, self.key, [self.meter.certificate_id]))
            for number in range(1, count + 1):
                writer.reading(render_raw(RawReading(self.topic, self.reading(number), self._now)))
            writer.end()
