from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.hierarchy import NOW, Maker

from troth.errors import Fault, Kind
from troth.limits import PROFILE_CHARS_MAX
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.profile_text import parse_profile
from troth.x509.profiles import ExtendedUse, KeyUse, NameKind, Profile, Purpose, validity_window


def test_built_in_profiles_are_named_as_their_files(profiles: dict[str, Profile]) -> None:
    assert all(profile.name == name for name, profile in profiles.items())
    assert all(profile.algorithms[0] is KeyAlgorithm.P256 for profile in profiles.values())
    assert all(profile.backdate == timedelta(hours=1) for profile in profiles.values())


def test_a_device_gets_a_small_short_lived_client_certificate(profiles: dict[str, Profile]) -> None:
    device = profiles["device"]
    assert (device.issuer, device.validity) == (Purpose.DEVICES, timedelta(days=90))
    assert device.extended_key_usage == (ExtendedUse.CLIENT_AUTH,)
    assert device.key_usage == {KeyUse.DIGITAL_SIGNATURE}
    assert not device.san_allowed
    assert device.ca is None


def test_a_peer_gets_a_certificate_for_a_day_and_for_both_ends(profiles: dict[str, Profile]) -> None:
    peer, issuing = profiles["peer"], profiles["issuing-peers"]
    assert (peer.issuer, peer.validity, peer.grace) == (Purpose.PEERS, timedelta(days=1), timedelta(0))
    assert set(peer.extended_key_usage) == {ExtendedUse.CLIENT_AUTH, ExtendedUse.SERVER_AUTH}
    assert peer.san_thing
    assert issuing.ca
    assert (issuing.ca.purpose, issuing.ca.name_constraints) == (Purpose.PEERS, True)


def test_each_issuer_is_for_one_use(profiles: dict[str, Profile]) -> None:
    root = profiles["root"]
    assert root.ca
    assert (root.ca.purpose, root.ca.path_length, root.extended_key_usage) == (Purpose.ROOT, 2, ())
    for purpose, use in (
        (Purpose.DEVICES, ExtendedUse.CLIENT_AUTH),
        (Purpose.SERVERS, ExtendedUse.SERVER_AUTH),
        (Purpose.OPERATORS, ExtendedUse.CLIENT_AUTH),
    ):
        issuing = profiles[f"issuing-{purpose}"]
        assert issuing.ca
        assert (issuing.issuer, issuing.ca.purpose, issuing.ca.path_length) == (Purpose.ROOT, purpose, 0)
        assert issuing.extended_key_usage == (use, ExtendedUse.OCSP_SIGNING)
        assert issuing.key_usage == {KeyUse.KEY_CERT_SIGN, KeyUse.CRL_SIGN}
        assert issuing.ca.name_constraints is (purpose is Purpose.SERVERS)
    assert profiles["server"].san_required
    assert profiles["server"].san_allowed == {NameKind.DNS, NameKind.IP}


GOOD = """
name = "claim"
issuer = "devices"
subject = "named"
algorithms = ["P-256"]
validity = "15m"
key_usage = ["digital-signature"]
extended_key_usage = ["client-auth"]
"""
OCSP = GOOD.replace("client-auth", "ocsp-signing")
GOOD_CA = """
name = "other"
issuer = "root"
subject = "issuer"
algorithms = ["P-384"]
validity = "10d"
key_usage = ["key-cert-sign"]
[ca]
purpose = "devices"
path_length = 0
"""


