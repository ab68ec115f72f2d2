"""acme2certifier's EST client, which others have written in Python: its CA handler takes ACME orders to our door.

It runs in a process of its own, with the packages of its own environment, and speaks TLS by requests and OpenSSL.
"""

import base64
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from tests.fixtures.doors import RunningDoors
from tests.fixtures.strangers import OPERATOR, Bearer, Maker, register

from troth.enrollment.enrollments import update_enrollment
from troth.enrollment.tokens import create_token
from troth.journal.change import change
from troth.keys.file import generate
from troth.keys.requests import build_request
from troth.registry.certificates import CertificateState, find_certificate
from troth.registry.foreign_issuers import ForeignPurpose
from troth.registry.inventory import Search, list_certificates
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import certificate_id, parse_chain
from troth.x509.profiles import ExtendedUse
from troth.x509.verify import verify_chain

PYTHON: Final = Path(sys.prefix) / "interop" / "bin" / "python"
PATIENCE_S: Final = 60
# What its ACME server does with a finalised order.
PROGRAM: Final = """
import json, logging, sys
from acme2certifier.cahandlers.est_ca_handler import CAhandler
logger = logging.getLogger("est")
logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
with CAhandler(False, logger) as handler:
    error, bundle, raw, _ = handler.enroll(sys.argv[1])
print(json.dumps({"error": str(error) if error else None, "bundle": bundle, "raw": raw}))
"""

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="scripts/interop.sh has not been run")


@dataclass(frozen=True)
class Order:
    """What came of one: an error, or the certificate and those above it."""

    error: str | None
    bundle: str | None
    said: str

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What was brought back, the certificate first."""
        assert self.bundle is not None, self.said
        return parse_chain(self.bundle.encode())


def order(doors: RunningDoors, folder: Path, name: str, **settings: object) -> Order:
    """Have a certificate ordered through it. `settings` are its own, beside the address and the root."""
    settings = {
        "est_host": f"https://localhost:{doors.https}",
        "ca_bundle": doors.site.root_file,
        **settings,
    }
    lines = [f"{key}: {value}" for key, value in settings.items()]
    (folder / "acme_srv.cfg").write_text("\n".join(["[CAhandler]", *lines, ""]))
    request = build_request(generate(KeyAlgorithm.P256), name)
    done = subprocess.run(
        [PYTHON, "-c", PROGRAM, base64.urlsafe_b64encode(request).decode().rstrip("=")],
        env={"ACME_SRV_CONFIGFILE": str(folder / "acme_srv.cfg"), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    return Order(answer["error"], answer["bundle"], done.stderr)


def token_for(site: TestAuthority, thing: str) -> str:
    site.thing(thing)
    with change(site.db, site.clock, OPERATOR) as changing:
        return create_token(changing, thing, timedelta(hours=1)).secret


def require_good(site: TestAuthority, found: Order, thing: str) -> None:
    leaf, *above = found.chain
    verify_chain([leaf, *above], [site.root], at=site.clock.now(), use=ExtendedUse.CLIENT_AUTH)
    with read(site.db) as connection:
        row = find_certificate(connection, certificate_id(leaf))
    assert row is not None
    assert (row.thing, row.state) == (thing, CertificateState.ACTIVE)


def test_by_user_and_password(live_authority: TestAuthority, doors: RunningDoors, tmp_path: Path) -> None:
    site = live_authority
    secret = token_for(site, "lamp-1")
    found = order(doors, tmp_path, "lamp-1", est_user="lamp-1", est_password=secret)
    assert found.error is None, found.said
    require_good(site, found, "lamp-1")


def test_by_a_customers_certificate(live_authority: TestAuthority, doors: RunningDoors, tmp_path: Path) -> None:
    site = live_authority
    maker = Maker.new(tmp_path, site.clock.now())
    register(site, maker, "acme", ForeignPurpose.CUSTOMER)
    with change(site.db, site.clock, OPERATOR) as changing:
        update_enrollment(
            changing,
            'name = "default"\nprofile = "device"\nproofs = ["customer-ca"]\n'
            '[thing]\nname = "cam-{serial}"\ncreate = true\n',
        )
    doors.settle()
    device, stranger = maker.device("A1"), Maker.new(tmp_path, site.clock.now(), "Nobody").device("A1")

    def by(bearer: Bearer, name: str) -> Order:
        return order(doors, tmp_path, name, est_client_cert=bearer.chain_file, est_client_key=bearer.key_file)

    found = by(device, "cam-A1")
    assert found.error is None, found.said
    require_good(site, found, "cam-A1")
    # Nobody's CA does not come through the handshake; a name of another's through no proof.
    assert by(stranger, "cam-A1").bundle is None
    assert by(device, "cam-A2").bundle is None


@pytest.mark.parametrize("wrong", ["password", "user", "name"])
def test_what_is_denied_is_denied_through_it(
    live_authority: TestAuthority, doors: RunningDoors, tmp_path: Path, wrong: str
) -> None:
    site = live_authority
    secret = token_for(site, "lamp-1")
    site.thing("lamp-2")
    user = "lamp-2" if wrong == "user" else "lamp-1"
    password = "0" * len(secret) if wrong == "password" else secret
    name = "lamp-2" if wrong == "name" else user
    found = order(doors, tmp_path, name, est_user=user, est_password=password)
    assert (found.bundle, bool(found.error)) == (None, True)
    with read(site.db) as connection:
        assert not [
            each for thing in ("lamp-1", "lamp-2") for each in list_certificates(connection, Search(thing=thing))
        ]
    # The honest twin: nothing of the refusal has used up the token.
    require_good(site, order(doors, tmp_path, "lamp-1", est_user="lamp-1", est_password=secret), "lamp-1")
