"""Which broker stands behind the gateway, and how little is taken for granted of one that is not ours."""

from pathlib import Path

import pytest

from troth.app.broker import external, find_nats_server
from troth.app.home import Home
from troth.app.settings import Broker
from troth.errors import Fault, Kind
from troth.gateway.mqtt.names import Flavour, NameProblem, Names

URL = "mqtt://broker.example:1883"


def nats_server(folder: Path, version: str) -> Path:
    path = folder / "nats-server"
    path.write_text(f"#!/bin/sh\necho nats-server: v{version}\n")
    path.chmod(0o755)
    return path


def test_an_external_broker_gets_no_name_that_nats_would_read_otherwise(tmp_path: Path) -> None:
    unknown = Names(Flavour(external(Home(tmp_path), Broker(url=URL)).flavour), 1024)
    assert unknown.topic_problem("home/>") is NameProblem.NOT_CARRIED
    assert unknown.topic_problem("home/*") is NameProblem.NOT_CARRIED
    known = Names(Flavour(external(Home(tmp_path), Broker(url=URL, flavour="mqtt")).flavour), 1024)
    assert known.topic_problem("home/>") is None


def test_the_password_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    broker = external(Home(tmp_path), Broker(url=URL, username="gateway", password_file="password"))
    assert (broker.username, broker.password) == ("gateway", "s3cret")
    with pytest.raises(Fault, match=r"broker\.password_file"):
        external(Home(tmp_path), Broker(url=URL, username="gateway", password_file="missing"))


def test_a_configured_server_that_is_too_old_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        find_nats_server(str(nats_server(tmp_path, "2.14.2")))
    assert caught.value.kind is Kind.MISCONFIGURED
    assert find_nats_server(str(nats_server(tmp_path, "2.14.3"))) == tmp_path / "nats-server"


def test_one_on_the_path_is_taken_if_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = nats_server(tmp_path, "2.15.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_nats_server("") == found
    nats_server(tmp_path, "2.10.0")
    assert find_nats_server("") != found
