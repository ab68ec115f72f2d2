"""The engines: each is made of rules, and then says of a topic whether publishing is allowed.

cedarpy and casbin come with the extra ``bench``; without them there is no figure for them, and that is said.
"""

import importlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from bench.policy.rules import DEVICE, Rule, make_context, policies_of
from troth.policy.engine import make_grant

Ask = Callable[[str], bool]

_CASBIN_MODEL: Final = """
[request_definition]
r = sub, act, obj

[policy_definition]
p = sub, act, obj, eft

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = r.sub == p.sub && r.act == p.act && keyMatch(r.obj, p.obj)
"""


@dataclass(frozen=True, slots=True)
class Engine:
    """One way to decide."""

    make: Callable[[Sequence[Rule]], Ask]
    package: str | None
    """What it needs beyond the standard library."""
    what: str

    @property
    def version(self) -> str | None:
        """The version of its package, or nothing to tell; None where the package is missing."""
        if self.package is None:
            return ""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return None


def make_troth(rules: Sequence[Rule]) -> Ask:
    """A grant, as a connection holds it."""
    return make_grant(policies_of(rules), make_context()).may_publish


def make_fnmatch(rules: Sequence[Rule]) -> Ask:
    """The plainest loop: what denies first; its patterns are compiled once by the module's own cache."""
    patterns = [(f"{rule.topic}/*" if rule.below else rule.topic, rule.allows) for rule in rules]
    denied = [pattern for pattern, allows in patterns if not allows]
    allowed = [pattern for pattern, allows in patterns if allows]

    def ask(topic: str) -> bool:
        for pattern in denied:
            if fnmatchcase(topic, pattern):
                return False
        return any(fnmatchcase(topic, pattern) for pattern in allowed)

    return ask


def make_cedar(rules: Sequence[Rule]) -> Ask:
    """Cedar, with policies and entities parsed beforehand."""
    cedarpy = importlib.import_module("cedarpy")
    policies = cedarpy.PolicySet.from_str(_cedar_text(rules))
    entities = cedarpy.Entities.from_json_str("[]")
    return _cedar_asker(cedarpy.is_authorized, policies, entities)


def make_cedar_text(rules: Sequence[Rule]) -> Ask:
    """Cedar, with policies as text: they are parsed for every request."""
    return _cedar_asker(importlib.import_module("cedarpy").is_authorized, _cedar_text(rules), [])


def _cedar_asker(is_authorized: Callable[..., Any], policies: object, entities: object) -> Ask:
    principal, action = {"type": "Device", "id": DEVICE}, {"type": "Action", "id": "publish"}

    def ask(topic: str) -> bool:
        request = {
            "principal": principal,
            "action": action,
            "resource": {"type": "Topic", "id": topic},
            "context": {"topic": topic},
        }
        return bool(is_authorized(request, policies, entities).allowed)

    return ask


def _cedar_text(rules: Sequence[Rule]) -> str:
    lines = []
    for rule in rules:
        effect = "permit" if rule.allows else "forbid"
        who = f'{effect} (principal == Device::"{DEVICE}", action == Action::"publish"'
        if rule.below:
            lines.append(f'{who}, resource) when {{ context.topic like "{rule.topic}/*" }};')
        else:
            lines.append(f'{who}, resource == Topic::"{rule.topic}");')
    return "\n".join(lines)


def make_casbin(rules: Sequence[Rule]) -> Ask:
    """Casbin's enforcer with its own matcher for prefixes."""
    casbin = importlib.import_module("casbin")
    lines = [
        f"p, {DEVICE}, publish, {rule.topic}{'/*' if rule.below else ''}, {'allow' if rule.allows else 'deny'}"
        for rule in rules
    ]
    with tempfile.TemporaryDirectory(prefix="troth-bench-") as folder:
        model, policy = Path(folder) / "model.conf", Path(folder) / "policy.csv"
        model.write_text(_CASBIN_MODEL)
        policy.write_text("\n".join(lines) + "\n")
        enforce = casbin.Enforcer(str(model), str(policy)).enforce
    return lambda topic: bool(enforce(DEVICE, "publish", topic))


OURS: Final = "troth"
ENGINES: Final[Mapping[str, Engine]] = {
    OURS: Engine(make_troth, None, "a grant, topics that it has not seen"),
    "fnmatch": Engine(make_fnmatch, None, "a loop over fnmatch.fnmatchcase"),
    "cedarpy": Engine(make_cedar, "cedarpy", "policies and entities parsed once"),
    "cedarpy text": Engine(make_cedar_text, "cedarpy", "policies as text, as is_authorized takes them"),
    "casbin": Engine(make_casbin, "casbin", "Enforcer, keyMatch"),
}
