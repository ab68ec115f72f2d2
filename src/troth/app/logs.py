"""How every process of the server writes its log: one line an event, JSON for machines or plain for a terminal."""

import io
import logging
import sys
from typing import Literal, TextIO, cast

import structlog

Format = Literal["json", "console"]


class _Stderr(io.TextIOBase):
    """Whatever is standard error at the time of writing: loggers are kept for longer than a redirection lasts."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


def configure(process: str, style: Format, level: int = logging.INFO) -> None:
    """Send structlog's events of `level` and above, and libraries' warnings, to stderr, marked with the process."""
    stream = _Stderr()
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
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", stream)),
        # A long-lived process pays for it once; what calls a command within its own process may want another level.
        cache_logger_on_first_use=level == logging.INFO,
    )
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(stream=stream, level=logging.WARNING, format=f"%(asctime)s {process} %(name)s: %(message)s")
