from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.evidence.logs import VERIFIER, Log, log_of

from troth.evidence.audit import FINDINGS_MAX, Audit, Flaw, Report, Witness
from troth.evidence.checkpoint import SignedCheckpoint
from troth.evidence.merkle import leaf_hash
from troth.keys.file import generate
from troth.x509.algorithms import KeyAlgorithm

Rows = Sequence[tuple[bytes, bytes]]


def audit(rows: Rows, own: Sequence[SignedCheckpoint] = (), outside: Sequence[SignedCheckpoint] = ()) -> Report:
    witnesses = [Witness(each, kept_outside=False, source="own") for each in own]
    witnesses += [Witness(each, kept_outside=True, source="kept") for each in outside]
    auditing = Audit(VERIFIER, witnesses)
    for row in rows:
        auditing.take(*row)
    return auditing.finish()


def flaws(report: Report) -> list[tuple[Flaw, int, int]]:
    return [(each.flaw, each.first, each.last) for each in report.findings]


def edit(body: bytes) -> bytes:
    assert b'"edited":false' in body
    return body.replace(b'"edited":false', b'"edited":true')


@settings(max_examples=40)
@given(st.integers(0, 70), st.data())
def test_an_honest_log_holds(count: int, data: st.DataObject) -> None:
    sizes = data.draw(st.sets(st.integers(0, count), max_size=4))
    signed = [log_of(size).sign() for size in sorted(sizes)]
    log = log_of(count)
    for rows in (log.rows, [(body, nodes[:32]) for body, nodes in log.rows]):
        report = audit(rows, [*signed, log.sign()], signed)
        assert report.findings == ()
        assert (report.entries, report.signed) == (count, count)
        assert report.root == log.frontier.root()
        assert report.signed_outside == max(sizes, default=0)


@settings(max_examples=60)
@given(st.integers(1, 40), st.data())
def test_one_row_edited_is_named_and_nothing_else(count: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, count))
    log = log_of(count)
    body, nodes = log.rows[number - 1]
    log.rows[number - 1] = (edit(body), nodes)
    assert flaws(audit(log.rows, [log.sign()])) == [(Flaw.ROW_EDITED, number, number)]


@settings(max_examples=60)
@given(st.integers(2, 40), st.data())
def test_a_row_edited_with_its_hash_is_named(count: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, count - 1))
    log = log_of(count)
    body, nodes = log.rows[number - 1]
    log.rows[number - 1] = (edit(body), leaf_hash(edit(body)) + nodes[32:])
    rows = [(body, nodes[:32]) for body, nodes in log.rows]
    # The next entry tells, whoever signs.
    for own in ([log.sign()], []):
        assert (Flaw.ENTRY_REWRITTEN, number, number) in flaws(audit(rows, own))


def test_the_last_row_edited_with_its_hash_is_told_by_the_checkpoint() -> None:
    signed = log_of(9).sign()
    assert flaws(audit(log_of(9, 9).rows, [signed])) == [(Flaw.TAIL_REWRITTEN, 1, 9)]
    assert flaws(audit(log_of(9, 9).rows, [log_of(6).sign(), signed])) == [(Flaw.TAIL_REWRITTEN, 7, 9)]


def test_an_edited_hash_is_not_taken_for_an_edited_entry() -> None:
    log = log_of(9)
    for number in (3, 4, 9):
        rows = list(log.rows)
        body, nodes = rows[number - 1]
        rows[number - 1] = (body, leaf_hash(b"other") + nodes[32:])
        assert (Flaw.HASH_EDITED, number, number) in flaws(audit(rows, [log.sign()]))
        assert {each.flaw for each in audit(rows, [log.sign()]).findings} == {Flaw.HASH_EDITED}
    rows = list(log.rows)
    rows[3] = (rows[3][0], rows[3][1][:64] + bytes(32))
    assert flaws(audit(rows, [log.sign()])) == [(Flaw.HASH_EDITED, 4, 4)]


def test_a_tail_written_anew_needs_a_signature_it_has_not() -> None:
    signed = [log_of(10).sign(), log_of(20).sign()]
    rewritten = log_of(20, 14)
    # All hashes fit: without a checkpoint there is nothing to see but that there is none.
    assert flaws(audit(rewritten.rows)) == [(Flaw.UNSIGNED, 1, 20)]
    assert flaws(audit(rewritten.rows, signed)) == [(Flaw.TAIL_REWRITTEN, 11, 20)]
    other = generate(KeyAlgorithm.ED25519)
    assert {each.flaw for each in audit(rewritten.rows, [rewritten.sign(other)]).findings} == {
        Flaw.CHECKPOINT_FORGED,
        Flaw.UNSIGNED,
    }


def test_a_tail_written_anew_with_the_stolen_key_needs_an_old_checkpoint() -> None:
    old, rewritten = log_of(15).sign(), log_of(20, 14)
    forged = [rewritten.sign(), log_of(10).sign()]
    assert audit(rewritten.rows, forged).findings == (), "so far nobody could tell"
    assert flaws(audit(rewritten.rows, forged, [old])) == [(Flaw.TAIL_REWRITTEN, 1, 15)]
    assert flaws(audit(rewritten.rows, forged, [log_of(10).sign(), old])) == [(Flaw.TAIL_REWRITTEN, 11, 15)]
    # The twin: the same old checkpoint and an honest log.
    assert audit(log_of(20).rows, [log_of(20).sign()], [old]).findings == ()


