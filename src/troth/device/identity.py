"""The identity folder: what a device is, whom it trusts, where its home is. Opened here; `enroll` makes and changes it.

::

    IDENTITY/          0700, apart from firmware
    ├── device.toml    thing and endpoints
    ├── trust.pem      the roots that are accepted now
    ├── trust.tag      by which the home names the bundle that they were taken from
    ├── time.json      who tells the time, where the device's own clock is not to be trusted
    ├── told.json     what time they told last (`reading_time`)
    ├── a/  b/         key.pem · request.csr (unanswered only) · chain.pem
    ├── peer/          what is shown to neighbours (`peer`)
    └── current -> a   renaming this link is the only switch (`slots`)

Knows no network.
"""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from troth.device.endpoint import EST_PORT, MQTT_PORT, Endpoint, parse_address, parse_server_name
from troth.device.slots import Slot, Slots
from troth.errors import Fault, Kind
from troth.keys.files import read_bounded, write_private
from troth.limits import CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX, DEVICE_SETTINGS_BYTES_MAX
from troth.names import parse_thing_name
from troth.protocols.roughtime.servers import SERVER_LIST_BYTES_MAX, TimeServer, parse_servers, render_servers
from troth.x509.certificates import parse_chain, render_chain

_CHAIN_BYTES_MAX: Final = 2 * CERTIFICATE_BYTES_MAX * CHAIN_CERTIFICATES_MAX


@dataclass(frozen=True, slots=True)
class Settings:
    """What stands in ``device.toml``."""

    thing: str
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Identity:
    """An enrolled device, as it stood on disk when it was opened."""

    path: Path
    settings: Settings
    trust: tuple[x509.Certificate, ...]
    slot: Slot
    chain: tuple[x509.Certificate, ...]
    """The device's certificate first, then its issuers without the root."""
    time_servers: tuple[TimeServer, ...] = ()
    """Who is asked for the time before a certificate is judged; none: the device's own clock counts."""

    @property
    def thing(self) -> str:
        """The thing's name."""
        return self.settings.thing

    @property
    def endpoint(self) -> Endpoint:
        """Where the home is."""
        return self.settings.endpoint

    @property
    def certificate(self) -> x509.Certificate:
        """The device's own certificate."""
        return self.chain[0]


def open_identity(path: Path) -> Identity:
    """Read the identity in the folder `path`. Judges no certificate: that is for each connection.

    Raises `Fault`: not found when nobody has enrolled there, else as its files' readers do, naming the file.
    """
    slot = Slots(path).current()
    if slot is None:
        raise Fault(
            Kind.NOT_FOUND,
            f"{path} holds no identity",
            hint="enroll first: troth device enroll; or name the folder with --identity or TROTH_IDENTITY",
        )
    return Identity(path, read_settings(path), read_trust(path), slot, read_chain(slot.chain_file), read_time(path))


def read_settings(path: Path) -> Settings:
    """Read ``device.toml``. Keys that are not known are let pass, so that older firmware can still connect.

    Raises `Fault` (malformed, not found, too large) that names the file and the key.
    """
    file = path / "device.toml"
    try:
        content = tomllib.loads(read_bounded(file, DEVICE_SETTINGS_BYTES_MAX).decode())
    except ValueError as error:
        raise Fault(Kind.MALFORMED, f"{file} is not TOML", hint=str(error)) from error
    table = content.get("endpoint")
    try:
        if not isinstance(table, dict):
            raise Fault(Kind.MALFORMED, "[endpoint] is missing")
        name = _text(table, "server_name", required=False)
        endpoint = Endpoint(
            est=parse_address(_text(table, "est"), EST_PORT),
            mqtt=parse_address(_text(table, "mqtt"), MQTT_PORT),
            server_name=parse_server_name(name) if name else None,
        )
        return Settings(parse_thing_name(_text(content, "thing")), endpoint)
    except Fault as fault:
        raise Fault(fault.kind, f"{file}: {fault.message}", hint=fault.hint) from fault


def write_settings(path: Path, settings: Settings) -> None:
    """Write ``device.toml`` in one step."""
    endpoint = settings.endpoint
    name = json.dumps(endpoint.server_name or "home.example")
    lines = [
        "# This device and its home. Written by `troth device enroll`; the endpoints may be edited.",
        f"thing = {json.dumps(settings.thing)}",
        "",
        "[endpoint]",
        f"est = {json.dumps(str(endpoint.est))}",
        f"mqtt = {json.dumps(str(endpoint.mqtt))}",
        "# The name in the home's certificates, where it is not the host above.",
        f"server_name = {name}" if endpoint.server_name else f"# server_name = {name}",
        "",
    ]
    write_private(path / "device.toml", "\n".join(lines).encode(), overwrite=True)


def read_trust(path: Path) -> tuple[x509.Certificate, ...]:
    """Read ``trust.pem``: the roots that are accepted now. Raises `Fault`."""
    return read_chain(path / "trust.pem")


def write_trust(path: Path, roots: Sequence[x509.Certificate]) -> None:
    """Write ``trust.pem`` in one step."""
    write_private(path / "trust.pem", render_chain(roots), overwrite=True)


def read_time(path: Path) -> tuple[TimeServer, ...]:
    """Read ``time.json``; nobody where there is none. Raises `Fault` (malformed, too large)."""
    file = path / "time.json"
    return parse_servers(read_bounded(file, SERVER_LIST_BYTES_MAX)) if file.exists() else ()


def write_time(path: Path, servers: Sequence[TimeServer]) -> None:
    """Write ``time.json`` in one step, where there is somebody to ask."""
    if servers:
        write_private(path / "time.json", render_servers(servers), overwrite=True)


def read_trust_tag(path: Path) -> str | None:
    """Read ``trust.tag``; None when there is none, or none that can be read: the bundle is then fetched anew."""
    try:
        return read_bounded(path / "trust.tag", DEVICE_SETTINGS_BYTES_MAX).decode("ascii").strip() or None
    except (Fault, UnicodeError):
        return None


def write_trust_tag(path: Path, tag: str) -> None:
    """Write ``trust.tag`` in one step: after ``trust.pem``, so that it never names more than there is."""
    write_private(path / "trust.tag", f"{tag}\n".encode(), overwrite=True)


def read_chain(file: Path) -> tuple[x509.Certificate, ...]:
    """Read a file of PEM certificates. Raises `Fault` (not found, malformed, too large) that names it."""
    data = read_bounded(file, _CHAIN_BYTES_MAX)
    try:
        return parse_chain(data)
    except Fault as fault:
        raise Fault(fault.kind, f"{file}: {fault.message}", hint="it must hold PEM certificates") from fault


def _text(table: dict[str, object], key: str, *, required: bool = True) -> str:
    value = table.get(key, "")
    if not isinstance(value, str) or (required and not value):
        raise Fault(Kind.MALFORMED, f"{key} is missing or is no text")
    return value
