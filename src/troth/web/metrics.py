"""What a Prometheus server scrapes: decisions, sessions and what workers carry, over all hosts, from the database.

Text format 0.0.4. A worker's counts begin anew with it, as Prometheus expects of a process; those of decisions do not.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from troth.journal.entries import head
from troth.registry.decisions import list_counts
from troth.registry.measures import OPENING_S
from troth.registry.sessions import WorkerRow, list_workers

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def render_metrics(connection: Connection, at: datetime) -> bytes:
    """Return everything there is to scrape at the time `at`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once([_decisions(connection), _journal(connection), *_workers(list_workers(connection, at))]))
    return generate_latest(registry)


class _Once(Collector):
    """What was read, for the one time that it is asked for."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = tuple(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _decisions(connection: Connection) -> Metric:
    metric = CounterMetricFamily(
        "troth_decisions",
        "Decisions of all gateways; failed handshakes are those with the action tls:Handshake",
        labels=("action", "outcome", "reason"),
    )
    for key, count in list_counts(connection).items():
        metric.add_metric((key.action, key.outcome, key.reason), count)
    return metric


def _journal(connection: Connection) -> Metric:
    metric = CounterMetricFamily("troth_journal_entries", "Entries of the journal")
    metric.add_metric((), head(connection))
    return metric


def _workers(workers: Iterable[WorkerRow]) -> Iterator[Metric]:
    label = ("worker",)
    sessions = GaugeMetricFamily("troth_sessions", "Live sessions", labels=label)
    received = CounterMetricFamily("troth_received_bytes", "MQTT from devices, as it came out of TLS", labels=label)
    sent = CounterMetricFamily("troth_sent_bytes", "MQTT to devices", labels=label)
    upstream = GaugeMetricFamily(
        "troth_upstream_up", "1 while the worker's own connection to the broker stands", labels=label
    )
    lost = CounterMetricFamily("troth_events_lost", "Events that the broker could not be given", labels=label)
    waiting = GaugeMetricFamily("troth_in_flight_bytes", "What waits in memory for slow readers", labels=label)
    paced = CounterMetricFamily("troth_paced", "Waits of connections that were faster than they may be", labels=label)
    opening = HistogramMetricFamily(
        "troth_opening_seconds", "From the end of a handshake to the CONNACK that lets in", labels=label
    )
    for each in workers:
        name, measures = (each.worker,), each.measures
        sessions.add_metric(name, each.sessions)
        received.add_metric(name, measures.received_bytes)
        sent.add_metric(name, measures.sent_bytes)
        upstream.add_metric(name, int(measures.is_upstream_up))
        lost.add_metric(name, measures.events_lost)
        waiting.add_metric(name, measures.bytes_in_flight)
        paced.add_metric(name, measures.paced)
        bounds = (*map(str, OPENING_S), "+Inf")
        buckets = list(zip(bounds, accumulate(measures.openings), strict=True))
        opening.add_metric(name, buckets, measures.openings_s)
    yield from (sessions, received, sent, upstream, lost, waiting, paced, opening)
