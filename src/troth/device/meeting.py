"""One meeting of two devices: mutual TLS, each looks at the other, and only then is a word said.

Who is refused by OpenSSL is told by a TLS alert; who is refused for what else was found, by a word on the connection.
Knows neither listening nor calling; see `neighbours`.
"""

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from troth.clock import Clock
from troth.device.endpoint import Address
from troth.device.identity import Identity
from troth.device.network import INTERNET, Network
from troth.device.peer import Peer
from troth.device.recognition import Expected, NotRecognised, Objection, recognise
from troth.device.slot_keys import token_access
from troth.device.uptime import Uptime
from troth.errors import Fault, Kind
from troth.limits import NEIGHBOUR_STEP_S_MAX
from troth.protocols.neighbours import Line, Lines, Refused, render_line
from troth.tls import neighbours as tls
from troth.tls.token_keys import use_token_key
from troth.x509.certificates import parse_certificate
from troth.x509.profiles import ExtendedUse

_READ_BYTES: Final = 16 * 1024
_SECOND: Final = timedelta(seconds=1)
_OF_ANOTHER_HOME: Final = "its certificate is not of this home"
_WORDS: Final[Mapping[str, tuple[Kind, str]]] = {
    "unknown-issuer": (Kind.UNAUTHENTICATED, _OF_ANOTHER_HOME),
    "self-signed": (Kind.UNAUTHENTICATED, _OF_ANOTHER_HOME),
    "bad-signature": (Kind.UNAUTHENTICATED, "its certificate's signature is wrong"),
    "wrong-purpose": (Kind.UNAUTHENTICATED, "its certificate is not one for neighbours"),
    "untrusted": (Kind.UNAUTHENTICATED, "its certificate is not good"),
    "no-certificate": (Kind.UNAUTHENTICATED, "it shows no certificate"),
    "closed": (Kind.UNAVAILABLE, "it closed the connection"),
    "reset": (Kind.UNAVAILABLE, "it broke the connection off"),
    "timeout": (Kind.UNAVAILABLE, "it does not answer"),
    "unreachable": (Kind.UNAVAILABLE, "it cannot be reached"),
    "not-tls": (Kind.UNSUPPORTED, "what answers does not speak TLS"),
    "no-shared-protocol": (Kind.UNSUPPORTED, "it does not speak TLS 1.3"),
}
_TOLD: Final[Mapping[str, tuple[Kind, str]]] = {
    Objection.NO_NEIGHBOUR: (Kind.UNAUTHENTICATED, "our certificate is not one for neighbours"),
    Objection.EXPIRED: (Kind.EXPIRED, "our certificate has expired, by its time"),
    Objection.NOT_YET_VALID: (Kind.EXPIRED, "our certificate is not yet valid, by its time"),
    Objection.LIVES_TOO_LONG: (Kind.REJECTED, "our certificate lives longer than it takes"),
    Objection.NOT_EXPECTED: (Kind.FORBIDDEN, "we are not the one who it expects"),
    Objection.TIME_UNKNOWN: (Kind.UNAVAILABLE, "it does not know the time"),
}
"""What the other holds against us."""


class NotMet(Fault):
    """Two have not met, or meet no more. `word` says why, `is_theirs` whether the other said so."""

    def __init__(self, word: str, whom: str, *, is_theirs: bool, said: Fault | None = None, detail: str = "") -> None:
        self.word, self.is_theirs = word, is_theirs
        if word.startswith("alert:"):
            kind, why = Kind.UNAUTHENTICATED, f"with the TLS alert {word.removeprefix('alert:')}"
        elif is_theirs:
            kind, why = _TOLD.get(word, (Kind.UNAUTHENTICATED, word[:64]))
        elif said is not None:
            kind, why = said.kind, said.message
        else:
            kind, why = _WORDS.get(word, (Kind.UNAVAILABLE, "the connection failed"))
        text = f"{whom} refused this device: {why}" if is_theirs else f"not met {whom}: {why}"
        super().__init__(kind, text, hint=said.hint if said else None, detail=(said and said.detail) or detail or None)


