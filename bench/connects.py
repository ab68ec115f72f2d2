"""The load `connects`: a full handshake with both certificates, CONNECT to CONNACK, DISCONNECT to the server's close.

Each device connects again and again, all of them at once; no TLS session is resumed, and no client id comes twice
(NATS holds an id back that comes again within a second).
"""

import itertools
import ssl
import threading
from collections.abc import Sequence

from bench.client import Unexpected, connect, connect_packet, leave, tls_context
from bench.peers.peer import Peer
from bench.sample import Meter, Sample, Tally
from bench.site import Site

_numbers = itertools.count(1)


def measure_connects(site: Site, peer: Peer, count: int) -> Sample:
    """Connect `count` times, shared among the devices."""
    share = count // len(site.devices)
    run = next(_numbers)
    loads = [
        (tls_context(site, device), [connect_packet(f"{device.name}-{run}-{number}") for number in range(share)])
        for device in site.devices
    ]
    meter = Meter(peer, share * len(loads))
    lock = threading.Lock()
    with meter.running() as tally:
        threads = [threading.Thread(target=_device, args=(peer.port, *load, tally, lock)) for load in loads]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return meter.sample()


def _device(port: int, context: ssl.SSLContext, packets: Sequence[bytes], tally: Tally, lock: threading.Lock) -> None:
    done = 0
    error = None
    try:
        for packet in packets:
            leave(connect(port, context, packet))
            done += 1
    except (OSError, Unexpected) as caught:
        error = f"a connect failed: {caught}"
    with lock:
        tally.done += done
        if error is not None:
            tally.errors.append(error)
