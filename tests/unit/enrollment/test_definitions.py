"""What an enrollment's document may say, and that a complaint names its place."""

import pytest

from troth.enrollment.definitions import BUILT_IN, Definition, ThingRule, Way, parse_definition
from troth.errors import Fault, Kind
from troth.limits import ENROLLMENT_CHARS_MAX

HEAD = 'name = "cameras"\nprofile = "device"\n'
WHOLE = f"""{HEAD}proofs = ["idevid", "approval"]
enabled = true
[thing]
name = "cam-{{serial}}"
create = true
type = "camera"
attributes = {{ origin = "acme" }}
policies = ["telemetry"]
allowed = ["cam-1", "cam-2*"]
[idevid]
issuers = ["acme"]
serials = ["A1"]
[approval]
lifetime = "2d"
retry = "10s"
[limits]
per_thing = 3
per_address = 10
total = 100
"""


def test_the_built_in_one_takes_tokens() -> None:
    assert parse_definition(BUILT_IN) == Definition("default", "device", (Way.TOKEN,))


def test_all_that_can_be_said() -> None:
    found = parse_definition(WHOLE)
    assert found.proofs == (Way.IDEVID, Way.APPROVAL)
    assert found.foreign[Way.IDEVID].serials == frozenset({"A1"})
    assert (found.approval.lifetime.days, found.approval.retry.seconds) == (2, 10)
    assert (found.limits.per_thing, found.limits.per_address, found.limits.total) == (3, 10, 100)
    assert found.thing.policies == ("telemetry",)


def test_an_allow_list_has_names_and_beginnings() -> None:
    rule = ThingRule(allowed=("cam-1", "lamp-*"))
    assert [name for name in ("cam-1", "cam-11", "lamp-", "lamp-9", "Lamp-9") if rule.admits(name)] == [
        "cam-1",
        "lamp-",
        "lamp-9",
    ]


THING = '[thing]\nname = "{request}"\n'


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"{HEAD}proofs = []\n", "proofs"),
        (f'{HEAD}proofs = ["magic"]\n', "proofs"),
        (f'{HEAD}proofs = ["token", "token"]\n', "proofs"),
        (f'{HEAD}proofs = ["idevid", "claim"]\n{THING}', "proofs"),
        (f'{HEAD}proofs = ["idevid"]\n', "thing.name"),
        (f'{HEAD}proofs = ["approval"]\n[thing]\nname = "cam-{{serial}}"\n', "thing.name"),
        (f'{HEAD}proofs = ["idevid"]\n[thing]\nname = "cam"\n', "thing.name"),
        (f'{HEAD}proofs = ["idevid"]\n[thing]\nname = "cam-{{colour}}"\n', "thing.name"),
        (f'{HEAD}proofs = ["idevid"]\n[thing]\nname = "cam-{{serial.__class__}}"\n', "thing.name"),
        (f'{HEAD}proofs = ["idevid"]\n[thing]\nname = "cam-{{serial!r}}"\n', "thing.name"),
        (f'{HEAD}proofs = ["idevid"]\n[thing]\nname = "cam-{{serial:>99999999}}"\n', "thing.name"),
        (f'{HEAD}proofs = ["idevid"]\n[thing]\nname = "cam-{{"\n', "thing.name"),
        (f'{HEAD}proofs = ["approval"]\n{THING}type = "camera"\n', "thing"),
        (f'{HEAD}proofs = ["approval"]\n{THING}colour = "red"\n', "thing.colour"),
        (f'{HEAD}proofs = ["token"]\n[claim]\nprofile = "claim"\n', "claim"),
        (f'{HEAD}proofs = ["token"]\n[limits]\nper_thing = 0\n', "limits.per_thing"),
        (f'{HEAD.replace("cameras", "Cameras")}proofs = ["token"]\n', "name"),
        (f'{HEAD.replace("cameras", "cacerts")}proofs = ["token"]\n', "name"),
        (f'{HEAD.replace("cameras", "a/b")}proofs = ["token"]\n', "name"),
        (f'{HEAD}proofs = ["token"]\nextra = 1\n', "extra"),
        (f'{HEAD}proofs = ["token"]\nkey_protection = "glue"\n', "key_protection"),
        (f'{HEAD}proofs = ["token"]\nkey_protection = "tpm"\nserver_keys = "any"\n', "key_protection"),
        (f'{HEAD}proofs = "token"\n', "proofs"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_definition(text)
    assert caught.value.kind is Kind.MALFORMED
    assert caught.value.message.startswith(f"enrollment: {place}: ")


def test_a_document_has_its_bound() -> None:
    with pytest.raises(Fault) as caught:
        parse_definition(f'{HEAD}proofs = ["token"]\n' + "#" * ENROLLMENT_CHARS_MAX)
    assert caught.value.kind is Kind.TOO_LARGE
