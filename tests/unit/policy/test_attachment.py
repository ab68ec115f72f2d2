import pytest
from tests.unit.policy.samples import CERTIFICATE_ID, document

from troth.policy.attachment import NamedPolicy, TargetKind, effective
from troth.policy.context import Thing

EMPTY = document()
ATTACHED = (
    NamedPolicy("certificate", EMPTY, TargetKind.CERTIFICATE, CERTIFICATE_ID),
    NamedPolicy("other-certificate", EMPTY, TargetKind.CERTIFICATE, "00" * 32),
    NamedPolicy("lamp", EMPTY, TargetKind.THING, "lamp-9"),
    NamedPolicy("fan", EMPTY, TargetKind.THING, "fan-2"),
    NamedPolicy("lamps", EMPTY, TargetKind.GROUP, "lamps"),
    NamedPolicy("house", EMPTY, TargetKind.GROUP, "house"),
    NamedPolicy("fans", EMPTY, TargetKind.GROUP, "fans"),
)
LAMP = Thing("lamp-9", groups=frozenset({"lamps", "house"}))
EXCLUSIVE = Thing("lamp-9", exclusive=True, groups=frozenset({"lamps", "house"}))


@pytest.mark.parametrize(
    ("thing", "client_id", "expected"),
    [
        (LAMP, "lamp-9", ["certificate", "lamp", "lamps", "house"]),
        (EXCLUSIVE, "lamp-9", ["certificate", "lamp", "lamps", "house"]),
        (EXCLUSIVE, "session-1", ["certificate", "lamp"]),
        (EXCLUSIVE, None, ["certificate", "lamp"]),
        (None, "lamp-9", ["certificate"]),
    ],
)
def test_the_policies_that_count(thing: Thing | None, client_id: str | None, expected: list[str]) -> None:
    assert [policy.name for policy in effective(ATTACHED, CERTIFICATE_ID, thing, client_id)] == expected
