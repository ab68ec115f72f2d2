"""The signer of the journal's checkpoints, made of a home; and the signing that ends a command on a home at rest."""

import asyncio
from typing import Final

import structlog

from troth.app.home import Home
from troth.app.settings import Settings
from troth.authority.bell import answers
from troth.clock import Clock
from troth.errors import Fault
from troth.evidence.checkpoint import VerifierKey, parse_verifier_key
from troth.journal.anchors import Anchor, FileAnchor, WebhookAnchor, keep_anchored
from troth.journal.checkpoints import Signer
from troth.journal.keeping import keep_signed
from troth.keys.file import read_key
from troth.keys.files import read_bounded
from troth.limits import NOTE_NAME_CHARS_MAX
from troth.store.connect import Database

KEY_RETRY_S: Final = 60.0

log = structlog.get_logger()


def open_signer(home: Home, settings: Settings, db: Database, clock: Clock, passphrase: bytes | None) -> Signer:
    """Return the signer with the home's own key. Raises `Fault`: not found, bad key (a passphrase is missing)."""
    key = read_key(home.checkpoint_key, passphrase)
    return Signer(db, clock, key, f"{settings.site.name}/journal", home.checkpoint)


def read_verifier_key(home: Home) -> VerifierKey:
    """Return the public half of the home's checkpoint key. Raises `Fault`: not found, malformed."""
    return parse_verifier_key(read_bounded(home.verifier_key, NOTE_NAME_CHARS_MAX + 128).decode("ascii", "replace"))


def anchors_of(home: Home, settings: Settings) -> list[Anchor]:
    """Return the places outside that the settings name."""
    found: list[Anchor] = []
    if settings.journal.anchor_file:
        found.append(FileAnchor(home.path / settings.journal.anchor_file))
    if settings.journal.anchor_url:
        found.append(WebhookAnchor(settings.journal.anchor_url))
    return found


async def keep_journal(home: Home, settings: Settings, db: Database, clock: Clock, passphrase: bytes | None) -> None:
    """Sign the journal's head after every change and write it to the places outside, without end.

    Where the key cannot be opened that is said, and tried again: certificates are issued all the same.
    """
    async with asyncio.TaskGroup() as group:
        for anchor in anchors_of(home, settings):
            group.create_task(keep_anchored(db, anchor, settings.journal.anchor_every.total_seconds()))
        while True:
            try:
                signer = await asyncio.to_thread(open_signer, home, settings, db, clock, passphrase)
                await keep_signed(db, signer)
            except Fault as fault:
                log.error("journal.not_signed", reason=fault.message, detail=fault.detail, hint=fault.hint)
            await asyncio.sleep(KEY_RETRY_S)


def sign_at_rest(home: Home, settings: Settings, db: Database, clock: Clock, passphrase: bytes | None) -> None:
    """Sign what a command has changed while no authority runs to do it; one that runs does, here or elsewhere.

    Raises `Fault`: bad key (the key cannot be opened), rejected (the journal is not what was signed before).
    """
    if answers(home.doorbell) or (settings.processes.authority == 0 and not home.checkpoint_key.exists()):
        return
    open_signer(home, settings, db, clock, passphrase).sign()
