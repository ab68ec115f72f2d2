"""A site that is made once and copied for each case, on SQLite and on PostgreSQL; and an empty one for births."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.crash import journeys
from tests.crash.journeys import OPERATOR, PUBLIC_URL, REVOKED, Place
from tests.crash.playing import copied
from tests.fixtures.first_connections import jitp
from tests.fixtures.postgresql import PostgreSQLServer
from tests.fixtures.strangers import Maker
from tests.fixtures.templates import small

from troth.app.wiring.door import open_door
from troth.authority.settle import issue
from troth.clock import SystemClock
from troth.enrollment.enrollments import create_enrollment
from troth.enrollment.jit import set_first_connections
from troth.enrollment.template_resources import TemplateType
from troth.enrollment.templates import TemplateOptions, create_template
from troth.enrollment.tokens import create_token
from troth.journal.change import change
from troth.keys.file import generate
from troth.keys.requests import build_request
from troth.registry.foreign_issuers import ForeignPurpose, make_code, register_foreign_issuer
from troth.registry.things import create_thing
from troth.store import migrate
from troth.store.connect import Database
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.requests import parse_request

SQLITE = "sqlite:///troth.db"
Site = Callable[[str], Place]
"""A new place for a journey of this name."""


def _fill(place: Place, *, with_site: bool) -> None:
    """Make the schema; and unless something is to be born, a hierarchy, things, requests, a token, a certificate."""
    with place.database() as db:
        if db.path is not None:
            db.path.touch()
        migrate.upgrade(db)
        if with_site:
            journeys.founder(place)
            _fill_site(place, db)


def _fill_site(place: Place, db: Database) -> None:
    clock = SystemClock()
    with change(db, clock, OPERATOR) as changing:
        for thing in ("lamp-1", "lamp-2", "lamp-3", REVOKED):
            create_thing(changing, thing)
            if thing != REVOKED:
                (place.folder / f"{thing}.csr").write_bytes(build_request(generate(KeyAlgorithm.P256), thing))
        create_template(changing, "lamps", TemplateType.FLEET_PROVISIONING, json.dumps(small()), TemplateOptions())
        guests = 'name = "guests"\nprofile = "device"\nproofs = ["approval"]\n[thing]\nname = "{request}"\n'
        create_enrollment(changing, guests)
        lamps = ("lamp-1", "lamp-2", "lamp-3")
        tokens = {thing: create_token(changing, thing, timedelta(days=1)).secret for thing in lamps}
    (place.folder / "token").write_text(tokens["lamp-1"])
    (place.folder / "tokens").write_text(json.dumps(tokens))
    _register_customer(place, db, clock)
    issue(
        db,
        clock,
        open_door(db, place.cabinet(), PUBLIC_URL),
        OPERATOR,
        profile="device",
        request=parse_request(build_request(generate(KeyAlgorithm.P256), REVOKED)),
        thing=REVOKED,
        method="operator",
        proof={},
        public_url=PUBLIC_URL,
    )


def _register_customer(place: Place, db: Database, clock: SystemClock) -> None:
    """Register a customer's CA whose devices become things when they connect, and make one of them."""
    maker = Maker.new(place.folder, clock.now())
    (place.folder / "meter.pem").write_bytes(maker.device("7").certificate.public_bytes(Encoding.PEM))
    with change(db, clock, OPERATOR) as changing:
        code = make_code(changing)
        create_template(changing, "meters", TemplateType.JITP, json.dumps(jitp()), TemplateOptions())
    with change(db, clock, OPERATOR) as changing:
        purpose, proof = ForeignPurpose.CUSTOMER, maker.proof(code)
        register_foreign_issuer(changing, maker.certificate, name="acme", purpose=purpose, verification=proof)
        set_first_connections(changing, "acme", registers=True, template="meters")


@pytest.fixture(scope="session")
def sqlite_templates(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Folders with a filled database, and with an empty one."""
    made = {}
    for with_site in (True, False):
        made[with_site] = tmp_path_factory.mktemp("crash")
        _fill(Place(made[with_site], SQLITE), with_site=with_site)
    return made


@pytest.fixture
def sqlite_site(sqlite_templates: dict[bool, Path], tmp_path: Path) -> Site:
    """Makes places on SQLite."""
    return lambda journey: copied(sqlite_templates[journey != "birth"], tmp_path / "place", SQLITE)


@pytest.fixture(scope="session")
def postgresql_templates(
    postgresql_server: PostgreSQLServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, Path]:
    """The same, with databases named ``crash_True`` and ``crash_False``."""
    made = {}
    for with_site in (True, False):
        made[with_site] = tmp_path_factory.mktemp("crash")
        postgresql_server.execute(f'CREATE DATABASE "crash_{with_site}"')
        _fill(Place(made[with_site], postgresql_server.url(f"crash_{with_site}")), with_site=with_site)
    return made


@pytest.fixture
def postgresql_site(
    postgresql_server: PostgreSQLServer, postgresql_templates: dict[bool, Path], tmp_path: Path
) -> Iterator[Site]:
    """Makes places on PostgreSQL."""
    made: list[str] = []

    def site(journey: str) -> Place:
        with_site = journey != "birth"
        name = f"case_{tmp_path.name}_{len(made)}".replace("-", "_").lower()[-60:]
        postgresql_server.execute(f'CREATE DATABASE "{name}" TEMPLATE "crash_{with_site}"')
        made.append(name)
        return copied(postgresql_templates[with_site], tmp_path / name, postgresql_server.url(name))

    yield site
    for name in made:
        postgresql_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def site(request: pytest.FixtureRequest) -> Site:
    """Each kind of database in turn."""
    found: Site = request.getfixturevalue(f"{request.param}_site")
    return found
