"""The measurements: certificates in bulk through two processes, one at a time, and the bare signature beside them."""

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial

from bench import machine
from bench.issue.site import ACTOR, PUBLIC_URL, Site, authority, make_things
from bench.processes import cpu_s
from troth.app.garbage import spare_what_is_loaded
from troth.authority.bell import ring
from troth.authority.bulk import Issuance
from troth.authority.issue import Wanted
from troth.keys.file import generate
from troth.registry.certificates import CertificateRow
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.requests import parse_request

_WAIT_S = 60.0
_SIGN_S = 1.0


@dataclass(frozen=True)
class Figures:
    """What came of issuing so many."""

    issued: int
    per_s: float
    prepare_us: float
    """CPU time for each, of the process that asks."""
    authority_us: float
    """CPU time for each, of the authority's."""
    strangers: float
    """The share of the machine that went to others meanwhile."""

    @property
    def cpu_us(self) -> float:
        return self.prepare_us + self.authority_us

    def to_json(self) -> dict[str, object]:
        return asdict(self) | {"cpu_us": self.cpu_us}


def bare_per_s() -> float:
    """Return how many P-256 signatures one core makes in a second of CPU time, just now."""
    key = generate(KeyAlgorithm.P256).private_key
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    assert isinstance(key, ec.EllipticCurvePrivateKey)
    scheme, data, count = ec.ECDSA(hashes.SHA256()), b"x" * 400, 0
    began = time.thread_time()
    while time.thread_time() - began < _SIGN_S:
        for _ in range(100):
            key.sign(data, scheme)
        count += 100
    return count / (time.thread_time() - began)


def measure(site: Site, first: int, count: int, *, singly: bool = False) -> Figures:
    """Issue for `count` new things, all at once or one after the other, and say what it took."""
    things = make_things(site, first, count)
    spare_what_is_loaded()
    with authority(site) as process:
        asyncio.run(_issue(site, make_wanted(make_things(site, first + count, 300)), singly=False))
        used, began, busy, own = cpu_s([process.pid]), time.perf_counter(), machine.busy_s(), time.process_time()
        issued = asyncio.run(_issue(site, make_wanted(things), singly=singly))
        wall, prepared = time.perf_counter() - began, time.process_time() - own
        signed = cpu_s([process.pid]) - used
        strangers = machine.busy_s() - busy - prepared - signed
    return Figures(
        issued,
        issued / wall,
        prepared / count * 1e6,
        signed / count * 1e6,
        max(0.0, strangers / wall / (os.cpu_count() or 1)),
    )


def make_wanted(things: list[tuple[str, bytes]]) -> Iterator[Wanted]:
    """Yield what is wanted, each request read as it is come to: reading it is part of the work."""
    for thing, der in things:
        yield Wanted("device", parse_request(der), "operator", {}, thing=thing)


async def _issue(site: Site, wanted: Iterator[Wanted], *, singly: bool) -> int:
    issuance = Issuance(site.db, site.clock, ACTOR, PUBLIC_URL, partial(ring, site.bell), _WAIT_S)
    parts = ([each] for each in wanted) if singly else iter([wanted])
    issued = 0
    for part in parts:
        async for answers in issuance.answers(part):
            issued += sum(isinstance(answer.outcome, CertificateRow) for answer in answers)
    return issued
