import signal
from pathlib import Path

import pytest

from troth.demo.commands import Commands
from troth.demo.narrator import Narrator
from troth.demo.platform import NotReady, environment, running
from troth.demo.play import interruptible
from troth.errors import Fault, Kind


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_ends_the_story_from_outside_interrupts_it(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_no_setting_of_another_home_reaches_the_story() -> None:
    made = environment({"PATH": "/bin", "TROTH_HOME": "/srv/troth", "TROTH_STORE__URL": "postgresql://x/y"})
    assert made["PATH"] == "/bin"
    assert "TROTH_HOME" not in made
    assert "TROTH_STORE__URL" not in made
    assert {value for name, value in made.items() if name.startswith("TROTH_LISTEN__")} == {"127.0.0.1:0"}


@pytest.mark.slow
def test_a_platform_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotReady) as caught, running(tmp_path / "nothing", environment({}), tmp_path / "log"):
        pass
    assert "is not a home of troth" in caught.value.message
    assert any("is not a home of troth" in line for line in caught.value.tail)


@pytest.mark.slow
def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    commands = Commands(tmp_path, environment({}), Narrator(quiet=True))
    with pytest.raises(Fault, match="is not a home of troth") as caught:
        commands.troth("thing", "list")
    assert caught.value.kind is Kind.MISCONFIGURED
