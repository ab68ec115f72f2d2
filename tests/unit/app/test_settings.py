"""Settings: the file under the environment, nothing unknown passed over, and every fault says where."""

import tomllib
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.app.settings import Settings, build_settings, read_settings
from troth.app.settings_file import list_settings, render_settings
from troth.app.settings_values import parse_address
from troth.errors import Fault, Kind
from troth.limits import PRESETS, Limits

SITE = {"site": {"name": "home.example", "public_url": "http://home.example:8080"}}


def build(tables: dict[str, object] | None = None, **environment: str) -> Settings:
    return build_settings({**SITE, **(tables or {})}, environment, source="troth.toml")


def refused(tables: dict[str, object] | None = None, **environment: str) -> str:
    with pytest.raises(Fault) as caught:
        build(tables, **environment)
    assert caught.value.kind is Kind.MISCONFIGURED
    return caught.value.message


def test_defaults_are_the_documented_ones() -> None:
    settings = build()
    assert settings.listen.mqtt == "127.0.0.1:8883"
    assert settings.gateway.unknown_state_for == timedelta(seconds=30)
    assert settings.limits.resolve() == PRESETS["default"]


def test_environment_lies_over_the_file() -> None:
    settings = build({"listen": {"mqtt": "0.0.0.0:1"}}, TROTH_LISTEN__MQTT="0.0.0.0:2", TROTH_HOME="/elsewhere")
    assert settings.listen.mqtt == "0.0.0.0:2"


@pytest.mark.parametrize(
    ("tables", "place"),
    [
        ({"listn": {}}, "listn: no such setting"),
        ({"listen": {"mqt": "a:1"}}, "listen.mqt: no such setting"),
        ({"listen": {"mqtt": "8883"}}, "listen.mqtt"),
        ({"listen": {"mqtt": "host:70000"}}, "listen.mqtt"),
        ({"broker": {"url": "amqp://x"}}, "broker.url"),
        ({"gateway": {"unknown_state_for": "30"}}, "gateway.unknown_state_for"),
        ({"gateway": {"balancers": 7}}, "gateway.balancers: must be a list of networks"),
        ({"gateway": {"balancers": ["10.0.0.1/8"]}}, "gateway.balancers: 10.0.0.1/8 has host bits set"),
        ({"gateway": {"balancers": ["proxy.example"]}}, "gateway.balancers"),
        ({"gateway": {"unknown_server_name": "maybe"}}, "gateway.unknown_server_name"),
        ({"site": {**SITE["site"], "names": ["Not A Name"]}}, "site.names"),
        ({"site": {**SITE["site"], "names": ["a"] * 51}}, "site.names"),
        ({"processes": {"gateway": -1}}, "processes.gateway"),
        ({"aws": {"account": "12"}}, "aws.account"),
        ({"limits": {"packet_byte": 5}}, "no bound is named packet_byte"),
        ({"limits": {"packet_bytes": 0}}, "packet_bytes must be a number above zero"),
        ({"limits": {"messages_per_second_max": -1}}, "messages_per_second_max must be a number"),
        ({"site": {"name": "home.example", "public_url": "https://home.example"}}, "site.public_url"),
        ({"site": {"name": "Home Example", "public_url": "http://home.example"}}, "site.name"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tables: dict[str, object], place: str) -> None:
    assert place in refused(tables)


def test_lists_are_divided_by_commas_in_the_environment() -> None:
    settings = build(TROTH_GATEWAY__BALANCERS="10.0.0.0/8, 2001:db8::/32", TROTH_SITE__NAMES="a.example,b.example")
    assert list(map(str, settings.gateway.balancers)) == ["10.0.0.0/8", "2001:db8::/32"]
    assert settings.site.names == ("a.example", "b.example")
    listed = build({"gateway": {"balancers": ["10.0.0.0/8", "2001:db8::/32"]}})
    assert listed.gateway.balancers == settings.gateway.balancers


def test_unknown_section_in_the_environment_is_refused() -> None:
    assert "listn" in refused(TROTH_LISTN__MQTT="127.0.0.1:1")


def test_the_preset_of_aws_is_overridden_bound_by_bound() -> None:
    limits = build({"limits": {"preset": "aws", "messages_per_second_max": 0, "topic_levels_max": 9}}).limits.resolve()
    assert limits == replace(PRESETS["aws"], messages_per_second_max=0, topic_levels_max=9)


def test_every_bound_can_be_set_by_name() -> None:
    for field in fields(Limits):
        kind = type(getattr(PRESETS["default"], field.name))
        resolved = build({"limits": {field.name: 7}}).limits.resolve()
        assert getattr(resolved, field.name) == 7
        assert type(getattr(resolved, field.name)) is kind


def test_the_file_that_init_writes_says_every_setting_and_only_defaults() -> None:
    text = render_settings("home.example", "http://home.example:8080")
    assert build_settings(tomllib.loads(text), {}, source="x") == build()
    uncommented = "\n".join(line.removeprefix("# ") if " = " in line else line for line in text.splitlines())
    tables = tomllib.loads("\n".join(line for line in uncommented.splitlines() if not line.startswith("#")))
    written = {f"{section}.{key}" for section, table in tables.items() for key in table}
    assert written == {name for name, _, _ in list_settings()}
    assert build_settings(tables, {}, source="x").limits.resolve() == PRESETS["default"]


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "troth.toml"
    path.write_text("[site\n")
    with pytest.raises(Fault, match=r"troth\.toml is not TOML"):
        read_settings(path, {})


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        host, port = parse_address(text)
    except ValueError:
        return
    assert host
    assert 0 <= port <= 65_535
