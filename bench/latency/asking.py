"""`python -m bench.latency.asking PORT RATE FOLDER`: asks for OCSP answers at a rate, until standard input ends.

Prints what came of it as JSON. Connections stay open; each is asked in its turn and never twice at once.
"""

import json
import select
import socket
import sys
import time
from pathlib import Path
from typing import Final

from bench.ocsp.load import get, read_answer, requests

CONNECTIONS: Final = 16
_GOOD: Final = b"\x80\x00"


def ask(port: int, rate: float, asked: list[bytes]) -> dict[str, float]:
    """Ask `rate` times a second; where that is more than is answered, as often as is answered."""
    sockets = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(CONNECTIONS)]
    began, rounds, good = time.monotonic(), 0, 0
    while not select.select([sys.stdin], [], [], max(0.0, began + rounds * CONNECTIONS / rate - time.monotonic()))[0]:
        for place, each in enumerate(sockets):
            each.sendall(asked[(rounds * CONNECTIONS + place) % len(asked)])
        good += sum(_GOOD in read_answer(each) for each in sockets)
        rounds += 1
    took_s = time.monotonic() - began
    return {"answers": rounds * CONNECTIONS, "good": good, "per_s": rounds * CONNECTIONS / took_s}


if __name__ == "__main__":
    port, rate, folder = sys.argv[1:]
    print(json.dumps(ask(int(port), float(rate), [get("/ocsp", each) for each in requests(Path(folder))])))
