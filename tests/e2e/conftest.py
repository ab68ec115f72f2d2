"""Whole platforms, each running once per session and worker: on the embedded broker and on Mosquitto."""

from collections.abc import Iterator

import pytest
from tests.fixtures.brokers import mosquitto_broker
from tests.fixtures.story import Story

from troth.gateway.mqtt.upstream import Broker

__all__ = ["mosquitto_broker"]


@pytest.fixture(scope="session")
def embedded_story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A platform as `troth up` starts it by default, but with two workers whatever the machine."""
    with Story(tmp_path_factory.mktemp("embedded") / "home", PROCESSES__GATEWAY="2") as story:
        yield story


@pytest.fixture(scope="session")
def mosquitto_story(tmp_path_factory: pytest.TempPathFactory, mosquitto_broker: Broker) -> Iterator[Story]:
    """A platform in front of somebody else's broker, at a Unix socket; one worker, no web."""
    settings = {"BROKER__URL": mosquitto_broker.url, "PROCESSES__GATEWAY": "1", "PROCESSES__WEB": "0"}
    with Story(tmp_path_factory.mktemp("mosquitto") / "home", **settings) as story:
        yield story


@pytest.fixture
def embedded(embedded_story: Story) -> Iterator[Story]:
    """A platform on the embedded broker."""
    yield embedded_story
    embedded_story.dismiss()


@pytest.fixture
def on_mosquitto(mosquitto_story: Story) -> Iterator[Story]:
    """A platform on Mosquitto."""
    yield mosquitto_story
    mosquitto_story.dismiss()


@pytest.fixture(params=["embedded", pytest.param("on_mosquitto", marks=pytest.mark.needs("mosquitto"))])
def story(request: pytest.FixtureRequest) -> Story:
    """A platform on each kind of broker in turn."""
    found: Story = request.getfixturevalue(request.param)
    return found
