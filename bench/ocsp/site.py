"""`python -m bench.ocsp.site FOLDER COUNT`: a site with devices and its public door, until its input ends.

Says its port. Beside the database stand the files that `openssl ocsp` needs.
"""

import asyncio
import json
import logging
import socket
import sys
from pathlib import Path

import uvloop
from cryptography import x509

from troth.app import logs
from troth.authority.intents import Intent
from troth.authority.issue import prepare
from troth.authority.settle import settle, settle_waiting
from troth.authority.status.ocsp import find_signer, prepare_signer
from troth.gateway.http.serve import serve_http
from troth.journal.change import change
from troth.keys.file import generate, render_key
from troth.limits import DEFAULT
from troth.registry.things import create_thing
from troth.store.read import read
from troth.testing.authority import ACTOR, TestAuthority, new_request
from troth.tls.server import ClientAuth, ServerTLS
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import render_chain
from troth.x509.profiles import Purpose

_TOGETHER = 64


def populate(site: TestAuthority, count: int) -> list[Intent]:
    """Certify `count` devices."""
    door = site.door()
    intents: list[Intent] = []
    for start in range(0, count, _TOGETHER):
        with change(site.db, site.clock, ACTOR) as changing:
            for number in range(start, min(start + _TOGETHER, count)):
                create_thing(changing, f"lamp-{number}")
                intents.append(
                    prepare(
                        changing,
                        profile="device",
                        request=new_request(generate(KeyAlgorithm.P256), f"lamp-{number}"),
                        thing=f"lamp-{number}",
                        method="bench",
                        proof={},
                        public_url=site.public_url,
                    )
                )
        settle_waiting(site.db, site.clock, door)
    return intents


def write_files(site: TestAuthority, folder: Path, intents: list[Intent]) -> None:
    """Write what `openssl ocsp` answers from, and every serial number in ``serials.json``."""
    issuer, key = site.hierarchy.issuing[Purpose.DEVICES], generate(KeyAlgorithm.P256)
    with change(site.db, site.clock, ACTOR) as changing:
        intent = prepare_signer(changing, issuer, key, site.public_url)
    settled = settle(site.db, site.clock, site.door(), intent.intent_id)
    with read(site.db) as connection:
        signer = x509.load_der_x509_certificate(find_signer(connection, settled)[0].der)
    (folder / "signer.pem").write_bytes(render_chain([signer]))
    (folder / "signer.key").write_bytes(render_key(key, None))
    (folder / "issuer.pem").write_bytes(render_chain([issuer.certificate]))
    lines = [
        f"V\t{each.not_after:%y%m%d%H%M%SZ}\t\t{each.serial:032X}\tunknown\t/CN={each.thing}\n" for each in intents
    ]
    (folder / "index.txt").write_text("".join(lines))
    (folder / "serials.json").write_text(json.dumps([each.serial for each in intents]))


async def serve(site: TestAuthority, folder: Path) -> None:
    """Serve until the input ends."""
    https, public = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    for each in (https, public):
        each.setblocking(False)
    port = public.getsockname()[1]

    class Nobody:
        def on_success(self, *_: object) -> None: ...
        def on_failure(self, *_: object) -> None: ...

    async with site.serving(folder / "bell"):
        tls = ServerTLS(site.server().server_identity, (site.issuer(Purpose.DEVICES),), ClientAuth.OPTIONAL)
        doors = await serve_http(
            site.db,
            site.clock,
            DEFAULT,
            public_url=site.public_url,
            bell=folder / "bell",
            server_tls=tls,
            observer=Nobody(),
            https=https,
            public=public,
        )
        print(json.dumps({"port": port}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await doors.close(1.0)


def main() -> None:
    """Make the site in the folder, and serve."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    logs.configure("bench", "console", level=logging.WARNING)
    with TestAuthority(folder) as site:
        write_files(site, folder, populate(site, count))
        uvloop.run(serve(site, folder))


if __name__ == "__main__":
    main()
