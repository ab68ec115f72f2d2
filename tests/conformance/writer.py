"""A second process that writes to the journal. Usage: writer.py URL CHANGES ENTRIES; 0 changes = until it is ended.

Prints a line once its first change is committed. Ends, too, when its standard input is closed.
"""

import itertools
import sys
import threading
from pathlib import Path

from troth.clock import SystemClock
from troth.journal.change import change
from troth.store.connect import connect


def main(url: str, changes: int, entries: int) -> None:
    db, clock = connect(url, Path()), SystemClock()
    over = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    for number in range(changes) if changes else itertools.count():
        if over.is_set():
            break
        with change(db, clock, "test:writer") as changing:
            for part in range(entries):
                changing.record("test.written", f"writer-{number}", part=part)
        if number == 0:
            print("writing", flush=True)
    db.dispose()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
