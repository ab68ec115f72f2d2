import pytest
from hypothesis import given
from hypothesis import strategies as st
from pkcs11 import PinLocked

from troth.errors import Fault, Kind
from troth.keys.pkcs11.faults import fault_of
from troth.keys.pkcs11.uri import TokenURI, is_token_uri, parse_token_uri
from troth.limits import PKCS11_URI_CHARS_MAX


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("pkcs11:token=a;object=b", TokenURI(token="a", label="b")),
        ("PKCS11:token=a;object=b;type=private", TokenURI(token="a", label="b")),
        ("pkcs11:object=b;id=%01%aB;serial=0", TokenURI(serial="0", label="b", key_id=b"\x01\xab")),
        ("pkcs11:slot-id=7;id=x", TokenURI(slot_id=7, key_id=b"x")),
        (
            "pkcs11:model=m;manufacturer=Snake%20Oil,%20Inc.;token=The%20Token;object=k",
            TokenURI(token="The Token", manufacturer="Snake Oil, Inc.", model="m", label="k"),
        ),
        ("pkcs11:token=%C3%A4;object=b", TokenURI(token="ä", label="b")),
    ],
)
def test_what_a_uri_means(text: str, meant: TokenURI) -> None:
    assert is_token_uri(text)
    assert parse_token_uri(text) == meant


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("keys/devices-1.key", Kind.MALFORMED, "not a pkcs11: URI"),
        ("pkcs11:", Kind.MALFORMED, "names no token"),
        ("pkcs11:object=b", Kind.MALFORMED, "names no token"),
        ("pkcs11:token=a", Kind.MALFORMED, "names no key"),
        ("pkcs11:token=a;object=b;type=public", Kind.MALFORMED, "names no private key"),
        ("pkcs11:token=a;token=b;object=c", Kind.MALFORMED, "twice"),
        ("pkcs11:token=a;object", Kind.MALFORMED, "no attribute"),
        ("pkcs11:token=a;object=%1", Kind.MALFORMED, "no attribute"),
        ("pkcs11:token=a;object=%ff", Kind.MALFORMED, "not UTF-8"),
        ("pkcs11:token=a;slot-id=x;object=b", Kind.MALFORMED, "no number"),
        ("pkcs11:token=a b;object=c", Kind.MALFORMED, "not a pkcs11: URI"),
        ("pkcs11:token=a;object=b;x-colour=red", Kind.UNSUPPORTED, "x-colour"),
        # what a database must not say: which code is loaded, and what opens the token
        ("pkcs11:token=a;object=b?module-path=/tmp/evil.so", Kind.UNSUPPORTED, "module-path"),
        ("pkcs11:token=a;object=b?module-name=evil", Kind.UNSUPPORTED, "module-name"),
        ("pkcs11:token=a;object=b?pin-value=1234", Kind.UNSUPPORTED, "pin-value"),
        ("pkcs11:token=a;object=b?pin-source=file:/etc/passwd", Kind.UNSUPPORTED, "pin-source"),
        ("pkcs11:token=a;object=b?pin-source=%7ccat", Kind.UNSUPPORTED, "pin-source"),
        (f"pkcs11:token={'a' * PKCS11_URI_CHARS_MAX};object=b", Kind.TOO_LARGE, "more than"),
    ],
)
def test_what_is_no_such_uri_is_refused(text: str, kind: Kind, words: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_token_uri(text)
    assert caught.value.kind is kind
    assert words in caught.value.message


names = st.text(st.characters(codec="utf-8"), max_size=8)


@given(st.builds(TokenURI, token=names, label=names, key_id=st.none() | st.binary(max_size=4)))
def test_what_is_written_is_read(uri: TokenURI) -> None:
    text = str(uri)
    assert text.isascii()
    if len(text) <= PKCS11_URI_CHARS_MAX:
        assert parse_token_uri(text) == uri


@given(st.text(max_size=60) | st.text(max_size=60).map(lambda text: f"pkcs11:{text}"))
def test_any_text_is_a_uri_or_refused(text: str) -> None:
    try:
        parse_token_uri(text)
    except Fault:
        return
    assert is_token_uri(text)


def test_a_locked_pin_is_told_with_the_way_out() -> None:
    fault = fault_of(PinLocked(), TokenURI(token="a", label="b"))
    assert fault.kind is Kind.UNAVAILABLE
    assert fault.retry_after
    assert "locked" in fault.message
    assert "unlock" in (fault.hint or "")
