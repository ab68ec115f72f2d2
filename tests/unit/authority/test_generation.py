import pytest

from troth.authority.generation import Generation
from troth.errors import Fault, Kind
from troth.x509.profiles import Purpose


def test_every_generation_has_names_of_its_own() -> None:
    all_of_them = [Generation("home.example", purpose, number) for purpose in Purpose for number in (1, 2)]
    for names in ("name", "key_name", "subject"):
        assert len({getattr(generation, names) for generation in all_of_them}) == len(all_of_them)


def test_the_roots_key_stands_apart() -> None:
    assert Generation("home.example", Purpose.ROOT, 1).key_name == "root/root.key"
    assert Generation("home.example", Purpose.DEVICES, 1).key_name == "keys/devices-1.key"


def test_a_proof_says_it_all() -> None:
    generation = Generation("home.example", Purpose.SERVERS, 3, ("mqtt.example", "192.0.2.1"))
    assert Generation.from_proof(generation.to_proof()) == generation


@pytest.mark.parametrize(
    "change",
    [
        {"site": 1},
        {"purpose": "pirates"},
        {"number": 0},
        {"number": "1"},
        {"names": "mqtt.example"},
        {"names": [1]},
    ],
)
def test_anything_else_is_no_proof(change: dict[str, object]) -> None:
    proof = {**Generation("home.example", Purpose.SERVERS, 1).to_proof(), **change}
    with pytest.raises(Fault) as caught:
        Generation.from_proof(proof)
    assert caught.value.kind is Kind.REJECTED


def test_nothing_at_all_is_no_proof() -> None:
    with pytest.raises(Fault):
        Generation.from_proof({})
