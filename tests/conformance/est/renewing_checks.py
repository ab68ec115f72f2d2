"""Renewal with the certificate of the connection. RFC 7030 section 4.2.2."""

from tests.conformance.est import asking
from tests.conformance.est.checking import check, expect, expect_refused
from tests.conformance.est.cms import decode, require_certs_only
from tests.conformance.est.forms import require_certs_only_type
from tests.conformance.est.target import Blocked, Offer, Target, granted
from tests.conformance.est.wire import Answer, Identity


def _renew(target: Target, identity: Identity, csr: bytes) -> Answer:
    return target.post(asking.on_one_line(csr), "simplereenroll", who=identity)


def _same(identity: Identity, key: asking.Key | None = None) -> bytes:
    """Return a request that keeps all names, for the same key or for a new one."""
    return asking.request(
        key or identity.key, identity.certificate.subject, dns_names=asking.dns_names(identity.certificate)
    )


@check("RFC 7030 4.2.2, 3.3.2", Offer.SIMPLEREENROLL)
def reenroll_certificate_required(target: Target) -> None:
    """Who shows no certificate renews none."""
    _key, csr = target.request("somebody")
    answer = target.post(asking.on_one_line(csr), "simplereenroll")
    expect_refused(answer, "a renewal without a client certificate")


@check("RFC 7030 4.2.2", Offer.SIMPLEREENROLL)
def reenroll_granted(target: Target) -> None:
    """The same names and the same key again are granted."""
    identity = target.identity
    answer = _renew(target, identity, _same(identity))
    expect(answer.status == 200, f"a renewal is answered {answer.status}")


@check("RFC 7030 4.2.2, 4.2.3, RFC 8951 3.1", Offer.SIMPLEREENROLL)
def reenroll_form(target: Target) -> None:
    """The answer has the form of simpleenroll's."""
    answer = _renew(target, target.identity, _same(target.identity))
    if answer.status != 200:
        raise Blocked(f"a renewal is answered {answer.status}")
    require_certs_only_type(answer)
    require_certs_only(decode(answer.body))


@check("RFC 7030 4.2.2", Offer.SIMPLEREENROLL)
def reenroll_new_key(target: Target) -> None:
    """A request for a new key, made with the old certificate, gets a new certificate for the new key."""
    key = asking.new_key()
    certificate = granted(_renew(target, target.identity, _same(target.identity, key)), key)
    expect(asking.spki(certificate.public_key()) == asking.spki(key.public_key()), "it is for another key")


@check("RFC 7030 4.2.2", Offer.SIMPLEREENROLL)
def reenroll_names_kept(target: Target) -> None:
    """Subject and alternative names are those of the old certificate."""
    old, key = target.identity.certificate, asking.new_key()
    new = granted(_renew(target, target.identity, _same(target.identity, key)), key)
    expect(new.subject == old.subject, f"the subject is now {new.subject.rfc4514_string()}")
    expect(asking.dns_names(new) == asking.dns_names(old), "the alternative names are others")


@check("RFC 5280 4.1.2.2", Offer.SIMPLEREENROLL)
def reenroll_new_serial(target: Target) -> None:
    """A renewed certificate is a new one."""
    key = asking.new_key()
    new = granted(_renew(target, target.identity, _same(target.identity, key)), key)
    expect(new.serial_number != target.identity.certificate.serial_number, "the serial number is the old one")


@check("RFC 7030 4.2.2", Offer.SIMPLEREENROLL)
def reenroll_other_subject(target: Target) -> None:
    """Who renews gets no other subject than it had."""
    key, identity = asking.new_key(), target.identity
    csr = asking.request(key, target.settings.subject("victim.example"))
    answer = _renew(target, identity, csr)
    if not answer.is_success:
        expect_refused(answer, "a renewal with another subject")
        return
    expect(granted(answer, key).subject == identity.certificate.subject, "a renewal changes the subject")


@check("RFC 7030 4.2.1, RFC 2986 4.2", Offer.SIMPLEREENROLL)
def reenroll_bad_signature(target: Target) -> None:
    """A request that its key has not signed is refused here too."""
    csr = asking.badly_signed(_same(target.identity, asking.new_key()))
    expect_refused(_renew(target, target.identity, csr), "a renewal with a wrong signature")
