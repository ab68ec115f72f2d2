import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Fault, Kind, PeerFault
from troth.evidence.checkpoint import (
    Checkpoint,
    VerifierKey,
    parse_checkpoint,
    parse_checkpoints,
    parse_verifier_key,
    sign_checkpoint,
    verifier_key,
    verify_checkpoint,
)
from troth.evidence.merkle import EMPTY_ROOT
from troth.keys.file import generate
from troth.limits import JOURNAL_SIZE_MAX, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX
from troth.x509.algorithms import KeyAlgorithm

# The example of Go's package golang.org/x/mod/sumdb/note, from where signed-note comes.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="

KEY = generate(KeyAlgorithm.ED25519)
ORIGIN = "home.example/journal"
VERIFIER = verifier_key(ORIGIN, KEY)
HEAD = Checkpoint(ORIGIN, 7, bytes(range(32)))
NOTE = sign_checkpoint(HEAD, KEY)


def test_keys_and_signatures_are_those_of_go() -> None:
    key = parse_verifier_key(GO_KEY)
    assert key.name == "PeterNeumann"
    assert key.render() == GO_KEY
    data = base64.b64decode(GO_SIGNATURE)
    assert data[:4] == key.key_id
    assert key.accepts(GO_TEXT, data[4:])
    assert not key.accepts(GO_TEXT + b"\n", data[4:])


def test_a_checkpoint_is_written_as_c2sp_says() -> None:
    text, _, signature = NOTE.decode().partition("\n\n")
    assert text == "home.example/journal\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    assert signature.startswith("\u2014 home.example/journal ")
    assert signature.endswith("=\n")


def test_a_checkpoint_comes_back_as_it_was() -> None:
    signed = parse_checkpoint(NOTE)
    assert (signed.checkpoint, signed.note) == (HEAD, NOTE)
    assert verify_checkpoint(signed, VERIFIER) == HEAD
    assert parse_verifier_key(VERIFIER.render() + "\n") == VERIFIER


@given(st.integers(0, JOURNAL_SIZE_MAX), st.binary(min_size=32, max_size=32))
def test_every_head_can_be_signed(size: int, root: bytes) -> None:
    head = Checkpoint(ORIGIN, size, root)
    assert verify_checkpoint(parse_checkpoint(sign_checkpoint(head, KEY)), VERIFIER) == head


def test_extensions_are_signed_and_passed_over() -> None:
    text = HEAD.render() + b"more to say\n"
    body = VERIFIER.key_id + KEY.sign(text)
    note = text + b"\n" + f"\u2014 {ORIGIN} {base64.b64encode(body).decode()}\n".encode()
    assert verify_checkpoint(parse_checkpoint(note), VERIFIER) == HEAD
    with pytest.raises(PeerFault):
        verify_checkpoint(parse_checkpoint(note.replace(b"more", b"less")), VERIFIER)


def test_other_keys_are_passed_over_and_prove_nothing() -> None:
    other = generate(KeyAlgorithm.ED25519)
    theirs = sign_checkpoint(HEAD, other)
    line = theirs.partition(b"\n\n")[2]
    assert verify_checkpoint(parse_checkpoint(NOTE + line), VERIFIER) == HEAD
    with pytest.raises(PeerFault):
        verify_checkpoint(parse_checkpoint(theirs), VERIFIER)


def test_one_bad_signature_of_the_key_spoils_the_note() -> None:
    line = sign_checkpoint(Checkpoint(ORIGIN, 8, EMPTY_ROOT), KEY).partition(b"\n\n")[2]
    with pytest.raises(PeerFault):
        verify_checkpoint(parse_checkpoint(NOTE + line), VERIFIER)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"\n7\n", b"\n8\n"), (b"AAEC", b"BAEC"), (b"home.example/journal\n7", b"away.example/journal\n7")],
)
def test_a_changed_checkpoint_is_refused(old: bytes, new: bytes) -> None:
    assert old in NOTE
    with pytest.raises(PeerFault) as caught:
        verify_checkpoint(parse_checkpoint(NOTE.replace(old, new, 1)), VERIFIER)
    assert caught.value.kind is Kind.REJECTED


@pytest.mark.parametrize(
    "note",
    [
        b"",
        NOTE[:-1],
        NOTE + b"\n",
        NOTE.replace(b"\n\n", b"\n"),
        NOTE.replace(b"\n7\n", b"\n07\n"),
        NOTE.replace(b"\n7\n", b"\n-7\n"),
        NOTE.replace(b"\n7\n", b"\n9223372036854775808\n"),
        NOTE.replace(b"\n7\n", "\n\u0667\n".encode()),
        NOTE.replace(b"\n7\n", b"\n7\r\n"),
        NOTE.replace(b"\n7\n", b"\n\n"),
        NOTE.replace(b"Hh8=", b"Hh9="),
        NOTE.replace(b"Hh8=", b"Hg=="),
        NOTE.replace("\u2014".encode(), b"-"),
        NOTE.replace("\u2014 home".encode(), "\u2014 +home".encode()),
        NOTE[: NOTE.rindex(b" ")] + b" AAAA\n",
        NOTE + b"\xff",
        b"\n" + NOTE,
    ],
)
def test_another_spelling_is_refused(note: bytes) -> None:
    with pytest.raises(PeerFault) as caught:
        parse_checkpoint(note)
    assert caught.value.kind is Kind.MALFORMED


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for parse in (parse_checkpoint, lambda each: parse_checkpoints(each, 5)):
        with suppress(PeerFault):
            parse(data)
    with suppress(PeerFault):
        parse_verifier_key(data.decode("latin-1"))


def test_notes_are_bounded() -> None:
    line = NOTE.partition(b"\n\n")[2]
    assert len(parse_checkpoint(NOTE + line * (NOTE_SIGNATURES_MAX - 1)).signatures) == NOTE_SIGNATURES_MAX
    for note in (NOTE + line * NOTE_SIGNATURES_MAX, bytes(NOTE_BYTES_MAX + 1)):
        with pytest.raises(PeerFault) as caught:
            parse_checkpoint(note)
        assert caught.value.kind is Kind.TOO_LARGE


def test_an_anchor_file_is_read_note_by_note() -> None:
    notes = [sign_checkpoint(Checkpoint(ORIGIN, size, EMPTY_ROOT), KEY) for size in (3, 5, 8)]
    for between in (b"", b"\n", b"\n\n"):
        found = parse_checkpoints(between.join(notes), 3)
        assert [(each.checkpoint.size, each.note) for each in found] == list(zip((3, 5, 8), notes, strict=True))
    assert parse_checkpoints(b"\n", 3) == []
    with pytest.raises(PeerFault):
        parse_checkpoints(b"".join(notes), 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000",
        GO_KEY.replace("c74f", "c74e"),
        GO_KEY.replace("Peter", "Pe ter"),
        GO_KEY + "=",
        "x" * 2000,
        f"name+00000000+{'A' * 44}",
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(PeerFault):
        parse_verifier_key(text)


def test_only_ed25519_signs() -> None:
    with pytest.raises(Fault) as caught:
        sign_checkpoint(HEAD, generate(KeyAlgorithm.P256))
    assert caught.value.kind is Kind.BAD_KEY
    assert not VerifierKey(ORIGIN, bytes(31)).accepts(b"", b"")
