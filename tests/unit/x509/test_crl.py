"""CRLs: what they say to other readers, how deltas are made, and what is no list of entries."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.crl_lint import crl_findings
from tests.fixtures.hierarchy import NOW, Maker

from troth.errors import PeerFault
from troth.x509.crl import (
    CRLTemplate,
    Reason,
    assemble_crl,
    build_entry,
    build_tbs,
    delta_entries,
    list_entries,
    parse_crl,
)

WEEK = timedelta(days=7)
URL = "http://home.example:8080/crl/x/7.crl"


def make(maker: Maker, entries: list[bytes], **said: object) -> bytes:
    issuer = maker.devices
    template = CRLTemplate(
        **{"issuer": issuer.certificate, "number": 7, "this_update": NOW, "next_update": NOW + WEEK, **said}  # type: ignore[arg-type]
    )
    tbs = build_tbs(template, issuer.key.algorithm, entries)
    return assemble_crl(tbs, issuer.key.algorithm, issuer.key.sign(tbs))


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_read_back(maker: Maker, reason: Reason) -> None:
    crl = parse_crl(make(maker, [build_entry(5, NOW, reason)]))
    (entry,) = crl
    assert entry.serial_number == 5
    assert entry.revocation_date_utc == NOW.replace(microsecond=0)
    if reason is Reason.UNSPECIFIED:
        assert list(entry.extensions) == []  # RFC 5280, 5.3.1
    else:
        told = entry.extensions.get_extension_for_class(x509.CRLReason)
        assert (told.value.reason.value, told.critical) == (reason.value, False)


def test_a_complete_crl_says_who_when_and_where_the_freshest_is(maker: Maker) -> None:
    der = make(maker, [build_entry(5, NOW, Reason.SUPERSEDED)], freshest_url=URL)
    crl = parse_crl(der)
    issuer = maker.devices.certificate
    assert crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    assert crl.issuer.public_bytes() == issuer.subject.public_bytes()
    assert (crl.last_update_utc, crl.next_update_utc) == (
        NOW.replace(microsecond=0),
        NOW.replace(microsecond=0) + WEEK,
    )
    assert {each.oid._name: each.critical for each in crl.extensions} == {
        "authorityKeyIdentifier": False,
        "cRLNumber": False,
        "freshestCRL": False,
    }
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == own
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7
    assert crl_findings(der) == []


def test_a_shards_delta_says_critically_what_it_is(maker: Maker) -> None:
    der = make(maker, [], distribution_point=URL, base_number=3)
    crl = parse_crl(der)
    assert len(crl) == 0
    part = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert part.critical
    assert [name.value for name in part.value.full_name or ()] == [URL]
    indicator = crl.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert (indicator.value.crl_number, indicator.critical) == (3, True)
    assert crl_findings(der) == []


def test_an_empty_list_is_left_out(maker: Maker) -> None:
    der = make(maker, [])
    assert list_entries(der) == []
    assert crl_findings(der) == []


@pytest.mark.parametrize(
    ("at", "encoded"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), b"\x17\x0d700101000000Z"),
        (datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC), b"\x17\x0d380119031408Z"),
        (datetime(2049, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), b"\x17\x0d491231235959Z"),
        (datetime(2050, 1, 1, tzinfo=UTC), b"\x18\x0f20500101000000Z"),
    ],
)
def test_times_are_utc_through_2049_and_generalized_from_2050(maker: Maker, at: datetime, encoded: bytes) -> None:
    der = make(maker, [build_entry(5, at, Reason.UNSPECIFIED)], this_update=at, next_update=at + WEEK)
    assert der.count(encoded) == 2
    crl = parse_crl(der)
    assert crl.last_update_utc == at.replace(microsecond=0)
    assert crl.next_update_utc == (at + WEEK).replace(microsecond=0)
    assert crl_findings(der) == []


def test_entries_are_read_as_they_were_made(maker: Maker) -> None:
    entries = [build_entry(serial, NOW, Reason.KEY_COMPROMISE) for serial in (1, 127, 128, 1 << 159)]
    assert list_entries(make(maker, entries)) == entries


@given(st.binary(max_size=64))
def test_no_bytes_are_entries_but_entries(data: bytes) -> None:
    with pytest.raises(PeerFault):
        list_entries(data)


def test_a_list_that_was_cut_off_is_refused(maker: Maker) -> None:
    der = make(maker, [build_entry(5, NOW, Reason.SUPERSEDED)] * 3)
    for size in range(len(der) - 80):
        with pytest.raises(PeerFault):
            list_entries(der[:size])


STATES = st.dictionaries(st.integers(1, 6), st.sampled_from([Reason.KEY_COMPROMISE, Reason.CERTIFICATE_HOLD]))


@given(st.lists(STATES, min_size=1, max_size=6))
def test_base_and_any_of_its_deltas_make_what_is_so_now(history: list[dict[int, Reason]]) -> None:
    """And whoever heard of a hold from an earlier delta hears from the next that it is over (RFC 5280, 5.2.4)."""
    base = entries_of(history[0])
    delta: list[bytes] = []
    told = set(history[0])
    for now in history[1:]:
        delta = delta_entries(base, delta, entries_of(now), NOW)
        applied = dict(history[0])
        removed: set[int] = set()
        for serial, reason in read_back(delta):
            if reason is Reason.REMOVE_FROM_CRL:
                applied.pop(serial, None)
                removed.add(serial)
            else:
                applied[serial] = reason
        assert applied == now
        told |= set(now)
        assert removed == told - set(now)


def entries_of(states: dict[int, Reason]) -> list[bytes]:
    return [build_entry(serial, NOW, reason) for serial, reason in sorted(states.items())]


def read_back(entries: list[bytes]) -> list[tuple[int, Reason]]:
    codes = {build_entry(1, NOW, reason)[-1]: reason for reason in Reason if reason is not Reason.UNSPECIFIED}
    return [(entry[4], codes[entry[-1]]) for entry in entries]


def test_the_linter_finds_what_is_wrong(maker: Maker) -> None:
    assert crl_findings(make(maker, [], next_update=NOW - WEEK)) != []
