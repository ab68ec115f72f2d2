"""The pre-provisioning hook: somebody else's word on whether a device may become a thing. No word in time means no.

An HTTPS server that is known by its CAs, or an entry point of an installed package. AWS IoT developer guide,
"Pre-provisioning hooks": what goes in and what comes out is AWS's.
"""

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Final
from urllib.parse import SplitResult, urlsplit

from troth.enrollment.templates import HookOptions
from troth.errors import Fault, Kind
from troth.limits import HOOK_ANSWER_BYTES_MAX, HOOK_S_MAX
from troth.protocols.provisioning import check_parameters
from troth.tls.client import client_context

GROUP: Final = "troth.provisioning_hooks"
"""The group of entry points: each a function of one dict that returns one."""

_THREADS: Final = 4
_HTTPS_PORT: Final = 443
_REFUSED: Final = "the pre-provisioning hook does not allow this"

Question = Mapping[str, object]
"""``claimCertificateId certificateId certificatePem templateArn clientId parameters``."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The hook has allowed it."""

    overrides: Mapping[str, str]
    """Parameters that take the place of the device's own."""


class Hooks:
    """Asks hooks. One for each process."""

    def __init__(self, wait_s: float = HOOK_S_MAX) -> None:
        self._wait_s = wait_s
        # Of their own: an entry point that never returns must not stop what else goes on.
        self._threads = ThreadPoolExecutor(_THREADS, "hooks")

    def close(self) -> None:
        """Ask no more; who is being asked is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def ask(self, hook: HookOptions, question: Question) -> Answered:
        """Return what the hook says. Raises `Fault` (forbidden) for a no, and for all that is not a clear yes."""
        try:
            async with asyncio.timeout(self._wait_s):
                if hook.url is not None:
                    said = _parse(await _post(hook.url, hook.ca_pem, json.dumps(question).encode()))
                else:
                    loop = asyncio.get_running_loop()
                    said = await loop.run_in_executor(self._threads, _consult, hook.entry_point or "", dict(question))
            return _judge(said)
        except Fault as fault:
            detail = f"{fault.message}: {fault.detail}" if fault.detail else fault.message
            raise Fault(Kind.FORBIDDEN, _REFUSED, detail=detail) from fault
        except TimeoutError as error:
            raise Fault(Kind.FORBIDDEN, _REFUSED, detail=f"no answer within {self._wait_s:g} s") from error
        except OSError as error:
            raise Fault(Kind.FORBIDDEN, _REFUSED, detail=f"{type(error).__name__}: {error}"[:500]) from error


def _consult(name: str, question: dict[str, object]) -> object:
    """Ask an entry point, in a thread of its own."""
    try:
        for found in entry_points(group=GROUP, name=name):
            said: object = found.load()(question)
            return said
    except BaseException as error:  # somebody else's code: not even its SystemExit may reach our loop
        raise Fault(Kind.REJECTED, "the hook broke", detail=f"{type(error).__name__}: {error}"[:500]) from error
    raise Fault(Kind.MISCONFIGURED, f"no installed package has the hook {name!r}")


def _judge(said: object) -> Answered:
    if not isinstance(said, Mapping):
        raise Fault(Kind.REJECTED, "the hook's answer is no object")
    if said.get("allowProvisioning") is not True:
        raise Fault(Kind.REJECTED, "the hook said no")
    overrides = said.get("parameterOverrides")
    return Answered({} if overrides is None else check_parameters(overrides))


def _parse(body: bytes) -> object:
    try:
        said: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Fault(Kind.REJECTED, "the hook's answer is no JSON", detail=str(error)[:200]) from error
    return said


async def _post(url: str, ca_pem: str, body: bytes) -> bytes:
    """Return the body of the answer. HTTP/1.0, so that the answer ends where the connection does (RFC 1945)."""
    where = urlsplit(url)
    host = where.hostname or ""
    context = client_context(ca_pem.encode())
    reader, writer = await asyncio.open_connection(
        host, where.port or _HTTPS_PORT, ssl=context, server_hostname=host, limit=HOOK_ANSWER_BYTES_MAX
    )
    try:
        writer.write(_request(where, body))
        await writer.drain()
        answer = await _read(reader)
    finally:
        writer.transport.abort()
    head, separator, content = answer.partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0].split(b" ")
    if not separator or len(status) < 2 or status[1] != b"200":
        raise Fault(Kind.REJECTED, f"the hook's server answered {head[:60].decode('ascii', 'replace')!r}")
    return content


def _request(where: SplitResult, body: bytes) -> bytes:
    path = (where.path or "/") + (f"?{where.query}" if where.query else "")
    lines = (
        f"POST {path} HTTP/1.0",
        f"Host: {where.netloc.rpartition('@')[2]}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


async def _read(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    while chunk := await reader.read(HOOK_ANSWER_BYTES_MAX):
        answer += chunk
        if len(answer) > HOOK_ANSWER_BYTES_MAX:
            raise Fault(Kind.TOO_LARGE, f"the hook's answer has more than {HOOK_ANSWER_BYTES_MAX} bytes")
    return bytes(answer)