@dataclass(frozen=True, slots=True)
class Party:
    """This device, as it meets others."""

    identity: Identity
    own: Peer
    expected: Expected
    clock: Clock
    """What certificates are judged by where the identity has no time servers."""
    network: Network = INTERNET

    def meet(self, plain: socket.socket, address: Address, *, listens: bool) -> "Stream":
        """Return the connection that `plain` becomes, once the other end has proven to be who is expected.

        Raises `NotMet`, when the other has been told; `Fault`: bad key when our own certificate cannot be shown.
        """
        try:
            context = self._context(listens=listens)
        except Fault:
            plain.close()
            raise
        try:
            connection, raw = tls.shake_hands(plain, context, listens=listens, timeout_s=NEIGHBOUR_STEP_S_MAX)
        except OSError as error:
            raise not_met(tls.refusal(error), str(address)) from error
        stream = Stream(connection, raw, address)
        try:
            shown = tuple(parse_certificate(der) for der in tls.verified_chain(connection))
            at = self._recognise(stream, shown, ExtendedUse.CLIENT_AUTH if listens else ExtendedUse.SERVER_AUTH)
            stream.bound(shown[0], at)
        except NotRecognised as refused:
            with suppress(Fault):
                stream.say(Refused(refused.objection))
            stream.close()
            raise NotMet(refused.objection, str(address), is_theirs=False, said=refused) from refused
        except BaseException:
            stream.close()
            raise
        return stream

    def _recognise(self, stream: "Stream", shown: tuple[x509.Certificate, ...], use: ExtendedUse) -> datetime:
        """Say on the stream who it is; return the time by which that was judged."""
        try:
            at = (self.network.judge_of(self.identity.time_servers) or self.clock).now()
        except Fault as fault:
            # Asked for when OpenSSL has let it pass: no stranger makes this device ask.
            raise NotRecognised(Objection.TIME_UNKNOWN, fault.kind, fault.message, fault.detail) from fault
        stream.thing = recognise(shown, self.identity.trust, self.expected, use=use, at=at)
        return at

    def _context(self, *, listens: bool) -> tls.Context:
        context = tls.neighbour_context(self.identity.trust, listens=listens)
        slot = self.own.slot
        access = token_access(slot.path)
        if access is None:
            tls.show(context, slot.chain_file, slot.key_file)
        else:
            use_token_key(context, slot.chain_file.read_bytes(), access)
        return context


class Stream:
    """A connection to another device, which has proven to be `thing`: lines both ways."""

    thing: str
    certificate: x509.Certificate

    def __init__(self, connection: tls.Connection, raw: socket.socket, address: Address) -> None:
        self._connection, self._raw, self.address = connection, raw, address
        self._lines = Lines()
        self._uptime = Uptime()
        self._over_at = timedelta(0)

    def bound(self, certificate: x509.Certificate, at: datetime) -> None:
        """Go on for as long as the certificate that the other has shown `at` a time is valid, and no longer."""
        self.certificate = certificate
        # Its last second belongs to it.
        self._over_at = self._uptime.passed() + (certificate.not_valid_after_utc - at) + _SECOND

    def say(self, line: Line) -> None:
        """Send a line. Raises `NotMet`."""
        data = render_line(line)
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise not_met(tls.refusal(error), str(self.address)) from error

    def hear(self, timeout_s: float) -> Line | None:
        """Return the next line; None when the other has gone. No read may take longer than `timeout_s`.

        Raises `NotMet`, also when the other's certificate has expired by now; `PeerFault` for what is no line.
        """
        while (line := self._lines.take()) is None:
            try:
                self._connection.settimeout(timeout_s)
                data = self._connection.recv(_READ_BYTES)
            except OSError as error:
                raise not_met(tls.refusal(error), str(self.address)) from error
            if not data:
                return None
            self._lines.feed(data)
        if self._uptime.passed() > self._over_at:
            over = Fault(Kind.EXPIRED, "its certificate has expired while it was here")
            raise NotMet(Objection.EXPIRED, str(self.address), is_theirs=False, said=over)
        return line

    def close(self) -> None:
        """Close; what was said last still arrives."""
        tls.part(self._connection, self._raw)


def not_met(refusal: tls.Refusal, whom: str) -> NotMet:
    """Return what a failed connection means."""
    return NotMet(refusal.word, whom, is_theirs=refusal.alert is not None, detail=refusal.detail)
