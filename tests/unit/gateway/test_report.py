"""What the gateway tells: at once in the log, soon in the database, and never at the cost of memory."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from troth.gateway.refusal import Reason, Refusal
from troth.gateway.report import LEASE, Report, Who
from troth.limits import DEFAULT, REFUSALS_TOLD_AT_ONCE_MAX, REPORT_ROWS_MAX
from troth.registry.decisions import DecisionKey, list_counts, list_decisions
from troth.registry.sessions import count_sessions, drop_expired_workers, list_sessions
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock
from troth.tls.reasons import HandshakeFailure

STRANGER = Who("c1", "192.0.2.1:5000")
LAMP = Who("c2", "192.0.2.2:5000", "c" * 64, "lamp-1", "lamp-1")


@pytest.fixture
def report(authority: TestAuthority) -> Report:
    return Report(authority.db, authority.clock, "worker-1", DEFAULT)


def gone(authority: TestAuthority) -> None:
    """Take the database away."""
    assert authority.db.path is not None
    authority.db.dispose()
    authority.db.path.rename(authority.db.path.with_suffix(".gone"))


def back(authority: TestAuthority) -> None:
    """Bring it back."""
    assert authority.db.path is not None
    authority.db.path.with_suffix(".gone").rename(authority.db.path)


def test_a_failed_handshake_is_told_with_who_and_why(authority: TestAuthority, report: Report) -> None:
    with capture_logs() as logs:
        report.handshake_failed(STRANGER, "mqtt", HandshakeFailure.SELF_SIGNED, "self signed at depth 0")
    (event,) = logs
    assert (event["event"], event["peer"], event["reason"]) == ("handshake.failed", "192.0.2.1:5000", "self-signed")
    assert event["listener"] == "mqtt"
    asyncio.run(report.flush())
    with read(authority.db) as connection:
        (row,) = list_decisions(connection, denied=True)
        assert (row.action, row.resource, row.address, row.reason) == (
            "tls:Handshake",
            "mqtt",
            "192.0.2.1:5000",
            "self-signed: self signed at depth 0",
        )
        assert list_counts(connection) == {DecisionKey("tls:Handshake", "implicit-deny", "self-signed"): 1}


def test_a_flood_is_counted_and_told_within_bounds(authority: TestAuthority, report: Report) -> None:
    flood = REFUSALS_TOLD_AT_ONCE_MAX + 20

    async def main() -> None:
        for _ in range(flood):
            report.handshake_failed(STRANGER, "mqtt", HandshakeFailure.TOO_OFTEN, "refused at accept")
        await report.flush()
        # The next one is told again.
        report.handshake_failed(STRANGER, "mqtt", HandshakeFailure.NOT_TLS, "")
        await report.flush()

    with capture_logs() as logs:
        asyncio.run(main())
    told = [each["event"] for each in logs]
    assert told == ["handshake.failed"] * REFUSALS_TOLD_AT_ONCE_MAX + ["refusals.untold", "handshake.failed"]
    assert [each["count"] for each in logs if each["event"] == "refusals.untold"] == [20]
    with read(authority.db) as connection:
        assert len(list_decisions(connection, denied=True, limit=500)) == REFUSALS_TOLD_AT_ONCE_MAX + 1
        assert list_counts(connection)[DecisionKey("tls:Handshake", "implicit-deny", "too-often")] == flood


def test_an_end_past_a_bound_is_a_denial(authority: TestAuthority, report: Report) -> None:
    report.opened(LAMP)
    report.closed(LAMP, Reason.SLOW_READER, "it asks and does not read", ours=True)
    report.closed(LAMP, Reason.KICKED, "", ours=True)
    asyncio.run(report.flush())
    with read(authority.db) as connection:
        (row,) = list_decisions(connection, denied=True)
        assert (row.action, row.resource) == ("mqtt:Stay", "client/lamp-1")
        assert row.reason == "slow-reader: it asks and does not read"
        assert list_counts(connection)[DecisionKey("mqtt:Stay", "implicit-deny", "slow-reader")] == 1


def test_a_refusal_is_told_with_what_was_decided(authority: TestAuthority, report: Report) -> None:
    refusal = Refusal(
        Reason.CONNECT_DENIED, action="iot:Connect", resource="client/x", outcome="explicit-deny", detail="denied by p"
    )
    with capture_logs() as logs:
        report.refused(LAMP, refusal)
    (event,) = logs
    assert event["event"] == "connection.refused"
    told = {name: event[name] for name in ("connection", "peer", "certificate_id", "thing", "client_id")}
    assert told == {
        "connection": "c2",
        "peer": LAMP.address,
        "certificate_id": "c" * 64,
        "thing": "lamp-1",
        "client_id": "lamp-1",
    }
    assert (event["action"], event["resource"], event["reason"]) == ("iot:Connect", "client/x", "connect-denied")
    asyncio.run(report.flush())
    with read(authority.db) as connection:
        (row,) = list_decisions(connection, denied=True)
        assert (row.outcome, row.reason) == ("explicit-deny", "connect-denied: denied by p")


def test_what_is_allowed_is_counted_and_not_listed(authority: TestAuthority, report: Report) -> None:
    report.allowed("iot:Publish", 3)
    report.allowed("iot:Publish", 4)
    asyncio.run(report.flush())
    report.allowed("iot:Publish", 1)
    asyncio.run(report.flush())
    with read(authority.db) as connection:
        assert list_decisions(connection) == []
        assert list_counts(connection) == {DecisionKey("iot:Publish", "allow", ""): 8}


def test_sessions_come_and_go(authority: TestAuthority, report: Report) -> None:
    other = Who("c3", "192.0.2.3:5000", "d" * 64, None, "x")
    report.opened(LAMP)
    asyncio.run(report.flush())
    report.opened(other)
    report.closed(LAMP, Reason.CLIENT_GONE, "", ours=False)
    asyncio.run(report.flush())
    with read(authority.db) as connection:
        (row,) = list_sessions(connection, authority.clock.now())
        assert (row.worker, row.connection, row.thing, row.client_id) == ("worker-1", "c3", None, "x")
    asyncio.run(report.close())
    with read(authority.db) as connection:
        assert count_sessions(connection, authority.clock.now()) == 0


def test_a_session_between_two_batches_leaves_no_trace(authority: TestAuthority, report: Report) -> None:
    asyncio.run(report.flush())
    report.opened(LAMP)
    report.closed(LAMP, Reason.CLIENT_DISCONNECT, "", ours=False)
    asyncio.run(report.flush())
    with read(authority.db) as connection:
        assert count_sessions(connection, authority.clock.now()) == 0


def test_the_lease_is_prolonged_while_nothing_happens_and_ends_with_its_worker(
    authority: TestAuthority, report: Report, clock: FakeClock
) -> None:
    report.opened(LAMP)
    for _ in range(5):
        asyncio.run(report.flush())
        clock.advance(LEASE * 0.9)
        with read(authority.db) as connection:
            assert count_sessions(connection, clock.now()) == 1
    clock.advance(LEASE)
    with read(authority.db) as connection:
        assert count_sessions(connection, clock.now()) == 0


def test_sessions_are_all_sent_again_when_others_dropped_them(
    authority: TestAuthority, report: Report, clock: FakeClock
) -> None:
    report.opened(LAMP)
    asyncio.run(report.flush())
    clock.advance(LEASE + timedelta(seconds=1))
    drop_expired_workers(authority.db, clock.now())
    report.opened(Who("c4", "192.0.2.4:1", "d" * 64, None, "y"))
    asyncio.run(report.flush())
    with read(authority.db) as connection:
        assert count_sessions(connection, clock.now()) == 2


def test_what_the_database_does_not_take_is_sent_again(authority: TestAuthority, report: Report) -> None:
    gone(authority)
    refusal = Refusal(Reason.CONNECT_DENIED, action="iot:Connect", resource="client/x")
    report.refused(LAMP, refusal)
    report.allowed("iot:Publish", 2)
    report.opened(LAMP)
    with capture_logs() as logs:
        asyncio.run(report.flush())
    assert {each["event"] for each in logs} == {"report.unsent"}
    report.allowed("iot:Publish", 3)
    back(authority)
    asyncio.run(report.flush())
    with read(authority.db) as connection:
        assert len(list_decisions(connection)) == 1
        assert list_counts(connection)[DecisionKey("iot:Publish", "allow", "")] == 5
        assert count_sessions(connection, authority.clock.now()) == 1


@pytest.mark.slow
def test_what_waits_is_bounded_and_the_loss_is_told(authority: TestAuthority, report: Report) -> None:
    for number in range(REPORT_ROWS_MAX + 10):
        report.denied("publish.denied", LAMP, "iot:Publish", f"topic/{number}", "implicit-deny", "policy", "")
    with capture_logs() as logs:
        asyncio.run(report.flush())
    assert [each["count"] for each in logs if each["event"] == "decisions.dropped"] == [10]
    with read(authority.db) as connection:
        newest = list_decisions(connection, limit=1)
        assert newest[0].resource == f"topic/{REPORT_ROWS_MAX + 9}"


def test_its_own_endings_are_told_and_the_devices_are_not_news(report: Report) -> None:
    levels = []
    for ours in (True, False):
        with capture_logs() as logs:
            report.closed(LAMP, Reason.CERTIFICATE_REVOKED, "", ours=ours)
        levels.append(logs[0]["log_level"])
    assert levels == ["info", "debug"]


def test_a_denial_waits_for_no_batch(authority: TestAuthority, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("troth.gateway.report.FLUSH_S", 3600.0)
    monkeypatch.setattr("troth.gateway.report.DENIAL_FLUSH_S", 0.0)

    async def deny_and_wait_for_a_batch() -> None:
        sent = asyncio.Event()
        flush = report.flush

        async def flush_and_tell() -> None:
            await flush()
            sent.set()

        monkeypatch.setattr(report, "flush", flush_and_tell)
        running = asyncio.create_task(report.run())
        report.handshake_failed(STRANGER, "mqtt", HandshakeFailure.SELF_SIGNED, "self signed at depth 0")
        try:
            async with asyncio.timeout(10):
                await sent.wait()
        finally:
            running.cancel()

    asyncio.run(deny_and_wait_for_a_batch())
    with read(authority.db) as connection:
        assert len(list_decisions(connection, denied=True)) == 1
