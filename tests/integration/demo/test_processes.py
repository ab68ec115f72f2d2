"""What the story says when one of its processes does not do what it must."""

from pathlib import Path

import pytest

from troth.demo.commands import Commands
from troth.demo.narrator import Narrator
from troth.demo.platform import NotReady, environment, running
from troth.errors import Fault, Kind


def test_a_platform_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotReady) as caught, running(tmp_path / "nothing", environment({}), tmp_path / "log"):
        pass
    assert "is not a home of troth" in caught.value.message
    assert any("is not a home of troth" in line for line in caught.value.tail)


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    commands = Commands(tmp_path, environment({}), Narrator(quiet=True))
    with pytest.raises(Fault, match="is not a home of troth") as caught:
        commands.troth("thing", "list")
    assert caught.value.kind is Kind.MISCONFIGURED
