"""Calls into a module that may hang: one after the other, in one thread of their own, each with a time limit.

A call that is late goes on, because nothing can stop it; until it returns every other is refused at once, so that no
callers pile up behind it. The thread is a daemon: a hanging module does not keep the process from ending.
"""

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class Late(Exception):
    """The module has not answered in time, or still hangs in an earlier call."""


class Calls:
    """Runs functions in one thread. Any thread may call; a process that was forked off gets a thread of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._waiting: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._late: Future[Any] | None = None
        threading.Thread(target=_run, args=(self._waiting,), name=self._name, daemon=True).start()

    def call(self, function: Callable[[], _T], seconds: float) -> _T:
        """Return what `function` returns in the thread. Raises what it raises, and `Late` after `seconds`."""
        future: Future[_T] = Future()
        with self._lock:
            if self._process != os.getpid():
                self._start()
            if self._late is not None and not self._late.done():
                raise Late("an earlier call has not returned")
            self._waiting.put((future, function))
        try:
            return future.result(seconds)
        except (TimeoutError, CancelledError) as error:
            # One that has not begun never will; one that has is what everybody waits for.
            if not future.cancel():
                self._late = future
            raise Late(f"no answer within {seconds:g} s") from error


def _run(waiting: "queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]]") -> None:
    while True:
        future, function = waiting.get()
        if not future.set_running_or_notify_cancel():
            continue
        try:
            result = function()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
