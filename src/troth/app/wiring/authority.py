"""The process that holds the CA keys."""

import asyncio

from troth.app.cabinet import FileCabinet
from troth.app.duties import duties, keep
from troth.app.wiring.door import open_crl_door, open_door
from troth.app.wiring.parts import Job, Ready, parts
from troth.app.wiring.signer import keep_journal
from troth.authority.serve import serve as serve_authority
from troth.authority.status.serve import Publisher
from troth.clock import SystemClock
from troth.x509.profiles import Purpose


async def run(job: Job, stop: asyncio.Event, ready: Ready) -> None:
    """Sign what committed intents stand for, and do the periodic duties, until `stop` is set."""
    with parts(job) as (home, settings, db):
        passphrase = job["passphrase"]
        cabinet = FileCabinet(home.path, passphrase.encode() if passphrase else None)
        # Nothing that comes from outside asks for another kind: whoever takes a gateway cannot have an operator made.
        door = open_door(db, cabinet, settings.site.public_url, (Purpose.DEVICES,))
        crl_door = open_crl_door(db, cabinet, settings.site.public_url)
        clock = SystemClock()
        keeping = asyncio.gather(
            keep(duties(crl_door), db, clock),
            Publisher(db, clock, crl_door).run(),
            keep_journal(home, settings, db, clock, cabinet.passphrase),
            return_exceptions=True,
        )
        try:
            await serve_authority(db, clock, door, home.doorbell, stop, ready)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
