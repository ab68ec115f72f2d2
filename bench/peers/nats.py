"""The NATS server of the wheel: MQTT with TLS `verify_and_map`, and permissions for each certificate's user."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers.peer import Peer
from bench.processes import free_port, serving
from bench.site import DEVICES, SERVICE, Site


@contextmanager
def nats(site: Site, folder: Path) -> Iterator[Peer]:
    """Run a NATS server. Raises `NotStarted`."""
    program = str(Path(sys.prefix) / "bin" / "nats-server")
    folder.mkdir()
    config = folder / "nats.conf"

    def command(port: int) -> list[str]:
        config.write_text(_configuration(site, port, folder))
        return [program, "-c", str(config)]

    with serving(command, folder / "nats.log") as (port, pid):
        yield Peer("nats", _version(program), port, {"broker": (pid,)})


def _configuration(site: Site, port: int, folder: Path) -> str:
    quoted = json.dumps  # NATS reads JSON strings
    return f"""server_name: bench
listen: "127.0.0.1:{free_port()}"
authorization {{ users: {json.dumps(_users())} }}
jetstream {{ store_dir: {quoted(str(folder))}, limits {{ default_max_consumers: -1 }} }}
mqtt {{
  listen: "127.0.0.1:{port}"
  tls {{
    cert_file: {quoted(str(site.server_chain_file))}
    key_file: {quoted(str(site.server_key_file))}
    ca_file: {quoted(str(site.issuer_file))}
    verify_and_map: true
  }}
}}
"""


def _users() -> list[dict[str, object]]:
    devices = [
        _user(name, {"publish": {"allow": [f"bench.{name}.>"]}, "subscribe": {"deny": [">"]}}) for name in DEVICES
    ]
    service = _user(SERVICE, {"publish": {"deny": [">"]}, "subscribe": {"allow": ["bench", "bench.>"]}})
    return [*devices, service]


def _user(name: str, permissions: dict[str, object]) -> dict[str, object]:
    return {"user": f"CN={name}", "permissions": permissions}


def _version(program: str) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return said.strip().removeprefix("nats-server: v")
