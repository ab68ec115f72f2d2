"""Mosquitto of Debian: TLS with `require_certificate`, an `acl_file`, the user taken from the certificate."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers.peer import Peer
from bench.processes import NotStarted, serving
from bench.site import DEVICES, SERVICE, Site


@contextmanager
def mosquitto(site: Site, folder: Path, *, settings: str = "") -> Iterator[Peer]:
    """Run Mosquitto; `settings` are lines that its configuration has beside ours. Raises `NotStarted`."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        raise NotStarted("mosquitto is not here (apt install mosquitto)")
    folder.mkdir()
    acl, config, log = folder / "acl", folder / "mosquitto.conf", folder / "mosquitto.log"
    devices = "".join(f"user {name}\ntopic write bench/{name}/#\n" for name in DEVICES)
    acl.write_text(f"{devices}user {SERVICE}\ntopic read bench/#\n")

    def command(port: int) -> list[str]:
        config.write_text(_configuration(site, port, acl) + settings)
        return [program, "-c", str(config)]

    with serving(command, log) as (port, pid):
        yield Peer("mosquitto", _version(program), port, {"broker": (pid,)})


def _configuration(site: Site, port: int, acl: Path) -> str:
    return f"""user root
listener {port} 127.0.0.1
# It takes nothing but a root for an anchor, and so checks one signature more than the others.
cafile {site.anchors_file}
certfile {site.server_chain_file}
keyfile {site.server_key_file}
tls_version tlsv1.3
require_certificate true
use_identity_as_username true
acl_file {acl}
# So that nothing is held back and nothing is dropped.
set_tcp_nodelay true
max_queued_messages 1000000
max_queued_bytes 0
persistence false
log_dest stderr
log_type error
log_type warning
"""


def _version(program: str) -> str:
    # It says so in the first line of its help, and ends with 3.
    said = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout
    return said.partition("\n")[0].removeprefix("mosquitto version ")
