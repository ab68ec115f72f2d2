"""Whole platforms, each running once per session and worker: on the embedded broker and on Mosquitto."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.brokers import mosquitto_broker
from tests.fixtures.platform import Platform
from tests.fixtures.story import Story

from troth.gateway.mqtt.upstream import Broker

__all__ = ["mosquitto_broker"]


@pytest.fixture(scope="session")
def embedded_story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A platform as `troth up` starts it by default, but with two workers whatever the machine.

    And with a CA for servers that is held to no names; the one on Mosquitto is.
    """
    home = tmp_path_factory.mktemp("embedded") / "home"
    with Story(home, is_constrained=False, PROCESSES__GATEWAY="2") as story:
        yield story


@pytest.fixture(scope="session")
def mosquitto_story(tmp_path_factory: pytest.TempPathFactory, mosquitto_broker: Broker) -> Iterator[Story]:
    """A platform in front of somebody else's broker, at a Unix socket; one worker, no web."""
    settings = {
        "BROKER__URL": mosquitto_broker.url,
        "BROKER__FLAVOUR": "mqtt",
        "PROCESSES__GATEWAY": "1",
        "PROCESSES__WEB": "0",
    }
    with Story(tmp_path_factory.mktemp("mosquitto") / "home", is_constrained=True, **settings) as story:
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


@pytest.fixture(scope="session")
def born(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that nothing runs in, to be copied."""
    platform = Platform(tmp_path_factory.mktemp("born") / "home").init()
    return platform.home


@pytest.fixture
def home(born: Path, tmp_path: Path) -> Path:
    """A home of one's own."""
    return Path(shutil.copytree(born, tmp_path / "home"))


@pytest.fixture(scope="session")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose keys are encrypted, and the file with the passphrase beside it."""
    folder = tmp_path_factory.mktemp("encrypted")
    (folder / "passphrase").write_text("correct horse battery\n")
    Platform(folder / "home").init("--passphrase-file", str(folder / "passphrase"))
    return folder / "home"
