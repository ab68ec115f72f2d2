"""Names of things, types, attributes and policies, and the ARNs made of them. AWS IoT's own character sets and bounds.

Source: the AWS IoT service model (botocore ``iot`` 2015-05-28) and "Resources" in the developer guide.
"""

import re
from dataclasses import dataclass
from typing import Final

from troth.errors import Fault, Kind
from troth.limits import ATTRIBUTE_NAME_CHARS_MAX, ATTRIBUTE_VALUE_CHARS_MAX, NAME_CHARS_MAX

_THING: Final = re.compile(r"[a-zA-Z0-9:_-]+", re.ASCII)
_POLICY: Final = re.compile(r"[\w+=,.@-]+", re.ASCII)
_ATTRIBUTE_NAME: Final = re.compile(r"[a-zA-Z0-9_.,@/:#-]+", re.ASCII)
_ATTRIBUTE_VALUE: Final = re.compile(r"[a-zA-Z0-9_.,@/:#=\[\]-]*", re.ASCII)


def parse_thing_name(text: str) -> str:
    """Return `text` if it can name a thing: ``[a-zA-Z0-9:_-]{1,128}``. Raises `Fault` (malformed)."""
    return _name(text, _THING, "thing name", "letters, digits, ':', '_' and '-'")


def parse_type_name(text: str) -> str:
    """Return `text` if it can name a thing type; the same characters as a thing name. Raises `Fault` (malformed)."""
    return _name(text, _THING, "thing type name", "letters, digits, ':', '_' and '-'")


def parse_group_name(text: str) -> str:
    """Return `text` if it can name a thing group; the same characters as a thing name. Raises `Fault` (malformed)."""
    return _name(text, _THING, "thing group name", "letters, digits, ':', '_' and '-'")


def parse_policy_name(text: str) -> str:
    r"""Return `text` if it can name a policy: ``[\w+=,.@-]{1,128}``. Raises `Fault` (malformed)."""
    return _name(text, _POLICY, "policy name", "letters, digits and '_+=,.@-'")


def parse_attribute(name: str, value: str) -> tuple[str, str]:
    """Return the pair if it can be a thing's attribute. Raises `Fault` (malformed)."""
    if not _ATTRIBUTE_NAME.fullmatch(name) or len(name) > ATTRIBUTE_NAME_CHARS_MAX:
        raise Fault(
            Kind.MALFORMED,
            f"{name[:40]!r} cannot name an attribute",
            hint=f"use 1 to {ATTRIBUTE_NAME_CHARS_MAX} letters, digits and '_.,@/:#-'",
        )
    if not _ATTRIBUTE_VALUE.fullmatch(value) or len(value) > ATTRIBUTE_VALUE_CHARS_MAX:
        raise Fault(
            Kind.MALFORMED,
            f"{value[:40]!r} cannot be the value of attribute {name!r}",
            hint=f"use up to {ATTRIBUTE_VALUE_CHARS_MAX} letters, digits and '_.,@/:#=[]-'",
        )
    return name, value


def _name(text: str, pattern: re.Pattern[str], what: str, alphabet: str) -> str:
    if len(text) > NAME_CHARS_MAX or not pattern.fullmatch(text):
        raise Fault(Kind.MALFORMED, f"{text[:40]!r} is not a {what}", hint=f"use 1 to {NAME_CHARS_MAX} {alphabet}")
    return text


@dataclass(frozen=True, slots=True)
class Realm:
    """The first five parts of every ARN of this home: what stands under ``[aws]`` in the settings."""

    partition: str = "aws"
    region: str = "local"
    account: str = "000000000000"

    def arn(self, resource_type: str, name: str) -> str:
        """Return ``arn:PARTITION:iot:REGION:ACCOUNT:TYPE/NAME``."""
        return f"arn:{self.partition}:iot:{self.region}:{self.account}:{resource_type}/{name}"
