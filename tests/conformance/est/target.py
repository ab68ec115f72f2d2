"""The server under test: what it is said to offer, and what has been asked of it once for many checks."""

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from tests.conformance.est import asking
from tests.conformance.est.cms import Unreadable, certificates_in
from tests.conformance.est.wire import Answer, Credentials, Identity, Wire

CHAIN_MAX: Final = 8
ASKED_AGAIN_MAX: Final = 5
RETRY_S_MAX: Final = 10.0


class Offer(StrEnum):
    """What a server need not have; checks of it are performed where it says that it has it."""

    SIMPLEREENROLL = "simplereenroll"
    SERVERKEYGEN = "serverkeygen"
    ENCRYPTED_KEYS = "encrypted-keys"
    """serverkeygen encrypts the key to a P-256 key that the request names (RFC 7030 section 4.4.1.2)."""
    CSRATTRS = "csrattrs"
    FULLCMC = "fullcmc"
    LABEL = "label"
    """The label of the settings is served, and an unknown one is not."""
    BOUND_NAMES = "bound-names"
    """Credentials are for one name: the user is it, and the certificate has it as its common name."""
    CHANNEL_BINDING = "channel-binding"
    """Requests may be linked to their connection, under TLS 1.2 by tls-unique."""
    CLIENT_AUTH = "client-auth"
    """Certificates are for TLS clients, and say so."""
    WAITING = "waiting"
    """There are credentials whose requests wait for a person."""


OPERATIONS: Final = (Offer.SIMPLEREENROLL, Offer.SERVERKEYGEN, Offer.CSRATTRS, Offer.FULLCMC)


class Blocked(Exception):
    """Says why something cannot be looked at."""


@dataclass(frozen=True)
class Settings:
    """What has to be known of a server beforehand."""

    root: x509.Certificate
    """The CA's trust anchor."""
    credentials: Callable[[], Credentials]
    """Returns credentials that one new request may be granted for."""
    offers: frozenset[Offer]
    label: str | None = None
    waiting: Callable[[], Credentials] | None = None
    """Returns such whose request waits for a person."""
    waiting_label: str | None = None
    """The label below which it does."""
    subject: Callable[[str], x509.Name] = field(
        default=lambda user: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, user)])
    )


@dataclass(frozen=True)
class Enrollment:
    """A request that should be granted, and what was answered."""

    key: ec.EllipticCurvePrivateKey
    csr: bytes
    credentials: Credentials
    answer: Answer


@dataclass
class Target:
    """A server under test."""

    settings: Settings
    wire: Wire
    _spare: Credentials | None = None

    @cached_property
    def stranger(self) -> Identity:
        """A certificate that no CA of the server's has signed."""
        return asking.stranger(self.settings.subject("stranger"))

    @cached_property
    def cacerts(self) -> Answer:
        """What /cacerts answers."""
        answer = self.wire.ask("GET", "cacerts")
        if answer.status != 200:
            raise Blocked(f"cacerts answers {answer.status}")
        return answer

    @cached_property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        """The certificates of /cacerts, in whatever form they came."""
        return _lenient(self.cacerts)

    @cached_property
    def enrollment(self) -> Enrollment:
        """An enrollment as it should be."""
        return self.enroll()

    @cached_property
    def second(self) -> Enrollment:
        """Another one, in lines as older clients break them."""
        return self.enroll(render=asking.in_lines)

    @cached_property
    def certificate(self) -> x509.Certificate:
        """The certificate of `enrollment`, in whatever form it came."""
        return certificate_of(self.enrollment)

    @cached_property
    def identity(self) -> Identity:
        """A certificate to come back with. A new one: what is done with it changes nothing for other checks."""
        enrollment = self.enroll()
        certificate = certificate_of(enrollment)
        if asking.spki(certificate.public_key()) != asking.spki(enrollment.key.public_key()):
            raise Blocked("the certificate is for another key")
        if not in_time(certificate) or not self.chains(certificate) or not _is_for_clients(certificate):
            raise Blocked("the certificate does not let anybody in")
        return Identity(certificate, enrollment.key)

    @property
    def spare(self) -> Credentials:
        """Credentials for what must be refused: the same ones, until something has been granted for them."""
        if self._spare is None:
            self._spare = self.settings.credentials()
        return self._spare

    def request(self, user: str) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
        """Return a new key and an honest request for it."""
        key = asking.new_key()
        return key, asking.request(key, self.settings.subject(user))

    def enroll(self, *, render: Callable[[bytes], bytes] = asking.on_one_line) -> Enrollment:
        """Enroll a new key with new credentials."""
        credentials = self.settings.credentials()
        key, csr = self.request(credentials.user)
        return Enrollment(key, csr, credentials, self.ask_patiently(render(csr), credentials))

    def ask_patiently(self, body: bytes, credentials: Credentials) -> Answer:
        """Send a request to simpleenroll, again where the server says so."""
        for _ in range(ASKED_AGAIN_MAX):
            answer = self.post(body, credentials=credentials)
            if answer.status != 202:
                break
            wait_s = answer.headers.get("retry-after", "1")
            time.sleep(min(float(wait_s) if wait_s.isdigit() else 1.0, RETRY_S_MAX))
        return answer

    def post(
        self,
        body: bytes,
        operation: str = "simpleenroll",
        *,
        credentials: Credentials | None = None,
        authorization: str | None = None,
        content_type: str | None = asking.REQUEST_TYPE,
        label: str | None = None,
        who: Identity | None = None,
    ) -> Answer:
        """Send a body, by default as a request is sent."""
        answer = self.wire.ask(
            "POST", operation, body,
            label=label, content_type=content_type, credentials=credentials, authorization=authorization, who=who,
        )  # fmt: skip
        if answer.is_success and credentials is not None and credentials is self._spare:
            self._spare = None
        return answer

    def chains(self, certificate: x509.Certificate) -> bool:
        """Say whether it leads to the root over the certificates of /cacerts alone."""
        current, known = certificate, (*self.authorities, self.settings.root)
        for _ in range(CHAIN_MAX):
            if current == self.settings.root:
                return True
            above = next((each for each in known if _signed_by(current, each)), None)
            if above is None:
                return False
            current = above
        return False


def certificate_of(enrollment: Enrollment) -> x509.Certificate:
    """Return the certificate that was granted, in whatever form it came. Raises `Blocked` where there is none."""
    return granted(enrollment.answer, enrollment.key)


def granted(answer: Answer, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Return the certificate in an answer: the one for `key`, if there is one. Raises `Blocked`."""
    if answer.status != 200:
        raise Blocked(f"the request is answered {answer.status}")
    found = _lenient(answer)
    own = asking.spki(key.public_key())
    return next((each for each in found if asking.spki(each.public_key()) == own), found[0])


def in_time(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc


def credentials_of(command: str) -> Callable[[], Credentials]:
    """Return what runs a command of the shell for each pair of credentials: USER and PASSWORD on two lines."""

    def run() -> Credentials:
        said = subprocess.run(command, shell=True, check=True, stdout=subprocess.PIPE, text=True).stdout
        lines = re.split(r"\r?\n", said.strip())
        if len(lines) != 2:
            raise Blocked("the credentials command does not print a user and a password on two lines")
        return Credentials(*lines)

    return run


def _lenient(answer: Answer) -> tuple[x509.Certificate, ...]:
    try:
        return certificates_in(answer.body)
    except Unreadable as error:
        raise Blocked(str(error)) from error


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH in usages


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
