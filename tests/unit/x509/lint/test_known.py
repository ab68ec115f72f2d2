"""What stands in for the rules knows no certificate that they would find fault with, and does know the others."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.hierarchy import SHARD, Maker

from troth.errors import Fault
from troth.keys.file import FileKey, generate
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.building import Template, show, to_be_signed
from troth.x509.lint import lint
from troth.x509.lint.known import Known
from troth.x509.profiles import Profile
from troth.x509.serials import make_serial
from troth.x509.subjects import named_subject, parse_alternative_names, thing_subject

KEYS = [generate(KeyAlgorithm.P256) for _ in range(2)]


def device(maker: Maker, name: str = "lamp-1", key: FileKey = KEYS[0], **changes: object) -> bytes:
    issuer = maker.devices.certificate
    template = maker.template(maker.profiles["device"], thing_subject(name), key, issuer)
    return to_be_signed(dataclasses.replace(template, **changes), KeyAlgorithm.P256)  # type: ignore[arg-type]


def passes(maker: Maker, tbs: bytes) -> bool:
    try:
        certificate = show(tbs, KeyAlgorithm.P256, maker.throwaway.private_key)
        return lint(certificate, maker.profiles["device"], maker.devices.certificate) == ()
    except (Fault, ValueError):
        return False


@pytest.fixture
def known(maker: Maker) -> Known:
    known = Known(maker.profiles["device"], maker.devices.certificate)
    assert not known.has(device(maker))
    known.learn(device(maker))
    return known


@given(st.from_regex(r"\A[a-zA-Z0-9:_-]{1,64}\Z"), st.binary(min_size=13, max_size=13), st.sampled_from(KEYS))
def test_another_thing_is_known(maker: Maker, name: str, random: bytes, key: FileKey) -> None:
    known = Known(maker.profiles["device"], maker.devices.certificate)
    first = device(maker, serial=make_serial(SHARD, b"r" * 13))
    known.learn(first)
    other = device(maker, name, key, serial=make_serial(SHARD, random))
    assert known.has(other)
    assert passes(maker, other)


EDIT = st.tuples(st.integers(0, 700), st.integers(0, 3), st.binary(max_size=3))


@given(st.lists(EDIT, min_size=1, max_size=3), st.booleans())
def test_what_is_known_passes_the_rules_however_it_was_changed(
    maker: Maker, edits: list[tuple[int, int, bytes]], keep_size: bool
) -> None:
    known = Known(maker.profiles["device"], maker.devices.certificate)
    tbs = device(maker)
    known.learn(tbs)
    changed = bytearray(tbs)
    for at, gone, come in edits:
        at %= len(changed)
        changed[at : at + (len(come) if keep_size else gone)] = come
    if not keep_size:
        changed[2:4] = (len(changed) - 4).to_bytes(2, "big")
    if known.has(bytes(changed)):
        assert passes(maker, bytes(changed))


def flip(tbs: bytes, at: int) -> bytes:
    return tbs[:at] + bytes((tbs[at] ^ 1,)) + tbs[at + 1 :]


def test_each_octet_but_the_random_ones_is_looked_at(maker: Maker, known: Known) -> None:
    tbs = device(maker)
    # Of the serial number any 13 octets are good, and so is any other name.
    free = {*range(14, 27), *range(tbs.index(b"lamp-1"), tbs.index(b"lamp-1") + 6)}
    assert [at for at in range(len(tbs)) if at not in free and known.has(flip(tbs, at))] == []
    assert all(known.has(flip(tbs, at)) for at in range(14, 27))


@pytest.mark.parametrize("name", ["lamp 1", "l\xe4mp", "", "l" * 65])
def test_what_is_no_things_name_is_not_known(maker: Maker, known: Known, name: str) -> None:
    good = device(maker)
    text = name.encode("utf-8")
    size = len(text)
    head = bytes((0x30, size + 11, 0x31, size + 9, 0x30, size + 7)) + bytes.fromhex("0603550403")
    subject = thing_subject("lamp-1").public_bytes()
    changed = bytearray(good.replace(subject, head + bytes((0x0C, size)) + text))
    changed[2:4] = (len(changed) - 4).to_bytes(2, "big")
    assert not known.has(bytes(changed))
    assert not passes(maker, bytes(changed))


def test_the_issuers_own_name_is_not_known(maker: Maker) -> None:
    profile = maker.profiles["issuing-devices"]
    template = maker.template(profile, named_subject("lamp-1"), KEYS[1], maker.root.certificate)
    issuer = maker.sign(template, maker.root.key)
    known = Known(maker.profiles["device"], issuer)
    made = [
        to_be_signed(maker.template(maker.profiles["device"], thing_subject(name), KEYS[0], issuer), KeyAlgorithm.P256)
        for name in ("lamp-2", "lamp-1")
    ]
    known.learn(made[0])
    assert [known.has(tbs) for tbs in made] == [True, False]


def another_second(maker: Maker, template: Template) -> Template:
    return dataclasses.replace(template, not_before=template.not_before + timedelta(seconds=1))


def another_shard(maker: Maker, template: Template) -> Template:
    return dataclasses.replace(template, serial=make_serial(9, bytes(13)))


def another_name(maker: Maker, template: Template) -> Template:
    return dataclasses.replace(template, san=parse_alternative_names(["lamp.example"]))


@pytest.mark.parametrize("change", [another_second, another_shard, another_name])
def test_what_else_differs_is_left_to_the_rules(
    maker: Maker, known: Known, change: Callable[[Maker, Template], Template]
) -> None:
    issuer = maker.devices.certificate
    template = maker.template(maker.profiles["device"], thing_subject("lamp-2"), KEYS[0], issuer)
    assert known.has(to_be_signed(template, KeyAlgorithm.P256))
    assert not known.has(to_be_signed(change(maker, template), KeyAlgorithm.P256))


@pytest.mark.parametrize("kind", [KeyAlgorithm.P384, KeyAlgorithm.ED25519])
def test_other_kinds_of_key_are_left_to_the_rules(maker: Maker, kind: KeyAlgorithm) -> None:
    known = Known(maker.profiles["device"], maker.devices.certificate)
    tbs = device(maker, key=generate(kind))
    known.learn(tbs)
    assert not known.has(tbs)


def test_profiles_whose_rules_look_at_names_together_are_left_to_them(maker: Maker) -> None:
    servers = maker.servers.certificate
    profile: Profile = maker.profiles["server"]
    template = maker.template(
        profile, named_subject("home.example"), KEYS[0], servers, san=parse_alternative_names(["home.example"])
    )
    known = Known(profile, servers)
    tbs = to_be_signed(template, KeyAlgorithm.P256)
    known.learn(tbs)
    assert not known.has(tbs)
    # The servers' issuer has name constraints, whoever's certificates it may sign.
    constrained = Known(maker.profiles["device"], servers)
    tbs = to_be_signed(
        maker.template(maker.profiles["device"], thing_subject("lamp-1"), KEYS[0], servers), KeyAlgorithm.P256
    )
    constrained.learn(tbs)
    assert not constrained.has(tbs)
