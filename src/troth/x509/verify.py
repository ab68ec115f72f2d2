"""Whether a certificate leads to an issuer that is trusted, for a given use, at a given time. RFC 5280 section 6.1.

The steps are numbered: 1 to 7 are `troth.x509.steps`, 8 is `troth.x509.revocation`; a refusal names its own. No
certificate policies: where a path makes them critical, it is refused. Knows no trust store: the caller says whom it
trusts, and brings certificates and CRLs; nothing is fetched.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from cryptography import x509

from troth.errors import Kind, PeerFault
from troth.limits import CHAIN_CERTIFICATES_MAX, PATH_LINKS_MAX
from troth.x509 import steps
from troth.x509.certificates import UNREADABLE, certificate_id, find_extension
from troth.x509.distinguished_names import is_self_issued, same_name
from troth.x509.profiles import ExtendedUse
from troth.x509.revocation import not_revoked
from troth.x509.steps import Refusal

Path = tuple[x509.Certificate, ...]
"""A leaf, each certificate issued by the next, and the anchor last."""


def verify_issued_by(
    certificate: x509.Certificate, issuer: x509.Certificate, *, at: datetime, use: ExtendedUse | None, below: int = 0
) -> None:
    """Return if `issuer` has issued `certificate`, and both are good for `use` (None: any) at the time `at`.

    `below` is the number of CAs between `certificate` and the last one of its chain, self-issued ones left out, for the
    path length. Raises `PeerFault` (unauthenticated, expired, unsupported, malformed) whose `detail` names the step.
    """
    try:
        _verify_link(certificate, issuer, at, use, below)
        steps.names_permitted(certificate, issuer, is_last=True)
    except UNREADABLE as error:
        raise _unreadable(error) from error


def verify_chain(
    chain: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    *,
    at: datetime,
    use: ExtendedUse | None,
    crls: Sequence[x509.CertificateRevocationList] | None = None,
) -> x509.Certificate:
    """Return the anchor that `chain` (the leaf first, the others in any order) leads to at the time `at`.

    The last of the chain may be an anchor itself. With `crls`, which then must tell of every certificate but the
    anchor, none may be revoked; None asks nobody. An anchor is held to its own validity, constraints and uses, which
    RFC 5280 leaves open. Raises `PeerFault` as `verify_issued_by` does.
    """
    if not 1 <= len(chain) <= CHAIN_CERTIFICATES_MAX:
        raise Refusal(0, Kind.UNAUTHENTICATED, f"the chain has not 1 to {CHAIN_CERTIFICATES_MAX} certificates")
    return find_path(chain[0], chain[1:], anchors, at=at, use=use, crls=crls)[-1]


def find_path(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    *,
    at: datetime,
    use: ExtendedUse | None,
    crls: Sequence[x509.CertificateRevocationList] | None = None,
) -> Path:
    """Return the first good path from `leaf` over any of `others` to one of `anchors`.

    Looks at no more than `PATH_LINKS_MAX` links. Raises `PeerFault` as `verify_issued_by` does: of the paths that there
    are, the refusal of the one that passed most steps.
    """
    try:
        return _Search(tuple(others), tuple(anchors), at, tuple(crls) if crls is not None else None).find(leaf, use)
    except UNREADABLE as error:
        raise _unreadable(error) from error


@dataclass(frozen=True, slots=True)
class _Search:
    """What is at hand for one verification."""

    others: Path
    anchors: Path
    at: datetime
    crls: tuple[x509.CertificateRevocationList, ...] | None
    vouched: frozenset[str] = frozenset()
    """Certificates under way as signers of CRLs, which need not be vouched for again on the way."""

    def find(self, leaf: x509.Certificate, use: ExtendedUse | None) -> Path:
        if leaf in self.anchors:
            raise Refusal(0, Kind.UNAUTHENTICATED, "the chain is an anchor alone")
        last = Refusal(0, Kind.UNAUTHENTICATED, "the chain leads to no trusted issuer")
        for path in self._paths(leaf):
            try:
                self._verify(path, use)
            except Refusal as refusal:
                last = max(last, refusal, key=lambda each: each.step)
            else:
                return path
        raise last

    def _paths(self, leaf: x509.Certificate) -> Iterator[Path]:
        """Yield the paths whose names chain, depth first, those over anchors first."""
        links = 0
        waiting: list[Path] = [(leaf,)]
        while waiting:
            path = waiting.pop()
            if len(path) > CHAIN_CERTIFICATES_MAX:
                continue
            for issuer in self._issuers(path):
                links += 1
                if links > PATH_LINKS_MAX:
                    return
                if issuer in self.anchors:
                    yield (*path, issuer)
                else:
                    waiting.append((*path, issuer))

    def _issuers(self, path: Path) -> Iterator[x509.Certificate]:
        for issuer in (*self.anchors, *self.others):
            if issuer not in path and same_name(issuer.subject, path[-1].issuer):
                yield issuer

    def _verify(self, path: Path, use: ExtendedUse | None) -> None:
        for place in reversed(range(len(path) - 1)):
            certificate, issuer, under = path[place], path[place + 1], path[: place + 1]
            below = sum(not is_self_issued(each) for each in under[1:])
            _verify_link(certificate, issuer, self.at, use, below)
            for each in under:
                steps.names_permitted(each, issuer, is_last=each is path[0])
            if self.crls is not None:
                not_revoked(certificate, self.crls, partial(self._signers, issuer, path[-1]), self.at)

    def _signers(
        self, issuer: x509.Certificate, anchor: x509.Certificate, name: x509.Name
    ) -> Iterator[x509.Certificate]:
        """Yield who may sign CRLs under `name`: the issuer, the anchor, and whom the same anchor vouches for."""
        for each in (issuer, anchor):
            if same_name(each.subject, name):
                yield each
        for each in self.others:
            if each != issuer and same_name(each.subject, name) and self._is_vouched_for(each, anchor):
                yield each

    def _is_vouched_for(self, signer: x509.Certificate, anchor: x509.Certificate) -> bool:
        usage = find_extension(signer, x509.KeyUsage)
        if usage is None or not usage.crl_sign:
            return False
        identity = certificate_id(signer)
        if identity in self.vouched:
            return True
        try:
            _Search(self.others, (anchor,), self.at, self.crls, self.vouched | {identity}).find(signer, None)
        except PeerFault:
            return False
        return True


def _verify_link(
    certificate: x509.Certificate, issuer: x509.Certificate, at: datetime, use: ExtendedUse | None, below: int
) -> None:
    steps.names_chain(certificate, issuer)
    steps.signature_holds(certificate, issuer)
    steps.in_time(certificate, at)
    steps.in_time(issuer, at)
    steps.issuer_may_sign(issuer, below)
    steps.all_critical_understood(certificate)
    steps.all_critical_understood(issuer)
    steps.good_for(certificate, use)
    steps.good_for(issuer, use)


def _unreadable(error: Exception) -> PeerFault:
    return PeerFault(Kind.MALFORMED, "a certificate or CRL cannot be read", detail=str(error))
