"""Evidence that lasts: what a stranger makes of a bundle, years later, and after somebody has had their hands on it."""

import base64
import hashlib
import io
import json
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from tests.fixtures.evidence import NOON, Site, kept, verified

from troth.errors import PeerFault
from troth.evidence.bundle import Reader
from troth.evidence.checkpoint import VerifierKey
from troth.evidence.examination import Examination
from troth.evidence.outcome import Outcome
from troth.evidence.status import ISSUED, STANDINGS, ids_of, prove
from troth.evidence.whole import read_whole
from troth.journal.change import change
from troth.registry import certificates, states
from troth.x509.crl import Reason


def outcomes(bundle: bytes, site: Site) -> list[Outcome]:
    return [each.judgement.outcome for each in verified(bundle, site)[1]]


def sealed(lines: list[bytes]) -> bytes:
    """Return a bundle whose last line is right again, as whoever changes it would see to."""
    *above, last = lines
    digest = hashlib.sha256(b"".join(above)).hexdigest().encode()
    return b"".join([*above, b" ".join([*last.split(b" ")[:2], digest]) + b"\n"])


def test_readings_are_proven_long_after_every_certificate_has_expired_and_was_renewed(site: Site) -> None:
    meter = site.authority.device("meter-7")
    lines = [site.line(meter, number) for number in range(1, 4)]
    site.later(days=40)
    renewed = site.authority.device("meter-7")
    with change(site.authority.db, site.clock, "test") as changing:
        states.supersede(changing, meter.certificate_id, by=renewed.certificate_id)
    lines += [site.line(renewed, 4)]
    site.later(days=3 * 365)
    assert site.clock.now() > max(meter.certificate.not_valid_after_utc, renewed.certificate.not_valid_after_utc)
    examination, found, proven = verified(site.bundle(lines), site)
    assert [each.judgement.outcome for each in found] == 4 * [Outcome.VERIFIED]
    assert proven.signers.keys() == {meter.certificate_id, renewed.certificate_id}
    # No list was made while they were valid, so that the journal alone tells of them: that is said.
    assert examination.untold == 4


def test_lists_made_in_time_vouch_for_what_came_before(site: Site) -> None:
    meter = site.authority.device("meter-7")
    lines = [site.line(meter, 1)]
    site.later(hours=1)
    site.publish()
    assert verified(site.bundle(lines), site)[0].untold == 0


def test_each_wrong_reading_is_named_beside_the_right_ones(site: Site) -> None:
    meter, other = site.authority.device("meter-7"), site.authority.device("meter-8")
    first, third, fifth = (site.reading(meter, number) for number in (1, 3, 5))
    lines = [
        kept(first, NOON),
        kept(third, NOON),
        kept(first, NOON),
        kept(site.reading(meter, 2), NOON),
        kept(fifth.replace(b"412", b"999"), NOON),
        kept(fifth, NOON, topic="home/hall/power"),
        site.line(meter, 5, thing="meter-8"),
        site.line(meter, 5, key_id=bytes(32)),
        site.line(meter, 5, at=NOON - timedelta(days=100)),
        site.line(meter, 5, at=NOON + timedelta(days=1)),
        kept(site.reading(other, 1), NOON),
        kept(fifth, NOON),
    ]
    assert outcomes(site.bundle(lines), site) == [
        Outcome.VERIFIED,
        Outcome.MISSING,
        Outcome.REPLAYED,
        Outcome.REORDERED,
        Outcome.ALTERED,
        Outcome.MOVED_TOPIC,
        Outcome.MOVED_THING,
        Outcome.WRONG_KEY,
        Outcome.OUTSIDE_VALIDITY,
        Outcome.AHEAD_OF_TIME,
        Outcome.VERIFIED,
        Outcome.MISSING,
    ]


def test_what_a_key_signs_counts_until_it_is_revoked_or_put_out(site: Site) -> None:
    meter = site.authority.device("meter-7")
    lines = [site.line(meter, 1)]
    site.later(minutes=1)
    with change(site.authority.db, site.clock, "test") as changing:
        states.hold(changing, meter.certificate_id)
    site.later(minutes=1)
    lines.append(site.line(meter, 2))
    site.later(minutes=1)
    with change(site.authority.db, site.clock, "test") as changing:
        states.release(changing, meter.certificate_id)
    lines.append(site.line(meter, 2))
    site.later(minutes=1)
    stolen = site.line(meter, 3, received=NOON + timedelta(hours=1))
    site.authority.revoke(meter)
    site.later(minutes=1)
    lines += [site.line(meter, 3), stolen]
    expected = [Outcome.VERIFIED, Outcome.INACTIVE_KEY, Outcome.VERIFIED, Outcome.REVOKED_KEY, Outcome.REVOKED_KEY]
    assert outcomes(site.bundle(lines), site) == expected


