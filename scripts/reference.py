"""Writes the reference pages from the code itself: docs/commands.md, docs/settings.md and docs/errors.md, and
the parts of docs/mqtt.md and docs/sessions.md that are tables of the code.

``python scripts/reference.py`` rewrites them; tests/repo/test_docs.py fails when they are not what it would write.
"""

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any, Final

import typer

from troth import errors
from troth.app.settings_file import list_settings
from troth.cli.main import HOME_COMMANDS, NOUNS, build
from troth.cli.output import EXIT_CODES
from troth.errors import Kind
from troth.gateway.mqtt.states import TRANSITIONS, State
from troth.gateway.mqtt.voice import CONNACKS, DISCONNECTS
from troth.gateway.presence import DISCONNECT_REASONS
from troth.gateway.refusal import Reason
from troth.protocols.mqtt.reasons import CONNACK_CODES, CONNACK_REASONS
from troth.protocols.problem import ROWS

DOCS: Final = Path(__file__).parents[1] / "docs"
WIDTH: Final = 100


def render_commands() -> str:
    """Return docs/commands.md: the help of every command, as the command prints it."""
    parts = [
        "# Commands\n",
        "Two words, noun then verb; one word for the home itself. `--json` answers in JSON on stdout; what is meant",
        "for people goes to stderr then. Secrets come from files, `-` for stdin, or a prompt. Exit codes:",
        "[errors.md](errors.md). Made by `scripts/reference.py`.\n",
    ]
    for name in HOME_COMMANDS:
        parts += _section(name, _find(build([name]), name))
    for noun, text in NOUNS.items():
        parts += [f"## {noun}\n", f"{text}.\n"]
        for verb in _verbs(noun):
            parts += _section(f"{noun} {verb}", _find(build([noun]), noun, verb))
    return "\n".join(parts)


def list_commands() -> list[str]:
    """Return every command, as ``thing create``."""
    return [*HOME_COMMANDS, *(f"{noun} {verb}" for noun in NOUNS for verb in _verbs(noun))]


def render_settings_page() -> str:
    """Return docs/settings.md."""
    lines = [
        "# Settings\n",
        "`HOME/troth.toml`, overlaid by `TROTH_<SECTION>__<KEY>` in the environment. Nothing unknown is passed over: a",
        "key that does not exist stops `troth up` with its name. Durations are written `30s`, `15m`, `12h`, `90d`.",
        "Made by `scripts/reference.py`.\n",
        "| Setting | Default | Meaning |",
        "|---|---|---|",
    ]
    meanings = _limit_meanings()
    for name, default, meaning in list_settings():
        shown = f"`{default}`" if default else "must be given"
        lines.append(f"| `{name}` | {shown} | {meaning or meanings[name.removeprefix('limits.')]} |")
    return "\n".join(lines) + "\n"


def render_errors() -> str:
    """Return docs/errors.md: every kind and what each surface makes of it."""
    lines = [
        "# Errors\n",
        "Every failure that Troth foresees has one of these kinds. Each surface renders it by a table of its own.",
        "What is not foreseen is answered as an internal error (exit code 70, HTTP 500), its text only in the log.",
        "Made by `scripts/reference.py`.\n",
        "| Kind | Meaning | Exit code | HTTP status | CONNACK (3.1.1) | CONNACK (5) |",
        "|---|---|---|---|---|---|",
    ]
    meanings = _kind_meanings()
    for kind in Kind:
        connack = CONNACK_CODES[kind]
        shown = "-" if connack is None else str(int(connack))
        status = ROWS[kind].status
        reason = CONNACK_REASONS[kind]
        lines.append(f"| `{kind}` | {meanings[kind.name]} | {EXIT_CODES[kind]} | {status} | {shown} | 0x{reason:02X} |")
    return "\n".join(lines) + "\n"


def render_mqtt_page() -> str:
    """Return docs/mqtt.md with what is made of the code put into it anew."""
    return _with_parts("mqtt.md", {"states": _states(), "endings": _endings()})


def render_sessions_page() -> str:
    """Return docs/sessions.md with what is made of the code put into it anew."""
    return _with_parts("sessions.md", {"disconnect-reasons": _disconnect_reasons()})


def _with_parts(page: str, parts: dict[str, str]) -> str:
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, part in parts.items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->\n")
        text = f"{before}{begin}{part}{end}{after}"
    return text


def _states() -> str:
    names = {state: state.value.replace("-", "_") for state in State}
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f'    state "{state.value}" as {name}' for state, name in names.items() if name != state.value]
    lines.append(f"    [*] --> {names[State.AWAITING_CONNECT]}: the handshake has succeeded")
    for before, afters in TRANSITIONS.items():
        lines += [f"    {names[before]} --> {names[after]}: {cause}" for after, cause in afters.items()]
    return "\n".join([*lines, f"    {names[State.CLOSED]} --> [*]", "```"]) + "\n"


def _endings() -> str:
    lines = ["| Reason | CONNACK | DISCONNECT |", "|---|---|---|"]
    for reason in Reason:
        disconnect = DISCONNECTS[reason]
        last = "-" if disconnect is None else f"0x{disconnect:02X}"
        lines.append(f"| `{reason.value}` | 0x{CONNACKS[reason]:02X} | {last} |")
    return "\n".join(lines) + "\n"


def _disconnect_reasons() -> str:
    lines = ["| `disconnectReason` | Reasons that are logged |", "|---|---|"]
    for word in sorted(set(DISCONNECT_REASONS.values())):
        reasons = ", ".join(f"`{reason.value}`" for reason in Reason if DISCONNECT_REASONS[reason] == word)
        lines.append(f"| `{word}` | {reasons} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Return what each page should say, by file name."""
    return {
        "commands.md": render_commands(),
        "settings.md": render_settings_page(),
        "errors.md": render_errors(),
        "mqtt.md": render_mqtt_page(),
        "sessions.md": render_sessions_page(),
    }


def _verbs(noun: str) -> list[str]:
    app = importlib.import_module(f"troth.cli.{noun}").app
    command: Any = typer.main.get_command(app)
    return list(command.commands)


def _find(app: typer.Typer, *words: str) -> Any:
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    return command


def _section(name: str, command: Any) -> list[str]:
    context = command.make_context(f"troth {name}", [], resilient_parsing=True)
    context.max_content_width = context.terminal_width = WIDTH
    return [f"### troth {name}\n", "```text", command.get_help(context).strip(), "```\n"]


def _limit_meanings() -> dict[str, str]:
    from troth import limits

    return _documented(inspect.getsource(limits.Limits))


def _kind_meanings() -> dict[str, str]:
    return _documented(inspect.getsource(errors.Kind))


def _documented(source: str) -> dict[str, str]:
    """Return the string below each assignment of a class body, by the name that is assigned."""
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for node, after in zip(body.body, body.body[1:], strict=False):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[target.id] = " ".join(str(after.value.value).split())
    return found


if __name__ == "__main__":
    for page, text in pages().items():
        (DOCS / page).write_text(text, encoding="utf-8")
