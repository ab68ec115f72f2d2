"""What is fuzzed: for each target what any bytes are put to, what to begin with, and under which limits.

A target returns for every input, or raises what shows a bug. ``tests/fuzz/run.py`` runs them.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.fuzz import (
    journal_evidence,
    mqtt_streams,
    ocsp_requests,
    policy_documents,
    policy_patterns,
    policy_topics,
    provisioning_requests,
    proxy_headers,
    roughtime_packets,
    signed_readings,
)

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of input from outside."""

    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    """Inputs to begin with."""
    words: tuple[bytes, ...]
    """What is put into them."""
    bytes_max: int
    """Of one input."""
    vary: Callable[[bytes, random.Random], bytes] | None = None
    """Changes an input in a way of its own."""
    memory_bytes: int = 32 * MIB
    """What the process may take beyond what it has before the first input."""
    input_s: float = 2.0
    """CPU time of one input."""


TARGETS: Final[Mapping[str, Target]] = {
    "journal-evidence": Target(
        journal_evidence.check, journal_evidence.SEEDS, journal_evidence.WORDS, bytes_max=512 * 1024
    ),
    "mqtt-streams": Target(
        mqtt_streams.check,
        mqtt_streams.SEEDS,
        mqtt_streams.WORDS,
        bytes_max=256 * 1024,
    ),
    "ocsp-requests": Target(ocsp_requests.check, ocsp_requests.SEEDS, ocsp_requests.WORDS, bytes_max=64 * 1024),
    "policy-documents": Target(
        policy_documents.check,
        policy_documents.SEEDS,
        policy_documents.WORDS,
        bytes_max=512 * 1024,
        vary=policy_documents.vary,
        memory_bytes=128 * MIB,  # about 230 bytes for each of the 404,600 characters that there can be, at worst
    ),
    "policy-patterns": Target(policy_patterns.check, policy_patterns.SEEDS, policy_patterns.WORDS, bytes_max=64 * 1024),
    "policy-topics": Target(policy_topics.check, policy_topics.SEEDS, policy_topics.WORDS, bytes_max=70 * 1024),
    "provisioning-requests": Target(
        provisioning_requests.check, provisioning_requests.SEEDS, provisioning_requests.WORDS, bytes_max=70 * 1024
    ),
    "roughtime-packets": Target(
        roughtime_packets.check, roughtime_packets.SEEDS, roughtime_packets.WORDS, bytes_max=70 * 1024
    ),
    "proxy-headers": Target(proxy_headers.check, proxy_headers.SEEDS, proxy_headers.WORDS, bytes_max=70 * 1024),
    "signed-readings": Target(signed_readings.check, signed_readings.SEEDS, signed_readings.WORDS, bytes_max=64 * 1024),
}