def test_a_revocation_that_is_left_out_is_told_by_the_list(site: Site) -> None:
    meter = site.authority.device("meter-7")
    site.authority.revoke(meter, Reason.SUPERSEDED)
    site.later(hours=1)
    site.publish()
    lines = site.bundle([site.line(meter, 1)]).splitlines(keepends=True)
    entries = [line for line in lines if line.startswith(b"entry ")]
    revoked = [line for line in entries if b"certificate.revoked" in base64.b64decode(line.split(b" ")[3])]
    assert len(revoked) == 1
    assert outcomes(sealed([line for line in lines if line not in revoked]), site) == [Outcome.REVOKED_KEY]
    # Who leaves out the list too leaves the journal's own word, and the verifier says what that rests on.
    bare = sealed([line for line in lines if line not in revoked and not line.startswith(b"crl ")])
    examination, found, _ = verified(bare, site)
    assert [each.judgement.outcome for each in found] == [Outcome.VERIFIED]
    assert examination.untold == 1


def test_who_has_the_whole_journal_is_told_all(site: Site) -> None:
    meter = site.authority.device("meter-7")
    site.authority.revoke(meter, Reason.SUPERSEDED)
    lines = site.bundle([site.line(meter, 1)]).splitlines(keepends=True)
    bare = sealed(
        [each for each in lines if b"entry" not in each or b"issued" in base64.b64decode(each.split(b" ")[3])]
    )
    export = site.export()
    reader = Reader(io.BytesIO(bare).readline)
    head = reader.head()
    whole = read_whole(io.BytesIO(export).readline, site.key, head.checkpoint, ids_of(head))
    examination = Examination(prove(head, [site.authority.root], site.key, whole))
    assert [each.judgement.outcome for each in examination.take(reader.readings())] == [Outcome.REVOKED_KEY]
    # Without it, the same bundle proves the reading, and says on what that rests.
    assert outcomes(bare, site) == [Outcome.VERIFIED]
    with pytest.raises(PeerFault, match="does not hold"):
        changed = export.replace(b"certificate.revoked", b"certificate.renewed")
        read_whole(io.BytesIO(changed).readline, site.key, head.checkpoint, ids_of(head))


def test_a_journal_that_says_all_until_later_leaves_nothing_untold(site: Site) -> None:
    meter = site.authority.device("meter-7")
    lines = [site.line(meter, 1)]
    site.later(hours=1)
    site.authority.device("meter-8")
    reader = Reader(io.BytesIO(site.bundle(lines)).readline)
    head = reader.head()
    whole = read_whole(io.BytesIO(site.export()).readline, site.key, head.checkpoint, ids_of(head))
    examination = Examination(prove(head, [site.authority.root], site.key, whole))
    assert [each.judgement.outcome for each in examination.take(reader.readings())] == [Outcome.VERIFIED]
    assert examination.untold == 0


def test_without_the_entry_that_issued_it_a_certificate_was_never_in_force(site: Site) -> None:
    meter = site.authority.device("meter-7")
    lines = site.bundle([site.line(meter, 1)]).splitlines(keepends=True)
    assert outcomes(sealed([line for line in lines if not line.startswith(b"entry ")]), site) == [Outcome.INACTIVE_KEY]


