"""The suite's own command, as far as no server is needed: what it lists, and what it does not take."""

import pytest
from tests.conformance.est.__main__ import main
from tests.conformance.est.checks import CHECKS


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["est", *words])
    return main()


def test_it_lists_every_check_with_its_clause(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [each.name for each in CHECKS]
    assert all(each.clause in line for each, line in zip(CHECKS, lines, strict=True))


SERVER = ("--url", "https://localhost:1", "--root", "nothing.pem")
WHO = ("--credentials-command", "true")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--url and --root"),
        (SERVER, "--credentials-command, or --user and --password-file"),
        ((*SERVER, *WHO), "nothing.pem"),
        ((*SERVER, *WHO, "--offers", "simplereenrol"), "simplereenrol"),
        ((*SERVER, *WHO, "--offers", "label"), "needs --label"),
        ((*SERVER, *WHO, "--offers", "waiting"), "needs --waiting-command"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_command_line_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_options_may_stand_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EST_URL", "https://localhost:1")
    monkeypatch.setenv("EST_ROOT", "nothing.pem")
    monkeypatch.setenv("EST_CREDENTIALS_COMMAND", "true")
    with pytest.raises(SystemExit):
        run(monkeypatch)
    assert "nothing.pem" in capsys.readouterr().err
