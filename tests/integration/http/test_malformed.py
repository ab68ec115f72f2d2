"""Requests and credentials with any one byte changed, through the HTTPS door: nothing comes of any of them."""

import base64
import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.fixtures.doors import RunningDoors
from tests.fixtures.enrolling import new_token
from tests.fixtures.issuance import entries
from tests.fixtures.strangers import Bearer, Maker, a_request, enrollment, register

from troth.limits import FAILED_PROOFS_PER_MINUTE_MAX
from troth.testing.authority import TestAuthority

ANYBODY = '[thing]\nname = "cam-{serial}"\ncreate = true\n'
CAMERAS = f'name = "cameras"\nprofile = "device"\nproofs = ["idevid"]\n{ANYBODY}'


class Line:
    """One connection that is kept alive, and says one thing after the other."""

    def __init__(self, doors: RunningDoors, label: str, context: ssl.SSLContext, headers: dict[str, str]) -> None:
        self.connection = http.client.HTTPSConnection("localhost", doors.https, context=context, timeout=20)
        self.path = f"/.well-known/est/{label}simpleenroll"
        self.headers = {"Content-Type": "application/pkcs10", **headers}

    def post(self, body: bytes, **headers: str) -> int:
        self.connection.request("POST", self.path, body, {**self.headers, **headers})
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


@contextmanager
def line(doors: RunningDoors, label: str = "", bearer: Bearer | None = None, user: str = "") -> Iterator[Line]:
    context = ssl.create_default_context(cafile=str(doors.site.root_file))
    if bearer is not None:
        context.load_cert_chain(bearer.chain_file, bearer.key_file)
    headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {}
    opened = Line(doors, label, context, headers)
    try:
        yield opened
    finally:
        opened.connection.close()


def issued(site: TestAuthority) -> int:
    return len([entry for entry in entries(site.db, "certificate.issued") if entry.data["thing"]])


def changed(data: bytes) -> Iterator[bytes]:
    for place in range(len(data)):
        yield data[:place] + bytes([data[place] ^ 0x20]) + data[place + 1 :]
    for length in range(0, len(data), 7):
        yield data[:length]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["token", "idevid"])
def test_a_request_with_any_byte_changed(
    live_authority: TestAuthority, doors: RunningDoors, tmp_path: Path, way: str
) -> None:
    site, maker = live_authority, Maker.new(tmp_path, live_authority.clock.now())
    register(site, maker)
    enrollment(site, CAMERAS)
    doors.settle()
    good = base64.b64decode(a_request("cam-A1"))
    user = f"cam-A1:{new_token(site, 'cam-A1')}" if way == "token" else ""
    shown = maker.device("A1") if way == "idevid" else None
    with line(doors, "cameras/" if shown else "", shown, user) as speaking:
        said = {speaking.post(base64.b64encode(bad)) for bad in changed(good)}
        assert said <= {400, 413, 422}
        assert issued(site) == 0
        assert speaking.post(base64.b64encode(good)) == 200
    assert issued(site) == 1


def test_a_token_with_any_character_changed(live_authority: TestAuthority, doors: RunningDoors) -> None:
    secret, body = new_token(live_authority), a_request("lamp-1")
    wrong = [secret[:place] + ("x" if secret[place] != "x" else "y") + secret[place + 1 :] for place in range(22)]
    assert len(wrong) > FAILED_PROOFS_PER_MINUTE_MAX
    with line(doors, user=f"lamp-1:{secret}") as speaking:
        for number, each in enumerate(wrong):
            credentials = base64.b64encode(f"lamp-1:{each}".encode()).decode()
            status = speaking.post(body, Authorization=f"Basic {credentials}")
            assert status == (401 if number < FAILED_PROOFS_PER_MINUTE_MAX else 429)
    assert issued(live_authority) == 0
