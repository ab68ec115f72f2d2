"""What every test stands on: the ``needs`` marker, and the rule that nothing may go unrun under ``CI=true``."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

PACKAGES = Path(__file__).parent / "system-packages.txt"
pytest_plugins = ["tests.fixtures.postgresql", "tests.fixtures.databases"]

IN_CI = os.environ.get("CI") == "true"

# Machines are noisy: no example is too slow by the clock. In CI the examples are always the same ones.
settings.register_profile("troth", deadline=None, derandomize=IN_CI, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("troth"), max_examples=20)
settings.load_profile("troth")


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command that runs inside a test says how to log; the next test must not inherit that."""
    yield
    structlog.reset_defaults()


def known_programs() -> dict[str, str]:
    """Return program -> Debian package, from ``tests/system-packages.txt``."""
    lines = (line.split("#")[0].split() for line in PACKAGES.read_text().splitlines())
    return {words[0]: words[1] for words in lines if words}


_NOT_PROGRAMS = {
    "postgresql": ("lib/postgresql/*/bin/initdb",),
    "pkcs11-engine": ("lib/*/engines-3/pkcs11.so",),
    "libtpm2_pkcs11": ("lib/*/libtpm2_pkcs11.so.1", "lib/*/pkcs11/libtpm2_pkcs11.so.1"),
    "tcti-tabrmd": ("lib/*/libtss2-tcti-tabrmd.so.0",),
    "wolfssl": ("include/wolfssl/ssl.h",),
    "mbedtls": ("include/mbedtls/ssl.h",),
    "libc-headers": ("include/stdio.h",),
}
"""What stands outside a user's PATH on Debian, or is no program: where below /usr it is."""


def present(program: str) -> bool:
    """Say whether `program` can be run, or used, here; Mosquitto stands outside a user's PATH on Debian."""
    if (places := _NOT_PROGRAMS.get(program)) is not None:
        return any(any(Path("/usr").glob(place)) for place in places)
    return shutil.which(program) is not None or Path("/usr/sbin", program).exists()


def pytest_runtest_setup(item: pytest.Item) -> None:
    programs = known_programs()
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if program not in programs:
                pytest.fail(f"{program} is not listed in tests/system-packages.txt", pytrace=False)
            if not present(program):
                reason = f"not run: needs {program} (apt install {programs[program]})"
                if IN_CI:
                    pytest.fail(reason, pytrace=False)
                pytest.skip(reason)


class NothingUnrun:
    """Fails the run when a test was skipped under ``CI=true``."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skipped.append(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        yield
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for nodeid in self.skipped:
            terminalreporter.write_line(f"not run, which CI=true makes a failure: {nodeid}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    if IN_CI and not hasattr(config, "workerinput"):
        config.pluginmanager.register(NothingUnrun(), "nothing-unrun")
