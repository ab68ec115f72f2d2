"""The two verdicts of OpenSSL on a peer's certificate that may be overruled, by their names, in one function.

Everything else that OpenSSL refuses stays refused: signature, purpose, not yet valid, the dates of CAs. An overruled
peer is marked as such (`troth.tls.peer.PeerTLS`), for whoever comes after to be strict with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from OpenSSL import SSL

from troth.tls.reasons import Verdict

AdmitsExpired = Callable[[x509.Certificate], bool]
"""Whether the holder of a certificate that has expired, and is good otherwise, may come in to renew it."""
KnowsStranger = Callable[[Sequence[x509.Certificate]], bool]
"""Whether certificates without an issuer of ours, the peer's own first, lead to one that is registered.

OpenSSL has put them together and found no issuer of the last, whose signature it has then not checked: this must.
"""

_UNKNOWN_ISSUER: Final = frozenset(
    (
        SSL.X509VerificationCodes.ERR_UNABLE_TO_GET_ISSUER_CERT,
        SSL.X509VerificationCodes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        SSL.X509VerificationCodes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
    )
)
# A root that the peer sent and that is none of the anchors. Of the peer's own certificate, where that is signed by
# itself, OpenSSL says ERR_DEPTH_ZERO_SELF_SIGNED_CERT, which stands.
_UNKNOWN_ROOT: Final = SSL.X509VerificationCodes.ERR_SELF_SIGNED_CERT_IN_CHAIN
_EXPIRED: Final = Verdict(SSL.X509VerificationCodes.ERR_CERT_HAS_EXPIRED, 0)


@dataclass(frozen=True, slots=True)
class Overruled:
    """Left on a connection whose peer was let in against this verdict."""

    verdict: Verdict

    @property
    def is_stranger(self) -> bool:
        """Whether it was that the issuer is unknown; if not, the peer's own certificate has expired."""
        return _is_unknown(self.verdict)


def may_overrule(
    verdict: Verdict,
    chain: Sequence[x509.Certificate],
    before: Overruled | None,
    admits_expired: AdmitsExpired | None,
    knows_stranger: KnowsStranger | None,
) -> bool:
    """Say whether a verdict is overruled; `before` is what was in the same handshake: nobody is stranger and expired.

    `chain` is as far as OpenSSL could build it, the peer's own certificate first.
    """
    if not chain:
        return False
    if verdict == _EXPIRED:
        return before is None and admits_expired is not None and admits_expired(chain[0])
    if _is_unknown(verdict):
        return (before is None or before.is_stranger) and knows_stranger is not None and knows_stranger(chain)
    return False


def _is_unknown(verdict: Verdict) -> bool:
    """Say whether all that is wrong is that no anchor has issued the last certificate."""
    return verdict.error in _UNKNOWN_ISSUER or (verdict.error == _UNKNOWN_ROOT and verdict.depth > 0)
