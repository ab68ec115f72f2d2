"""How every process of the server writes its log: one line an event, JSON for machines or plain for a terminal.

A log that cannot be written, on a full disk perhaps, stops nobody's work: how many lines are lost is told once it can.
"""

import io
import json
import logging
import sys
from collections.abc import Callable
from typing import Literal, TextIO, cast

import structlog

Format = Literal["json", "console"]


class _Stderr(io.TextIOBase):
    """Whatever is standard error at the time of writing: loggers are kept for longer than a redirection lasts."""

    def __init__(self, told: Callable[[int], str]) -> None:
        """`told` makes the line that says how many were lost."""
        super().__init__()
        self._told = told
        self._lost = 0

    def write(self, text: str) -> int:
        try:
            return sys.stderr.write(text)
        except OSError:
            self._lost += text.count("\n")
            return len(text)

    def flush(self) -> None:
        try:
            sys.stderr.flush()
            if self._lost:
                # Not by a logger, which holds its lock just now.
                sys.stderr.write(self._told(self._lost))
                sys.stderr.flush()
                self._lost = 0
        except OSError:
            self._lost += 1

    def isatty(self) -> bool:
        return sys.stderr.isatty()


def configure(process: str, style: Format, level: int = logging.INFO) -> None:
    """Send structlog's events of `level` and above, and libraries' warnings, to stderr, marked with the process."""

    def told(lost: int) -> str:
        said = {"lines": lost, "process": process, "event": "log.lost", "level": "warning"}
        return f"{json.dumps(said)}\n" if style == "json" else f"{process}: {lost} lines of the log were lost\n"

    stream = _Stderr(told)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # A whole line at once: all processes write to one file.
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", stream)),
        # A long-lived process pays for it once; what calls a command within its own process may want another level.
        cache_logger_on_first_use=level == logging.INFO,
    )
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(stream=stream, level=logging.WARNING, format=f"%(asctime)s {process} %(name)s: %(message)s")
