import pytest

from troth.device.endpoint import Address, Endpoint, parse_address, parse_server_name
from troth.errors import Fault, Kind


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("home.example", Address("home.example", 8443)),
        ("home.example:443", Address("home.example", 443)),
        ("192.0.2.7:1", Address("192.0.2.7", 1)),
        ("[2001:db8::7]", Address("2001:db8::7", 8443)),
        ("[2001:db8::7]:65535", Address("2001:db8::7", 65535)),
        ("my_broker", Address("my_broker", 8443)),
    ],
)
def test_an_address_is_read_and_written_back(text: str, address: Address) -> None:
    assert parse_address(text, 8443) == address
    assert parse_address(str(address), 1) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":8443",
        "home.example:",
        "home.example:0",
        "home.example:65536",
        "home.example:1:2",
        "home.example:٣",
        "https://home.example",
        "home.example/path",
        "user@home.example",
        "home example",
        "-home",
        "2001:db8::7",
        "[2001:db8::7",
        "[2001:db8::7]8443",
        "[home.example]:1",
        "[fe80::1%eth0]:1",
        "a" * 254,
    ],
)
def test_what_is_no_address_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_address(text, 8443)
    assert caught.value.kind is Kind.MALFORMED
    assert "home.example:8443" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["home.example", "127.0.0.1", "::1"])
def test_a_server_has_a_name_or_an_address(text: str) -> None:
    assert parse_server_name(text) == text


@pytest.mark.parametrize("text", ["", "home.example:8443", "a b", "[::1]"])
def test_what_names_no_server_is_refused(text: str) -> None:
    with pytest.raises(Fault, match="not the name of a server"):
        parse_server_name(text)


def test_the_name_to_prove_is_the_one_set_or_the_host() -> None:
    address = Address("192.0.2.7", 8883)
    assert Endpoint(address, address).name_of(address) == "192.0.2.7"
    assert Endpoint(address, address, "home.example").name_of(address) == "home.example"
