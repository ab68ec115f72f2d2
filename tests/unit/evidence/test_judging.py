from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.evidence.readings import KEY, NOON, READING, SIGNED, row, signer

from troth.evidence.judging import ALWAYS, Judge, Judgement, Signer, Standing
from troth.evidence.outcome import MEANING, Outcome
from troth.evidence.reading import Reading, sign_reading
from troth.keys.file import generate
from troth.x509.algorithms import KeyAlgorithm

HOUR = timedelta(hours=1)
OTHER = generate(KeyAlgorithm.P256)


def judge(*signers: Signer, thing: str | None = None) -> Judge:
    return Judge({each.certificate_id: each for each in signers or (signer(),)}, {}, thing)


def judged(data: bytes, *signers: Signer, topic: str = READING.topic, **more: Any) -> Judgement:
    return judge(*signers).judge(data, topic, NOON, **more)


def signed(**changes: Any) -> bytes:
    return sign_reading(replace(READING, **changes), KEY)


def test_a_reading_of_a_key_in_force_is_verified() -> None:
    judgement = judged(SIGNED)
    assert judgement.outcome is Outcome.VERIFIED
    assert judgement.outcome.is_proven
    assert judgement.reading == READING


@pytest.mark.parametrize(
    ("outcome", "data"),
    [
        (Outcome.UNSIGNED, READING.payload),
        (Outcome.UNSIGNED, b""),
        (Outcome.MALFORMED, SIGNED + b"\x00"),
        (Outcome.ALTERED, SIGNED.replace(b"412", b"999")),
        (Outcome.ALTERED, SIGNED.replace(b"home/meter-7", b"home/meter-8")),
        (Outcome.ALTERED, sign_reading(READING, OTHER)),
        (Outcome.WRONG_KEY, signed(key_id=bytes(32))),
        (Outcome.MOVED_TOPIC, signed(topic="home/meter-7/other")),
        (Outcome.MOVED_THING, signed(thing="meter-8")),
        (Outcome.MOVED_THING, signed(thing=None)),
        (Outcome.OUTSIDE_VALIDITY, signed(at=NOON - timedelta(days=2))),
        (Outcome.AHEAD_OF_TIME, signed(at=NOON + HOUR)),
    ],
)
def test_what_is_wrong_is_named(outcome: Outcome, data: bytes) -> None:
    judgement = judged(data)
    assert judgement.outcome is outcome
    assert not judgement.outcome.is_proven


def test_a_reading_that_came_after_its_certificate_expired_counts_by_when_it_was_made() -> None:
    assert judge().judge(SIGNED, READING.topic, NOON + timedelta(days=90)).outcome is Outcome.VERIFIED


def test_another_things_reading_is_moved() -> None:
    other = sign_reading(replace(READING, key_id=bytes(32), thing="meter-8"), OTHER)
    assert judge(thing="meter-7").judge(other, READING.topic, NOON).outcome is Outcome.MOVED_THING
    stranger = sign_reading(replace(READING, key_id=bytes(32)), OTHER)
    assert judge(thing="meter-7").judge(stranger, READING.topic, NOON).outcome is Outcome.WRONG_KEY


@pytest.mark.parametrize(
    ("history", "outcome"),
    [
        (((ALWAYS, Standing.REVOKED),), Outcome.REVOKED_KEY),
        (((ALWAYS, Standing.INACTIVE),), Outcome.INACTIVE_KEY),
        (((NOON + HOUR, Standing.IN_FORCE),), Outcome.INACTIVE_KEY),
        (((ALWAYS, Standing.IN_FORCE), (NOON - HOUR, Standing.REVOKED)), Outcome.REVOKED_KEY),
        (((ALWAYS, Standing.IN_FORCE), (NOON + HOUR, Standing.REVOKED)), Outcome.VERIFIED),
        (((ALWAYS, Standing.IN_FORCE), (NOON - HOUR, Standing.SUPERSEDED)), Outcome.INACTIVE_KEY),
        # A device's clock that is a little ahead costs no reading.
        (((ALWAYS, Standing.IN_FORCE), (NOON - HOUR / 20, Standing.SUPERSEDED)), Outcome.VERIFIED),
        (((ALWAYS, Standing.IN_FORCE), (NOON - HOUR / 20, Standing.INACTIVE)), Outcome.INACTIVE_KEY),
    ],
)
def test_a_key_counts_as_it_stood(history: tuple[tuple[Any, Standing], ...], outcome: Outcome) -> None:
    assert judged(SIGNED, signer(READING, KEY, *history)).outcome is outcome


def test_what_was_made_before_its_key_was_replaced_counts_and_before_it_was_revoked_does_not() -> None:
    for standing, outcome in (
        (Standing.SUPERSEDED, Outcome.VERIFIED),
        (Standing.REVOKED, Outcome.REVOKED_KEY),
        (Standing.INACTIVE, Outcome.INACTIVE_KEY),
    ):
        ended = signer(READING, KEY, (ALWAYS, Standing.IN_FORCE), (NOON + HOUR, standing))
        assert judge(ended).judge(SIGNED, READING.topic, NOON + 2 * HOUR).outcome is outcome


def test_each_certificate_has_its_own_row() -> None:
    other = Reading(bytes(32), READING.thing, READING.topic, NOON, 1, b"x")
    judging = judge(signer(), signer(other, OTHER))
    first, second = row(READING, begin=4), sign_reading(other, OTHER)
    assert judging.judge(next(first), READING.topic, NOON).outcome is Outcome.VERIFIED
    assert judging.judge(second, READING.topic, NOON).outcome is Outcome.VERIFIED
    next(first)
    missing = judging.judge(next(first), READING.topic, NOON)
    assert (missing.outcome, missing.missing) == (Outcome.MISSING, 1)
    assert judging.judge(second, READING.topic, NOON).outcome is Outcome.REPLAYED


def test_what_is_refused_uses_no_number_up() -> None:
    judging = judge()
    assert judging.judge(SIGNED, "another/topic", NOON).outcome is Outcome.MOVED_TOPIC
    assert judging.judge(SIGNED, READING.topic, NOON).outcome is Outcome.VERIFIED


def test_every_outcome_has_words() -> None:
    assert MEANING.keys() == set(Outcome)
