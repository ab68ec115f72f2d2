import ipaddress

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Fault, Kind
from troth.limits import ALTERNATIVE_NAMES_MAX
from troth.x509.certificates import subject_text
from troth.x509.subjects import (
    SITE_CHARS_MAX,
    is_within,
    issuer_subject,
    named_subject,
    parse_alternative_name,
    parse_alternative_names,
    parse_bound,
    permitted_at,
    thing_host,
    thing_of,
    thing_subject,
)


@given(st.from_regex(r"[a-zA-Z0-9:_-]{1,128}", fullmatch=True))
def test_every_thing_has_one_subject(thing: str) -> None:
    subject = thing_subject(thing)
    assert thing_of(subject) == thing
    assert [part.oid for part in subject] == [NameOID.COMMON_NAME if len(thing) <= 64 else NameOID.USER_ID]


@given(st.from_regex(r"[a-zA-Z0-9:_-]{1,128}", fullmatch=True))
def test_every_thing_has_a_name_as_a_host_that_no_host_has(thing: str) -> None:
    name = thing_host(thing)
    assert parse_alternative_name(name).value == name
    assert name.endswith(".troth.alt")
    assert (name == f"{thing}.troth.alt") is (not name.endswith(".hashed.troth.alt"))


def test_things_that_dns_takes_for_one_have_different_names_as_hosts() -> None:
    things = ["lamp", "Lamp", "LAMP", "lamp:1", "lamp_1", "lamp-", "hashed", "a" * 63, "a" * 64]
    assert len({thing_host(thing) for thing in things}) == len(things)
    assert [thing for thing in things if "hashed" not in thing_host(thing)] == ["lamp", "a" * 63]


@pytest.mark.parametrize(
    "subject",
    [
        x509.Name([]),
        x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "a")]),
        x509.Name([x509.NameAttribute(NameOID.USER_ID, "short")]),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "not a thing")]),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a"), x509.NameAttribute(NameOID.COMMON_NAME, "b")]),
    ],
)
def test_no_other_subject_is_a_thing(subject: x509.Name) -> None:
    assert thing_of(subject) is None


def test_issuers_of_one_site_have_distinct_names() -> None:
    names = {
        subject_text(issuer_subject("home.example", purpose, generation))
        for purpose in ("root", "devices", "servers", "operators")
        for generation in (1, 2)
    }
    assert len(names) == 8
    assert "CN=home.example devices CA 2" in names
    assert issuer_subject("s" * SITE_CHARS_MAX, "operators", 999)


@pytest.mark.parametrize("site", ["", "s" * (SITE_CHARS_MAX + 1), "a\nb"])
def test_a_site_name_that_does_not_fit_is_refused(site: str) -> None:
    with pytest.raises(Fault) as caught:
        issuer_subject(site, "root", 1)
    assert caught.value.kind is Kind.MALFORMED


@pytest.mark.parametrize("name", ["", "n" * 65, "a\0b"])
def test_a_name_that_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(Fault):
        named_subject(name)


def test_names_are_addresses_or_dns_names() -> None:
    assert parse_alternative_names(["Home.Example", "127.0.0.1", "::1", "*.home.example", "home.example"]) == (
        x509.DNSName("home.example"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
        x509.DNSName("*.home.example"),
    )


@pytest.mark.parametrize(
    "text", ["", "a b", "-a", "a-", "a..b", ".a", "a.", "ä.example", "a.*.b", "*", "x" * 64, "a_b", "127.0.0.1:80"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_alternative_name(text)
    assert caught.value.kind is Kind.MALFORMED


def test_names_are_bounded() -> None:
    with pytest.raises(Fault) as caught:
        parse_alternative_names(f"n{number}" for number in range(ALTERNATIVE_NAMES_MAX + 1))
    assert caught.value.kind is Kind.TOO_LARGE


def test_a_site_permits_itself_and_its_own_networks() -> None:
    permitted = permitted_at("home.example", ["gateway", "203.0.113.5"])
    for name in (x509.DNSName("home.example"), x509.DNSName("gateway"), x509.DNSName("localhost")):
        assert name in permitted
    for network in ("127.0.0.0/8", "192.168.0.0/16", "::1/128", "203.0.113.5/32"):
        assert x509.IPAddress(ipaddress.ip_network(network)) in permitted
    assert x509.IPAddress(ipaddress.ip_network("198.51.100.1/32")) in permitted_at("198.51.100.1")


@pytest.mark.parametrize(
    ("name", "bound", "inside"),
    [
        ("cam.home.example", "home.example", True),
        ("home.example", "home.example", True),
        ("a.b.home.example", "home.example", True),
        ("nothome.example", "home.example", False),
        ("home.example.org", "home.example", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("::1", "10.0.0.0/8", False),
        ("fd00::1", "fc00::/7", True),
        ("10.0.0.0", "home.example", False),
    ],
)
def test_a_name_lies_in_a_domain_or_network(name: str, bound: str, inside: bool) -> None:
    assert is_within(parse_alternative_name(name), [parse_bound(bound)]) is inside
    assert not is_within(parse_alternative_name(name), [])


def test_names_of_other_kinds_lie_nowhere() -> None:
    assert not is_within(x509.RFC822Name("a@home.example"), [parse_bound("home.example")])