def test_a_log_cut_off_needs_a_newer_checkpoint() -> None:
    old, new, cut = log_of(12).sign(), log_of(20).sign(), log_of(12)
    assert audit(cut.rows, [old]).findings == (), "it is whole as far as anyone can see"
    assert flaws(audit(cut.rows, [old], [new])) == [(Flaw.TRUNCATED, 13, 20)]
    assert flaws(audit(cut.rows, [old, new])) == [(Flaw.TRUNCATED, 13, 20)]


def test_cut_off_and_grown_again_is_history_rewritten() -> None:
    grown = log_of(25, *range(13, 26))
    assert flaws(audit(grown.rows, [grown.sign()], [log_of(20).sign()])) == [(Flaw.TAIL_REWRITTEN, 1, 20)]


def test_a_replaced_key_does_not_help() -> None:
    other = generate(KeyAlgorithm.ED25519)
    foreign = log_of(9).sign(other)
    found = audit(log_of(9, 4).rows, [log_of(9, 4).sign()], [foreign])
    assert [each.flaw for each in found.findings] == [Flaw.CHECKPOINT_FORGED, Flaw.FORKED, Flaw.TAIL_REWRITTEN]


def test_two_heads_of_one_size_are_told() -> None:
    log = log_of(9)
    assert flaws(audit(log.rows, [log.sign(), log_of(9, 5).sign()]))[0] == (Flaw.FORKED, 1, 9)
    assert audit(log.rows, [log.sign(), log.sign()], [log.sign()]).findings == ()


def test_a_checkpoint_of_another_log_is_told() -> None:
    log = log_of(3)
    assert flaws(audit(log.rows, [log.sign(), log.sign(origin="away.example/journal")]))[0][0] is Flaw.CHECKPOINT_FORGED


def test_rows_left_out_put_twice_or_mixed_up_are_told() -> None:
    log = log_of(9)
    signed = [log.sign()]
    assert flaws(audit(log.rows[:3] + log.rows[5:], signed)) == [(Flaw.ENTRY_MISSING, 4, 5)]
    assert flaws(audit(log.rows[1:], signed)) == [(Flaw.ENTRY_MISSING, 1, 1)]
    again = audit([*log.rows[:4], log.rows[3], *log.rows[5:]], signed)
    assert (Flaw.ENTRY_MISPLACED, 5, 5) in flaws(again)
    mixed = audit([*log.rows[:3], log.rows[4], log.rows[3], *log.rows[5:]], signed)
    assert {Flaw.ENTRY_MISSING, Flaw.ENTRY_MISPLACED} <= {each.flaw for each in mixed.findings}
    assert audit(log.rows[:3] + log.rows[5:], signed).root is None


def test_what_is_no_entry_is_told() -> None:
    log = log_of(9)
    log.rows[4] = (b"{}", log.rows[4][1])
    assert flaws(audit(log.rows, [log.sign()])) == [(Flaw.ENTRY_UNREADABLE, 5, 5), (Flaw.ROW_EDITED, 5, 5)]


def test_a_first_entry_that_does_not_begin_a_log_is_told() -> None:
    log = Log()
    log.frontier.append(leaf_hash(b"something before"))
    log.add("lamp-2")
    body = log.rows[0][0].replace(b'"number":2', b'"number":1')
    assert flaws(audit([(body, leaf_hash(body))])) == [(Flaw.ENTRY_REWRITTEN, 1, 1), (Flaw.UNSIGNED, 1, 1)]


def test_several_rows_edited_are_each_named() -> None:
    log = log_of(20)
    for number in (4, 5, 6, 17, 20):
        log.rows[number - 1] = (edit(log.rows[number - 1][0]), log.rows[number - 1][1])
    assert flaws(audit(log.rows, [log.sign()])) == [(Flaw.ROW_EDITED, number, number) for number in (4, 5, 6, 17, 20)]


def test_findings_are_bounded() -> None:
    log = log_of(FINDINGS_MAX + 20)
    report = audit([(edit(body), nodes) for body, nodes in log.rows], [log.sign()])
    assert (len(report.findings), report.more) == (FINDINGS_MAX, 20)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.binary(max_size=60), st.binary(min_size=32, max_size=64)), max_size=5))
def test_any_rows_are_audited(rows: list[tuple[bytes, bytes]]) -> None:
    assert bool(audit(rows).findings) == bool(rows)


@pytest.mark.parametrize("outside", [False, True])
def test_what_cannot_be_compared_is_counted(outside: bool) -> None:
    log = log_of(9)
    signed = [log.sign()]
    report = audit(log.rows[:3] + log.rows[5:], () if outside else signed, signed if outside else ())
    assert report.uncompared == 1
    assert report.signed == 0
