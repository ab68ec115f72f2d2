"""EST as a device speaks it: the certificates of the home's issuers, enrollment with a one-time token, and renewal.

One connection for each request, to a server that is proven by the roots it was given; every answer is bounded. Knows no
identity folder. RFC 7030 sections 4.1 and 4.2.
"""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from typing import Final

from cryptography import x509

from troth.clock import Clock
from troth.device.connection import ConnectionFault, Credential
from troth.device.endpoint import Address
from troth.device.home_time import HomeTime
from troth.device.network import INTERNET, Network
from troth.errors import Fault, Kind, PeerFault
from troth.limits import EST_CERTIFICATES_BYTES_MAX, PROBLEM_BYTES_MAX, RETRY_AFTER_S_MAX
from troth.protocols import problem
from troth.protocols.est import (
    CACERTS_PATH,
    PATH,
    RENEWAL_INFO_PATH,
    REQUEST_TYPE,
    SIMPLEENROLL_PATH,
    SIMPLEREENROLL_PATH,
    Credentials,
    Operation,
    parse_certificates,
    render_body,
    render_credentials,
)
from troth.protocols.renewal_info import Window, parse_renewal_info
from troth.tls import client as tls
from troth.x509.certificates import parse_certificate

_POSTED: Final = {"Content-Type": REQUEST_TYPE, "Content-Transfer-Encoding": "base64"}
TAG_CHARS_MAX: Final = 128
_SECONDS_DIGITS_MAX: Final = 9
_OF_TIME: Final = frozenset(("expired", "not-yet-valid"))
"""Our own verdicts on a server that a clock may be to blame for."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a home tells devices to trust: unchecked."""

    certificates: tuple[x509.Certificate, ...]
    tag: str | None
    """By which it is named when asked for again."""


@dataclass(frozen=True, slots=True)
class Hint:
    """When the home would have a certificate renewed, and how long to go by that."""

    window: Window
    ask_again_s: float | None = None
    """Seconds until it is to be asked again; None where it does not say."""


