"""One site, and one gateway for each kind of broker; each test makes things, certificates and policies of its own."""

import threading
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from tests.fixtures.brokers import mosquitto_broker, nats_broker
from tests.fixtures.gateways import RunningGateway
from tests.fixtures.house import House, Log

from troth.gateway.mqtt.upstream import Broker
from troth.testing.authority import TestAuthority

__all__ = ["mosquitto_broker", "nats_broker"]


@pytest.fixture
def log() -> Iterator[Log]:
    """What is logged during the test."""
    kept, lock = Log(), threading.Lock()

    def keep(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        with lock:
            kept.append(event)
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    yield kept
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAuthority]:
    """A site with its hierarchy, on SQLite."""
    with TestAuthority(tmp_path_factory.mktemp("site")) as authority:
        yield authority


@pytest.fixture(scope="session", params=["nats", pytest.param("mosquitto", marks=pytest.mark.needs("mosquitto"))])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each kind of broker in turn."""
    found: Broker = request.getfixturevalue(f"{request.param}_broker")
    return found


@pytest.fixture(scope="session")
def gateway(site: TestAuthority, broker: Broker) -> Iterator[RunningGateway]:
    """A gateway as `troth up` starts it by default."""
    running = RunningGateway(site, broker)
    yield running
    running.close()


@pytest.fixture
def house(gateway: RunningGateway, broker: Broker) -> Iterator[House]:
    """A maker of things for one test."""
    made = House(gateway, broker)
    yield made
    made.close()