def test_what_may_be_left_out_has_its_default() -> None:
    profile = parse_profile(GOOD)
    assert (profile.validity, profile.backdate) == (timedelta(minutes=15), timedelta(hours=1))
    assert not profile.san_required
    assert parse_profile(GOOD_CA).extended_key_usage == ()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (GOOD.replace("validity", "validty"), "validity: is missing"),
        (GOOD + 'colour = "red"', "colour: unknown key"),
        (GOOD + '[san]\nallowed = ["dns"]\nrequird = true', "san.requird: unknown key"),
        (GOOD + "[san]\nrequired = true", "san.allowed: is missing"),
        (GOOD + '[san]\nallowed = ["mail"]', "san.allowed: 'mail' is not known"),
        (GOOD + '[san]\nallowed = "dns"', "san.allowed: must be a list"),
        (GOOD + "san = 1", "san: must be a table"),
        (GOOD_CA + "depth = 3", "ca.depth: unknown key"),
        (GOOD_CA.replace("path_length = 0", "path_length = true"), "ca.path_length: must be a whole number"),
        (GOOD_CA.replace("path_length = 0", "path_length = 1"), "ca.path_length"),
        (GOOD_CA.replace("path_length = 0", "path_length = -1"), "ca.path_length"),
        (GOOD_CA.replace('"devices"', '"root"'), "ca.path_length"),
        (GOOD_CA.replace('"root"', '"devices"'), "issuer: must be 'root'"),
        (GOOD_CA.replace('"issuer"', '"thing"'), "subject: must be 'issuer'"),
        (GOOD_CA.replace("key-cert-sign", "crl-sign"), "key_usage: a CA needs key-cert-sign"),
        (GOOD.replace('["digital-signature"]', '["key-cert-sign"]'), "key_usage: key-cert-sign needs a [ca]"),
        (GOOD.replace('["digital-signature"]', "[]"), "key_usage: names no use"),
        (GOOD.replace('["client-auth"]', "[]"), "extended_key_usage: names no use"),
        (GOOD.replace('["client-auth"]', '["client-auth", "client-auth"]'), "extended_key_usage: repeats"),
        (GOOD.replace('"named"', '"issuer"'), "subject: 'issuer' needs a [ca]"),
        (GOOD.replace('"devices"', '"root"'), "issuer: a root certifies issuers only"),
        (GOOD.replace('["P-256"]', "[]"), "algorithms: names no algorithm"),
        (GOOD.replace('"P-256"', "256"), "algorithms: '256' is not known"),
        (GOOD.replace('"15m"', '"0d"'), "validity: the duration '0d' is out of range"),
        (GOOD.replace('"15m"', '"36500d"'), "validity: must be at most"),
        (GOOD.replace('"15m"', '"1y"'), "validity: '1y' is not a duration"),
        (GOOD.replace('"15m"', '"-1d"'), "validity: '-1d' is not a duration"),
        (GOOD.replace('"15m"', '"9999999999d"'), "validity"),
        (GOOD.replace('"15m"', '""'), "validity: '' is not a duration"),
        (GOOD + 'backdate = "8d"', "backdate: must be at most 7d"),
        (GOOD.replace('"claim"', '"Claim 1"'), "name: must be"),
        (GOOD.replace('"claim"', "7"), "name: must be text"),
        (GOOD + 'renew_before = "15m"', "renew_before: must be shorter"),
        (GOOD + 'issuer_name = "The One"', "issuer_name: must be"),
        (GOOD + 'crl = "some"', "crl: 'some' is not known"),
        (GOOD + 'ocsp = "yes"', "ocsp: must be true or false"),
        (GOOD + "[san]\nallowed = []\nrequired = true", "san.allowed: names no kind"),
        (GOOD + "[san]\nthing = true", "san.thing: is for things"),
        (GOOD.replace('"named"', '"thing"') + '[san]\nthing = true\nallowed = ["dns"]', "san.thing: is the one name"),
        (GOOD + '[san]\nallowed = []\nwithin = ["example"]', "san.within: bounds names of no"),
        (GOOD + '[san]\nallowed = ["dns"]\nwithin = ["*.example"]', "san.within: '*.example' is neither"),
        (GOOD + '[san]\nallowed = ["dns"]\nwithin = ["a b"]', "san.within: 'a b' is neither"),
        (GOOD + '[san]\nallowed = ["dns"]\nwithin = [1]', "san.within: '1' is not text"),
        (GOOD.replace("digital-signature", "key-encipherment"), "key_usage: key-encipherment is for RSA keys"),
        (GOOD.replace('["P-256"]', '["Ed25519"]').replace("digital-signature", "key-agreement"), "key_usage: key-agr"),
        (GOOD.replace("digital-signature", "crl-sign"), "key_usage: crl-sign needs a [ca]"),
        (GOOD.replace('"devices"', '"any"'), "issuer: 'any' is for OCSP signers"),
        (OCSP.replace('"devices"', '"any"') + 'issuer_name = "a"', "issuer_name: names one"),
        (OCSP.replace('["ocsp-signing"]', '["ocsp-signing", "client-auth"]'), "extended_key_usage: ocsp-signing"),
        (OCSP + "ocsp = true", "ocsp: an OCSP signer"),
        (OCSP + 'crl = "full"', "ocsp: an OCSP signer"),
        (OCSP.replace('"15m"', '"8d"'), "validity: must be at most 7d"),
        (GOOD_CA + "shards = 0", "ca.shards: must be 1 to 65536"),
        (GOOD_CA + "shards = 65537", "ca.shards: must be 1 to 65536"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_profile(text)
    assert caught.value.kind is Kind.MALFORMED
    assert caught.value.message.startswith(f"profile: {place}")


def test_what_does_not_fit_has_a_remedy() -> None:
    with pytest.raises(Fault) as unknown:
        parse_profile('colour = "red"' + GOOD)
    assert unknown.value.hint is not None
    assert {"validity", "backdate", "renew_before"} <= set(unknown.value.hint.split(", "))
    with pytest.raises(Fault) as caught:
        parse_profile(GOOD.replace('"P-256"', '"P-521"'))
    assert caught.value.hint == f"use one of {', '.join(KeyAlgorithm)}"


def test_renewal_is_due_when_a_third_is_left() -> None:
    assert parse_profile(GOOD).renew_before == timedelta(minutes=5)
    assert parse_profile(GOOD.replace('"15m"', '"365d"')).renew_before == timedelta(days=121)
    assert parse_profile(GOOD + 'renew_before = "1m"').renew_before == timedelta(minutes=1)


def test_only_an_ocsp_signer_may_be_any_issuers() -> None:
    profile = parse_profile(OCSP.replace('"devices"', '"any"'))
    assert profile.issuer is None
    assert profile.is_ocsp_signer
    assert not parse_profile(GOOD).is_ocsp_signer
    # an issuing CA may certify such signers, and is none itself
    assert not parse_profile('extended_key_usage = ["ocsp-signing"]' + GOOD_CA).is_ocsp_signer


@pytest.mark.parametrize("text", ["= 1", "a = " + "[" * 5000, "a = 1\na = 2"])
def test_what_is_no_toml_is_refused(text: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_profile(text)
    assert caught.value.kind is Kind.MALFORMED


def test_a_profile_is_bounded() -> None:
    with pytest.raises(Fault) as caught:
        parse_profile("#" * (PROFILE_CHARS_MAX + 1))
    assert caught.value.kind is Kind.TOO_LARGE


@given(st.text(max_size=80))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(Fault):
        parse_profile(text)


def test_a_window_is_backdated_and_in_whole_seconds(maker: Maker, profiles: dict[str, Profile]) -> None:
    whole = NOW.replace(microsecond=0)
    # the issuer was made at the same time, so its own backdating is the earliest there is
    assert validity_window(profiles["device"], NOW, maker.devices.certificate) == (
        whole - timedelta(hours=1),
        whole + timedelta(days=90),
    )


def test_a_window_keeps_within_the_issuers(maker: Maker, profiles: dict[str, Profile]) -> None:
    issuer = maker.devices.certificate
    begin, end = issuer.not_valid_before_utc, issuer.not_valid_after_utc
    assert validity_window(profiles["device"], begin, issuer)[0] == begin
    assert validity_window(profiles["device"], end - timedelta(days=1), issuer)[1] == end


@pytest.mark.parametrize("when", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)])
def test_an_issuer_out_of_its_time_certifies_nothing(
    maker: Maker, profiles: dict[str, Profile], when: datetime
) -> None:
    with pytest.raises(Fault) as caught:
        validity_window(profiles["device"], when, maker.devices.certificate)
    assert caught.value.kind is Kind.EXPIRED
