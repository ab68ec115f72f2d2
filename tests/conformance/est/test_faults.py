"""The suite finds every seeded fault of a server by the checks that are named for it, and finds none in an honest one.

The twin of every fault is the same server without it.
"""

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.conformance.est.checking import Outcome, Verdict, perform
from tests.conformance.est.checks import CHECKS
from tests.conformance.est.faults import FAULTS
from tests.conformance.est.faulty import LABEL, FaultyServer, faulty_server
from tests.conformance.est.faulty_ca import Hierarchy
from tests.conformance.est.faulty_registrar import WAITING
from tests.conformance.est.target import Offer, Settings, Target
from tests.conformance.est.wire import Credentials, Wire

FAULTS_MIN = 25
PAGE = Path(__file__).parents[3] / "docs" / "est-conformance.md"
OFFERED = frozenset(Offer) - {Offer.FULLCMC}
_numbers = itertools.count(1)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyServer]:
    with faulty_server(Hierarchy.make()) as running:
        yield running


@pytest.fixture
def target(server: FaultyServer, tmp_path: Path) -> Iterator[Target]:
    def credentials(user: str = "") -> Credentials:
        made = Credentials(user or f"lamp-{next(_numbers)}", f"secret-{next(_numbers)}")
        server.registrar.passwords[made.user] = made.password
        return made

    root_file = tmp_path / "root.pem"
    root_file.write_bytes(server.hierarchy.root.certificate.public_bytes(Encoding.PEM))
    settings = Settings(
        server.hierarchy.root.certificate, credentials, OFFERED, LABEL, waiting=lambda: credentials(WAITING)
    )
    with Wire(f"https://localhost:{server.port}", root_file) as wire:
        yield Target(settings, wire)


def told(outcomes: list[Outcome], verdict: Verdict) -> dict[str, str]:
    return {each.check.name: each.reason for each in outcomes if each.verdict is verdict}


def test_an_honest_server_passes_every_check(server: FaultyServer, target: Target) -> None:
    with server.with_fault(None):
        outcomes = list(perform(CHECKS, target))
    assert told(outcomes, Verdict.FAILED) == {}
    assert told(outcomes, Verdict.BLOCKED) == {}
    assert len(outcomes) == len(CHECKS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_its_checks_and_no_other(server: FaultyServer, target: Target, fault: str) -> None:
    if fault == "admits-strangers":
        server.stranger = target.stranger.certificate
    with server.with_fault(fault):
        failed = told(list(perform(CHECKS, target)), Verdict.FAILED)
        target.wire.close()
    assert set(failed) == FAULTS[fault], failed


def test_every_check_is_proven_by_a_fault() -> None:
    assert len(FAULTS) >= FAULTS_MIN
    assert f"one of {len(FAULTS)} seeded faults" in PAGE.read_text()
    assert set().union(*FAULTS.values()) == {each.name for each in CHECKS}


def test_every_check_says_what_it_is_and_where_that_is_asked_for() -> None:
    names = [each.name for each in CHECKS]
    assert len(set(names)) == len(names)
    for each in CHECKS:
        assert each.says.endswith("."), each.name
        assert each.clause.startswith("RFC "), each.name


def test_the_suite_shares_no_code_with_what_it_tests() -> None:
    here = Path(__file__).parent
    for file in here.glob("*.py"):
        if not file.name.startswith("test_"):
            found = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
            assert not [each.module for each in found if (each.module or "").startswith("troth")], file.name
