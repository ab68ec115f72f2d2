import signal

import pytest

from troth.demo.platform import environment
from troth.demo.play import interruptible


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