@dataclass(frozen=True, slots=True)
class ESTServer:
    """The EST door at `address`, which must prove by `roots` to be `server_name`."""

    address: Address
    server_name: str
    roots: tuple[x509.Certificate, ...]
    time: HomeTime | None = None
    """What is corrected where the device's clock lets the server's certificate not be valid; None: nothing is."""
    judge: Clock | None = None
    """What tells the time by which the server's certificates are judged, whatever the device's clock says."""
    network: Network = INTERNET

    def ca_certificates(self) -> tuple[x509.Certificate, ...]:
        """Return the issuers of the home, in any order; the caller trusts none of them for that (section 4.1.3).

        Raises `Fault` as `simple_enroll` does.
        """
        return parse_certificates(self._exchange("GET", CACERTS_PATH, {}, None))

    def trust_bundle(self, own: Credential, tag: str | None) -> Bundle | None:
        """Return what the home tells devices to trust now, asked for as who we are; None when `tag` still names it.

        The caller trusts none of it for that. Raises `Fault` as `simple_enroll` does.
        """
        headers = {"If-None-Match": tag} if tag else {}
        status, told, content = self._ask("GET", CACERTS_PATH, headers, None, own)
        if status == HTTPStatus.NOT_MODIFIED and tag:
            return None
        if status != HTTPStatus.OK:
            raise _fault(status, told.get("Retry-After"), content)
        found = told.get("ETag", "")
        return Bundle(parse_certificates(content), found if _is_tag(found) else None)

    def simple_enroll(self, request: bytes, thing: str, token: str) -> tuple[x509.Certificate, ...]:
        """Send a request in DER and return what came back, unchecked: the new certificate (section 4.2.3).

        Raises `Fault`: what the server said, with its words and `retry_after` (unauthenticated: the token is unknown,
        spent, over or another thing's); unavailable, with `retry_after`, when a person is to approve first (202);
        `ConnectionFault`; `PeerFault` for an answer that is none.
        """
        headers = {"Authorization": render_credentials(Credentials(thing, token)), **_POSTED}
        return parse_certificates(self._exchange("POST", SIMPLEENROLL_PATH, headers, render_body(request)))

    def further_enroll(self, request: bytes, own: Credential, label: str) -> tuple[x509.Certificate, ...]:
        """Send a request in DER as who we are to the enrollment `label` and return what came back, unchecked.

        That is a further certificate, and the one of `own` stays as it is (3.2.2, 4.2.1). Raises `Fault` as
        `simple_enroll` does.
        """
        path = f"{PATH}/{label}/{Operation.SIMPLEENROLL}"
        return parse_certificates(self._exchange("POST", path, _POSTED, render_body(request), own))

    def simple_reenroll(self, request: bytes, own: Credential) -> tuple[x509.Certificate, ...]:
        """Send a request in DER as who we are and return what came back, unchecked: the renewed certificate (4.2.2).

        Raises `Fault` as `simple_enroll` does.
        """
        return parse_certificates(self._exchange("POST", SIMPLEREENROLL_PATH, _POSTED, render_body(request), own))

    def renewal_info(self, own: Credential) -> Hint:
        """Return when the certificate of `own` is to be renewed; that it is answered says that the home takes it.

        Raises `Fault` as `simple_enroll` does.
        """
        status, told, content = self._ask("GET", RENEWAL_INFO_PATH, {}, None, own)
        if status != HTTPStatus.OK:
            raise _fault(status, told.get("Retry-After"), content)
        return Hint(parse_renewal_info(content), _seconds(told.get("Retry-After")))

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, own: Credential | None = None
    ) -> bytes:
        """Ask once and return the body of a 200."""
        status, told, content = self._ask(method, path, headers, body, own)
        if status == HTTPStatus.OK:
            return content
        raise _fault(status, told.get("Retry-After"), content)

    def _dial(self, own: Credential | None) -> tls.Stream:
        """Connect to a server whose certificate is valid now, by the judge, this device's clock or the home's."""
        if self.judge is not None:
            return self.network.dial(self.address, self.server_name, self.roots, own, judge=self.judge)
        time = self.time
        if time is None or time.ahead is None:
            try:
                return self.network.dial(self.address, self.server_name, self.roots, own)
            except ConnectionFault as fault:
                if time is None or fault.refusal.word not in _OF_TIME:
                    raise
            self._ask_time(time)
        connection = self.network.dial(self.address, self.server_name, self.roots, own, checks_time=False)
        try:
            time.require_valid(_shown_by(connection))
        except Fault:
            connection.close()
            raise
        return connection

    def _ask_time(self, time: HomeTime) -> None:
        """Ask for what is public, and go by the time of the answer. Nothing secret is sent."""
        connection = http.client.HTTPConnection(self.server_name, self.address.port)
        sock = self.network.dial(self.address, self.server_name, self.roots, checks_time=False)
        connection.sock = sock
        try:
            server = _shown_by(sock)
            connection.request("HEAD", CACERTS_PATH, headers={"Connection": "close"})
            time.correct(connection.getresponse().getheader("Date"), server)
        except OSError as error:
            raise ConnectionFault(self.address, tls.refusal(error)) from error
        except http.client.HTTPException as error:
            raise PeerFault(
                Kind.MALFORMED, f"what answers at {self.address} does not speak HTTP", detail=repr(error)
            ) from error
        finally:
            connection.close()

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, own: Credential | None
    ) -> tuple[int, Message, bytes]:
        """Ask once, over a connection of its own; return status, headers and body."""
        connection = http.client.HTTPConnection(self.server_name, self.address.port)
        connection.sock = self._dial(own)
        try:
            connection.request(method, path, body, {**headers, "Connection": "close"})
            response = connection.getresponse()
            # One more than is allowed, so that the parsers see that there is more.
            content = response.read(max(EST_CERTIFICATES_BYTES_MAX, PROBLEM_BYTES_MAX) + 1)
        except OSError as error:
            raise ConnectionFault(self.address, tls.refusal(error)) from error
        except http.client.HTTPException as error:
            raise PeerFault(
                Kind.MALFORMED, f"what answers at {self.address} does not speak HTTP", detail=repr(error)
            ) from error
        finally:
            connection.close()
        return response.status, response.headers, content


def _fault(status: int, retry_after: str | None, content: bytes) -> Fault:
    """Return what an answer other than 200 means."""
    wait_s = _seconds(retry_after)
    if status == HTTPStatus.ACCEPTED:
        return Fault(
            Kind.UNAVAILABLE,
            "the home has the request and waits for someone to approve it",
            hint="ask for approval, then run the same command again",
            retry_after=wait_s,
        )
    if status < HTTPStatus.BAD_REQUEST:
        return PeerFault(Kind.MALFORMED, f"the home answered with HTTP status {status}, which EST has no use for")
    said = problem.parse(status, content)
    return Fault(said.kind, f"the home refused: {said.message}", hint=said.hint, retry_after=wait_s)


def _shown_by(connection: tls.Stream) -> x509.Certificate:
    return parse_certificate(tls.server_certificate(connection))


def _is_tag(text: str) -> bool:
    """Say whether a text is a strong entity tag that fits a file (RFC 9110, 8.8.3)."""
    return 2 < len(text) <= TAG_CHARS_MAX and text[0] == text[-1] == '"' and text.isascii() and text.isprintable()


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds of a Retry-After (RFC 9110, 10.2.3), bounded; None for a date: a device may have no clock."""
    text = (retry_after or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > _SECONDS_DIGITS_MAX:
        return None
    return float(min(int(text), RETRY_AFTER_S_MAX))
