"""Act 11: somebody is on the thermostat, and looks for its key: where it is a file, and where a token has it.

The token is SoftHSM's. Where this machine has none, or lets nobody look into a process, that is said and not played.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from troth.demo.cases import COPIED, FOUND, GIVEN_AWAY, HAD, LET_IN, NO_LOOK, NO_TOKEN, REFUSED
from troth.demo.household import store
from troth.demo.key_search import Found, KeySearch
from troth.demo.ledger import Seen
from troth.demo.stage import THERMOSTAT, Stage, heard_twin
from troth.demo.visitors import HomeService, nonce, publishes
from troth.device.events import Event
from troth.errors import Fault, Kind
from troth.keys.file import FileKey
from troth.keys.files import write_private
from troth.keys.randomness import random_id

MODULES: Final = ("usr/lib/softhsm", "usr/lib/*/softhsm", "usr/local/lib/softhsm", "opt/homebrew/lib/softhsm")
TOKEN: Final = "demo"
TOKEN_S: Final = 30.0
_HAS_TRIED: Final = frozenset({Event.CONNECTED, Event.NOT_CONNECTED})


def play(stage: Stage, service: HomeService) -> None:
    """Let a thief look for the thermostat's key."""
    stage.narrator.act(
        "Act 11. A key that can be read can be copied",
        "Somebody has got into the thermostat's own account: its files and its processes are open to him.",
        "He knows the certificate, and looks for the one number that belongs to it. Then he tries a token: a chip that",
        "makes the key inside and signs inside, here SoftHSM, a program in a chip's place. Its twin holds a key that",
        "somebody made without care. (SoftHSM shows what tokens refuse; it hides nothing from who is in its process.)",
    )
    stage.ledger.case("key-cannot-be-copied", lambda: _steal(stage, service))


def _steal(stage: Stage, service: HomeService) -> Seen:
    identity = stage.identity(THERMOSTAT)
    public = identity.certificate.public_key()
    on_disk = KeySearch(public).in_files(identity.path)
    in_memory = _in_memory(stage, KeySearch(public))
    tried = _try_token(stage.folder / "token")
    return Seen(
        {
            "key in a file": _use(stage, service, on_disk) if on_disk else "not found",
            "agent's memory": in_memory,
            "key in a token": _verdict(tried["ours"]) if tried else NO_TOKEN,
            "careless twin": _verdict(tried["careless"]) if tried else NO_TOKEN,
        },
        {"file": on_disk.where if on_disk else None, "form": on_disk.form if on_disk else None, "token": tried},
    )


def _use(stage: Stage, service: HomeService, found: Found) -> str:
    """Come to the home's door with a copy of the key, and the certificate, which is no secret."""
    chain = stage.identity(THERMOSTAT).chain
    word, copy = nonce(), store(stage.folder / "copy", FileKey(found.key), chain)
    told = stage.visit(copy, THERMOSTAT, publishes(f"home/{THERMOSTAT}/reading", word))
    verdict = heard_twin(service, told, word).verdict
    return COPIED if verdict == LET_IN else f"found; its copy: {verdict}"


def _in_memory(stage: Stage, search: KeySearch) -> str:
    """Look into the thermostat's agent, once it has used its key."""
    with _agent(stage) as process:
        try:
            return FOUND if search.in_memory(process) else "not found"
        except OSError:
            return NO_LOOK


@contextmanager
def _agent(stage: Stage) -> Iterator[int]:
    """Run the thermostat's agent for the length of the block; give its process id. Raises `Fault` if it ends early."""
    words = [sys.executable, "-m", "troth", "device", "run", "--json", "--identity", str(stage.disk(THERMOSTAT))]
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=dict(stage.commands.environment),
        start_new_session=True,
    ) as agent:
        try:
            assert agent.stdout is not None
            if not any(json.loads(line)["event"] in _HAS_TRIED for line in agent.stdout):
                raise Fault(Kind.UNAVAILABLE, "the thermostat's agent ended by itself")
            yield agent.pid
        finally:
            agent.kill()


def _try_token(folder: Path) -> Mapping[str, Any] | None:
    """Have a new token's keys tried; None where there is no SoftHSM, or no python-pkcs11 to ask it by."""
    module = next((file for each in MODULES for file in Path("/").glob(f"{each}/libsofthsm2.so")), None)
    tool = shutil.which("softhsm2-util")
    if module is None or tool is None or find_spec("pkcs11") is None:
        return None
    (folder / "tokens").mkdir(parents=True)
    configuration, pin_file, pin = folder / "softhsm2.conf", folder / "pin", random_id()
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    write_private(pin_file, pin.encode())
    environment = {**os.environ, "SOFTHSM2_CONF": str(configuration)}
    for words in (
        [tool, "--init-token", "--free", "--label", TOKEN, "--so-pin", pin, "--pin", pin],
        [sys.executable, "-m", "troth.demo.token_thief", str(module), TOKEN, str(pin_file)],
    ):
        done = subprocess.run(words, env=environment, capture_output=True, check=True, timeout=TOKEN_S)
    told: Mapping[str, Any] = json.loads(done.stdout)
    return told


def _verdict(came: Mapping[str, str]) -> str:
    """Say what came of all attempts together."""
    had = sum(each == HAD for each in came.values())
    return {0: REFUSED, len(came): GIVEN_AWAY}.get(had, f"given away by {had} of {len(came)} ways")
