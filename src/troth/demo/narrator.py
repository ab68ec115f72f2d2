"""Tells the story as it happens, on stdout, in short sentences; and the table at its end. Decides nothing."""

import sys
from collections.abc import Iterable, Mapping
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

WIDE: Final = 140


class Narrator:
    """Speaks to the people in front of the terminal, or to nobody."""

    def __init__(self, *, quiet: bool) -> None:
        # Not a terminal: whoever reads it wants lines that are not folded.
        width = None if sys.stdout.isatty() else WIDE
        self._console = Console(quiet=quiet, highlight=False, width=width)
        self._trouble = Console(stderr=True, highlight=False, soft_wrap=True)

    def act(self, title: str, *sentences: str) -> None:
        """Open an act."""
        self._console.print()
        self._line(f"[bold cyan]{escape(title)}[/]")
        for sentence in sentences:
            self.say(sentence)

    def say(self, sentence: str) -> None:
        """Tell what is going on, and why."""
        self._line(escape(sentence))

    def quote(self, text: str) -> None:
        """Show a document."""
        for line in text.splitlines():
            self._line(f"  [dim]{escape(line)}[/]")

    def command(self, words: str) -> None:
        """Show a command that is really run."""
        self._line(f"  [green]$ {escape(words)}[/]")

    def case(self, case_id: str, story: str) -> None:
        """Say what is tried next."""
        self._console.print()
        self._line(f"[bold]{escape(case_id)}[/]: {escape(story)}")

    def verdict(
        self, expected: Mapping[str, str], observed: Mapping[str, str], connection: str, why: str, *, ok: bool
    ) -> None:
        """Show what each side said, and whether it is what must be; `why` it must be so."""
        if connection:
            self._told("connection", f"from {connection}")
        for who, what in observed.items():
            self._told(who, what)
        if ok:
            self._line(f"  [green]as it must be.[/] {escape(why)}")
        else:
            wanted = "; ".join(f"{who}: {what}" for who, what in expected.items())
            self._line(f"  [bold red]NOT as it must be: {escape(wanted)}[/]")

    def table(self, rows: Iterable[tuple[str, Mapping[str, str], Mapping[str, str], bool]]) -> None:
        """Show all cases: id, expected, observed, ok."""
        table = Table(box=None, pad_edge=False, header_style="bold", row_styles=["", "dim"])
        for column in ("case", "expected", "observed", "ok"):
            table.add_column(column, overflow="fold", no_wrap=column in {"case", "ok"})
        for case_id, expected, observed, ok in rows:
            mark = "[green]yes[/]" if ok else "[bold red]NO[/]"
            table.add_row(case_id, escape(_in_lines(expected)), escape(_in_lines(observed)), mark)
        self._console.print()
        self._console.print(table)
        self._console.print()

    def _told(self, who: str, what: str) -> None:
        self._line(f"  {escape(who):<12} {escape(what)}")

    def _line(self, text: str) -> None:
        # The terminal folds lines; copied out of it, a command is still one line.
        self._console.print(text, soft_wrap=True)

    def trouble(self, text: str, lines: Iterable[str] = ()) -> None:
        """Say on stderr what keeps the story from going on, also when nobody listens to it."""
        self._trouble.print(f"[bold red]{escape(text)}[/]")
        for line in lines:
            self._trouble.print(f"  {escape(line)}")


def _in_lines(words: Mapping[str, str]) -> str:
    return "\n".join(f"{who}: {what}" for who, what in words.items())
