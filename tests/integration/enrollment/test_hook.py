"""The pre-provisioning hook, an HTTPS server or an entry point: a clear yes in time is a yes, and nothing else is."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.est_door import Asked, ESTDoor, Reply, est_door
from tests.fixtures.provisioning import CLAIM, csr, provisioning_at
from tests.fixtures.templates import new_template

from troth.enrollment.hook import GROUP, Answered, Hooks
from troth.enrollment.templates import HookOptions
from troth.errors import Fault, Kind
from troth.limits import HOOK_ANSWER_BYTES_MAX
from troth.protocols.provisioning import Registered, Registration
from troth.testing.authority import TestAuthority

QUESTION: dict[str, object] = {"clientId": "factory-1", "parameters": {"Serial": "1"}}
YES = b'{"allowProvisioning": true}'


@pytest.fixture
def door(authority: TestAuthority) -> Iterator[ESTDoor]:
    """A server that says yes until the test has it say otherwise."""
    held = authority.server()
    with est_door(held.chain_file, held.key_file, lambda asked: Reply(body=YES)) as running:
        yield running


@pytest.fixture
def hook(authority: TestAuthority, door: ESTDoor) -> HookOptions:
    """The hook that asks the server."""
    return HookOptions(url=f"https://localhost:{door.port}/ask?x=1", ca_pem=authority.root_file.read_text())


def ask(hook: HookOptions, wait_s: float = 5.0) -> Answered:
    """Ask the question."""
    hooks = Hooks(wait_s)
    try:
        return asyncio.run(hooks.ask(hook, QUESTION))
    finally:
        hooks.close()


def refused(hook: HookOptions, wait_s: float = 5.0) -> str:
    """Return the detail of the no."""
    with pytest.raises(Fault) as fault:
        ask(hook, wait_s)
    assert fault.value.kind is Kind.FORBIDDEN
    assert fault.value.message == "the pre-provisioning hook does not allow this"
    assert fault.value.detail is not None
    return fault.value.detail


def test_a_server_says_yes(hook: HookOptions, door: ESTDoor) -> None:
    assert ask(hook) == Answered({})
    (asked,) = door.asked
    assert (asked.method, asked.path) == ("POST", "/ask?x=1")
    assert asked.headers["content-type"] == "application/json"
    assert json.loads(asked.body) == QUESTION


def test_a_server_overrides_parameters(hook: HookOptions, door: ESTDoor) -> None:
    said = {"allowProvisioning": True, "parameterOverrides": {"Serial": "2"}}
    door.replies = lambda asked: Reply(body=json.dumps(said).encode())
    assert ask(hook) == Answered({"Serial": "2"})


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (Reply(body=b'{"allowProvisioning": false}'), "said no"),
        (Reply(body=b'{"allowProvisioning": "true"}'), "said no"),
        (Reply(body=b'{"allowProvisioning": 1}'), "said no"),
        (Reply(body=b"{}"), "said no"),
        (Reply(body=b"[]"), "no object"),
        (Reply(body=b"yes"), "no JSON"),
        (Reply(body=b""), "no JSON"),
        (Reply(body=b"[" * 60_000), "no JSON"),
        (Reply(body=b'{"allowProvisioning": true, "parameterOverrides": {"a": 1}}'), "no text"),
        (Reply(body=b'{"allowProvisioning": true, "parameterOverrides": []}'), "no map"),
        (Reply(status=500, body=YES), "500"),
        (Reply(status=302, body=YES, headers={"Location": "https://elsewhere.example"}), "302"),
        (Reply(body=b" " * HOOK_ANSWER_BYTES_MAX + YES), "more than"),
        (Reply(raw=b"HTTP/1.0 200"), "answered"),
        (Reply(raw=b"nonsense\r\n\r\n" + YES), "answered"),
        (Reply(raw=b"\x00" * 100), "answered"),
    ],
)
def test_whatever_is_no_clear_yes_is_a_no(hook: HookOptions, door: ESTDoor, reply: Reply, detail: str) -> None:
    door.replies = lambda asked: reply
    assert detail in refused(hook)


def test_a_server_that_is_late_is_not_waited_for(hook: HookOptions, door: ESTDoor) -> None:
    late = threading.Event()

    def wait(_: Asked) -> Reply:
        late.wait(20)
        return Reply(body=YES)

    door.replies = wait
    assert "no answer within" in refused(hook, wait_s=0.3)
    late.set()
    door.replies = lambda asked: Reply(body=YES)
    assert ask(hook) == Answered({})


def test_a_server_of_another_ca_or_name_is_not_believed(
    hook: HookOptions, door: ESTDoor, tmp_path: Path, authority: TestAuthority
) -> None:
    (tmp_path / "other").mkdir()
    with TestAuthority(tmp_path / "other") as other:
        assert "CERTIFICATE_VERIFY_FAILED" in refused(replace(hook, ca_pem=other.root_file.read_text()))
    named = authority.server("127.0.0.1")
    with est_door(named.chain_file, named.key_file, lambda asked: Reply(body=YES)) as elsewhere:
        assert "CERTIFICATE_VERIFY_FAILED" in refused(replace(hook, url=f"https://localhost:{elsewhere.port}/"))
        assert elsewhere.asked == []
    assert door.asked == []


def test_nobody_there_is_a_no(hook: HookOptions) -> None:
    assert refused(replace(hook, url="https://localhost:1/"))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], HookOptions]:
    """Installs a package with one hook, whose source is given."""

    def install(source: str) -> HookOptions:
        (tmp_path / "our_hooks.py").write_text(source)
        information = tmp_path / "our_hooks-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: our-hooks\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[{GROUP}]\nours = our_hooks:decide\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(__import__("sys").modules, "our_hooks", raising=False)
        return HookOptions(entry_point="ours")

    return install


def test_an_entry_point_decides(installed: Callable[[str], HookOptions]) -> None:
    hook = installed(
        "def decide(asked):\n"
        "    return {'allowProvisioning': asked['clientId'] == 'factory-1', 'parameterOverrides': {'Serial': '7'}}\n"
    )
    assert ask(hook) == Answered({"Serial": "7"})


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("def decide(asked):\n    raise RuntimeError('broken')\n", "RuntimeError: broken"),
        ("def decide(asked):\n    raise SystemExit\n", "SystemExit"),
        ("def decide(asked):\n    return True\n", "no object"),
        ("def decide(asked):\n    return {'allowProvisioning': 'yes'}\n", "said no"),
        ("def other(asked):\n    return {'allowProvisioning': True}\n", "AttributeError"),
        ("raise ImportError('no')\n", "ImportError"),
    ],
)
def test_an_entry_point_that_fails_is_a_no(installed: Callable[[str], HookOptions], source: str, detail: str) -> None:
    assert detail in refused(installed(source))


def test_an_entry_point_that_is_not_installed_is_a_no() -> None:
    assert "no installed package" in refused(HookOptions(entry_point="nobody"))


def test_an_entry_point_that_hangs_is_a_no(installed: Callable[[str], HookOptions]) -> None:
    hook = installed("import threading\nheld = threading.Event()\ndef decide(asked):\n    held.wait(20)\n")
    try:
        assert "no answer within" in refused(hook, wait_s=0.3)
    finally:
        __import__("our_hooks").held.set()


def test_a_device_is_provisioned_as_the_hook_decides(
    authority: TestAuthority, hook: HookOptions, door: ESTDoor, tmp_path: Path
) -> None:
    new_template(authority, hook=hook)
    answers: dict[str, Mapping[str, Any]] = {
        "bad": {"allowProvisioning": False},
        "sly": {"allowProvisioning": True, "parameterOverrides": {"Nobody": "x"}},
        "good": {"allowProvisioning": True, "parameterOverrides": {"Serial": "42"}},
    }
    door.replies = lambda asked: Reply(
        body=json.dumps(answers[json.loads(asked.body)["parameters"]["Serial"]]).encode()
    )

    async def play() -> tuple[list[Kind], Registered]:
        async with provisioning_at(authority, tmp_path) as provisioning:
            created = await provisioning.create_from_csr(CLAIM, csr())
            kinds = []
            for serial in ("bad", "sly"):
                with pytest.raises(Fault) as fault:
                    await provisioning.register(CLAIM, "lamps", Registration(created.token, {"Serial": serial}))
                kinds.append(fault.value.kind)
            asked = Registration(created.token, {"Serial": "good"})
            return kinds, await provisioning.register(CLAIM, "lamps", asked)

    kinds, registered = asyncio.run(play())
    assert kinds == [Kind.FORBIDDEN, Kind.REJECTED]
    assert registered.thing == "lamp-42"
    told = json.loads(door.asked[-1].body)
    assert set(told) == {
        "claimCertificateId",
        "certificateId",
        "certificatePem",
        "templateArn",
        "clientId",
        "parameters",
    }
    assert told["templateArn"] == "arn:aws:iot:local:000000000000:provisioningtemplate/lamps"
    assert (told["clientId"], told["claimCertificateId"]) == (CLAIM.client_id, CLAIM.certificate_id)


def test_a_token_that_is_no_good_is_not_worth_a_question(
    authority: TestAuthority, hook: HookOptions, door: ESTDoor, tmp_path: Path
) -> None:
    new_template(authority, hook=hook)

    async def play() -> None:
        async with provisioning_at(authority, tmp_path, signs=False) as provisioning:
            with pytest.raises(Fault):
                await provisioning.register(CLAIM, "lamps", Registration("x", {"Serial": "good"}))

    asyncio.run(play())
    assert door.asked == []
