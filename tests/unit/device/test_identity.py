from pathlib import Path

import pytest
from tests.unit.device.home import Home

from troth.clock import SystemClock
from troth.device.endpoint import Address, Endpoint
from troth.device.enroll import enroll_by
from troth.device.identity import Settings, open_identity, read_settings, write_settings
from troth.errors import Fault, Kind

EST = Address("home.example", 8443)


@pytest.mark.parametrize(
    "endpoint",
    [Endpoint(EST, Address("2001:db8::7", 8883)), Endpoint(EST, Address("mqtt.home.example", 443), "home.example")],
)
def test_settings_are_written_and_read_back(tmp_path: Path, endpoint: Endpoint) -> None:
    settings = Settings("site:7-no", endpoint)
    write_settings(tmp_path, settings)
    assert read_settings(tmp_path) == settings
    assert (tmp_path / "device.toml").stat().st_mode & 0o777 == 0o600


def test_keys_of_a_later_version_are_let_pass(tmp_path: Path) -> None:
    (tmp_path / "device.toml").write_text(
        'thing = "t"\nlater = 1\n[endpoint]\nest = "h"\nmqtt = "h"\nlater = 1\n[more]\n'
    )
    assert read_settings(tmp_path) == Settings("t", Endpoint(Address("h", 8443), Address("h", 8883)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("thing = ", "not TOML"),
        ("\xff", "not TOML"),
        ('thing = "t"', r"\[endpoint\] is missing"),
        ('thing = "t"\nendpoint = 1', r"\[endpoint\] is missing"),
        ('thing = "t"\n[endpoint]\nest = "h"', "mqtt is missing"),
        ('thing = "t"\n[endpoint]\nest = 1\nmqtt = "h"', "est is missing or is no text"),
        ('thing = "t"\n[endpoint]\nest = "h:x"\nmqtt = "h"', "not an address"),
        ('thing = "t"\n[endpoint]\nest = "h"\nmqtt = "h"\nserver_name = "h:1"', "not the name of a server"),
        ('thing = "a b"\n[endpoint]\nest = "h"\nmqtt = "h"', "not a thing name"),
        ('[endpoint]\nest = "h"\nmqtt = "h"', "thing is missing"),
    ],
)
def test_what_is_wrong_in_the_settings_is_named_with_the_file(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "device.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(Fault, match=rf"device\.toml.*{words}") as caught:
        read_settings(tmp_path)
    assert caught.value.kind is Kind.MALFORMED


@pytest.mark.parametrize("made", [False, True])
def test_where_nobody_has_enrolled_there_is_no_identity(tmp_path: Path, made: bool) -> None:
    path = tmp_path / "identity"
    if made:
        path.mkdir()
    with pytest.raises(Fault, match="holds no identity") as caught:
        open_identity(path)
    assert caught.value.kind is Kind.NOT_FOUND
    assert "troth device enroll" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["a/chain.pem", "trust.pem"])
def test_a_broken_file_is_named(tmp_path: Path, home: Home, name: str) -> None:
    path = tmp_path / "identity"
    enroll_by(path, home.wanted(), home.answer, SystemClock())
    (path / name).write_text("nothing")
    with pytest.raises(Fault, match=f"{name}: no PEM block"):
        open_identity(path)