def test_another_journals_key_and_another_root_are_refused(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bundle = site.bundle([site.line(site.authority.device("meter-7"), 1)])
    stranger = Site(tmp_path_factory.mktemp("stranger"))
    with pytest.raises(PeerFault, match="not signed by the key"):
        verified(bundle, site, stranger.key)
    with pytest.raises(PeerFault, match="does not lead to the root"):
        verified(bundle, stranger, site.key)
    stranger.authority.close()


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def _in_base64(line: bytes, which: int, place: float) -> bytes:
    """Return a line with one bit changed in what its word number `which` says in base64."""
    words = line[:-1].split(b" ")
    data = base64.b64decode(words[which])
    words[which] = base64.b64encode(flip(data, int(place * (len(data) - 1))))
    return b" ".join(words) + b"\n"


def _in_json(name: str, change_of: Callable[[str], str]) -> Callable[[bytes], bytes]:
    def edited(line: bytes) -> bytes:
        value = json.loads(line)
        return json.dumps({**value, name: change_of(value[name])}, separators=(",", ":")).encode() + b"\n"

    return edited


def _key(line: bytes, place: float) -> bytes:
    name, _, key = line[4:-1].decode().split("+", 2)
    data = flip(base64.b64decode(key), 1 + int(place * 31))
    return f"key {VerifierKey(name, data[1:]).render()}\n".encode()


def _place(line: bytes) -> bytes:
    word, place, rest = line.split(b" ", 2)
    return b" ".join([word, b"%d" % (int(place) + 1), rest])


def _path(line: bytes) -> bytes:
    words = line[:-1].split(b" ")
    first, *others = words[2].split(b",")
    words[2] = b",".join([base64.b64encode(flip(base64.b64decode(first), 5)), *others])
    return b" ".join(words) + b"\n"


def _payload(text: str, place: float) -> str:
    data = base64.b64decode(text)
    return base64.b64encode(flip(data, int(place * (len(data) - 1)))).decode()


EDITS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    **{f"the key, at {place}": (b"key ", partial(_key, place=place)) for place in (0.1, 0.9)},
    **{
        f"the {word}, at {place}": (word.encode() + b" ", partial(_in_base64, which=1, place=place))
        for word in ("checkpoint", "certificate", "crl")
        for place in (0, 0.1, 0.3, 0.5, 0.7, 0.9, 1)
    },
    **{f"an entry, at {p}": (b"entry ", partial(_in_base64, which=3, place=p)) for p in (0, 0.3, 0.6, 1)},
    "an entry's place": (b"entry ", _place),
    "an entry's path": (b"entry ", _path),
    **{
        f"a payload, at {p}": (b"{", _in_json("payload_base64", partial(_payload, place=p)))
        for p in (0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1)
    },
    "a topic": (b"{", _in_json("topic", lambda text: text + "x")),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, list[bytes]]:
    site = Site(tmp_path_factory.mktemp("whole"))
    meter = site.authority.device("meter-7")
    lines = [site.line(meter, number) for number in (1, 2)]
    site.later(hours=1)
    site.publish()
    return site, site.bundle(lines).splitlines(keepends=True)


@pytest.mark.parametrize("what", EDITS)
def test_whatever_is_changed_is_found_and_named(what: str, whole: tuple[Site, list[bytes]]) -> None:
    site, lines = whole
    word, edit = EDITS[what]
    place = next(place for place, line in enumerate(lines) if line.startswith(word))
    edited = [*lines[:place], edit(lines[place]), *lines[place + 1 :]]
    assert edited != lines
    # Whoever changes it blindly is found by its hash; whoever makes that right, by what was signed.
    with pytest.raises(PeerFault):
        verified(b"".join(edited), site)
    assert is_noticed(sealed(edited), site), f"{what} was changed, and nobody noticed"


def is_noticed(bundle: bytes, site: Site) -> bool:
    """Say whether a stranger notices who takes the journal's key from the bundle itself."""
    try:
        examination, _, _ = verified(bundle, site, believes=True)
    except PeerFault:
        return True
    return examination.refused > 0


@pytest.mark.parametrize("place", ["issuer", "certificate", "checkpoint", "reading"])
def test_whatever_is_taken_out_is_found(place: str, whole: tuple[Site, list[bytes]]) -> None:
    site, lines = whole
    word = {"reading": b"{"}.get(place, place.encode() + b" ")
    left = [line for line in lines if not line.startswith(word)]
    with pytest.raises(PeerFault):
        verified(b"".join(left), site)
    if place != "reading":
        assert is_noticed(sealed(left), site)


def test_no_beginning_of_a_bundle_is_one(whole: tuple[Site, list[bytes]]) -> None:
    site, lines = whole
    for end in range(len(lines)):
        with pytest.raises(PeerFault):
            verified(b"".join(lines[:end]), site)
    with pytest.raises(PeerFault):
        verified(b"".join(lines) + b"x", site)


def test_the_words_of_the_journal_are_those_that_evidence_reads() -> None:
    assert certificates.CERTIFICATE_ISSUED == ISSUED
    told = {value for name, value in vars(states).items() if name.startswith("CERTIFICATE_")}
    assert told == set(STANDINGS)


@pytest.mark.slow
def test_many_readings_take_the_memory_of_a_few(site: Site) -> None:
    meter = site.authority.device("meter-7")
    reader = Reader(io.BytesIO(site.bundle(site.line(meter, number) for number in range(1, 1001))).readline)
    examination = Examination(prove(reader.head(), [site.authority.root], site.key))
    before = 0
    tracemalloc.start()
    for examined in examination.take(reader.readings()):
        if examined.number == 100:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert examination.count == 1000
    assert peak - before < 50_000


@pytest.mark.slow
def test_twenty_thousand_readings_are_verified(site: Site) -> None:
    meter = site.authority.device("meter-7")
    bundle = site.bundle(site.line(meter, number) for number in range(1, 20_001))
    assert verified(bundle, site)[0].counts == {Outcome.VERIFIED: 20_000}
