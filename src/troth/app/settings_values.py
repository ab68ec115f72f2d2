"""The kinds of value that settings have, and how a person writes each."""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from troth.clock import parse_duration
from troth.errors import Fault


def _duration(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_duration(value)
    except Fault as fault:
        raise ValueError(f"{fault.message}; {fault.hint}") from fault


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class Section(BaseModel):
    """A table of ``troth.toml``: nothing unknown in it, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _list(value: object) -> object:
    return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value


HostName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
HostNames = Annotated[tuple[HostName, ...], BeforeValidator(_list)]


def _listener(value: object) -> object:
    if isinstance(value, str):
        parse_address(value)
    return value


Listener = Annotated[str, BeforeValidator(_listener)]


def _networks(value: object) -> object:
    value = _list(value)
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of networks, such as 10.1.0.0/16")
    return tuple(ip_network(each) for each in value)


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[v6]:port``. Raises `ValueError` with what is wrong."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError(f"{text!r} is not host:port")
    return host.strip("[]"), int(port)
