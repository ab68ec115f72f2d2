"""CRLs at the public door: the one in force, honest cache times, and none after its time."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from tests.fixtures.doors import Answer, RunningDoors, curl

from troth.app.wiring.door import open_crl_door
from troth.authority.derive import published_name
from troth.authority.status.publish import scopes_of
from troth.registry.issuers import Issuer
from troth.testing.clock import FakeClock
from troth.x509.profiles import Purpose
from troth.x509.serials import shard_of

pytestmark = pytest.mark.needs("curl")

PATIENCE = 500
"""How often to look until the door has heard of what was published."""
Publish = Callable[[], None]


@pytest.fixture
def devices(doors: RunningDoors) -> Issuer:
    return doors.site.hierarchy.issuing[Purpose.DEVICES]


@pytest.fixture
def publish(doors: RunningDoors, devices: Issuer) -> Publish:
    door = open_crl_door(doors.site.db, doors.site.cabinet, doors.site.public_url)

    def now() -> None:
        door.publish(doors.site.db, doors.site.clock, "test", devices, scopes_of(devices))

    return now


def get(doors: RunningDoors, path: str, *words: str) -> Answer:
    return curl(f"http://localhost:{doors.public}{path}", *words)


def named_in(certificate: x509.Certificate) -> str:
    (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    (name,) = point.full_name
    return str(name.value)


def serials(answer: Answer) -> set[int]:
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/pkix-crl"
    return {entry.serial_number for entry in x509.load_der_x509_crl(answer.body)}


def test_the_crl_that_a_certificate_names_is_there_and_tells_of_it(
    doors: RunningDoors, devices: Issuer, publish: Publish
) -> None:
    lamp, other = (doors.site.device(name) for name in ("lamp-1", "lamp-2"))
    doors.site.revoke(lamp)
    publish()
    serial = lamp.certificate.serial_number
    whole = f"/crl/{published_name(devices.issuer_id)}.crl"
    assert serials(get(doors, whole)) == {serial}
    own = named_in(lamp.certificate).removeprefix(doors.site.public_url)
    assert serial in serials(get(doors, own))
    shards = [serials(get(doors, f"/crl/{published_name(devices.issuer_id)}/{shard}.crl")) for shard in range(3)]
    assert [serial in each for each in shards] == [shard_of(serial) == shard for shard in range(3)]
    assert other.certificate.serial_number not in serials(get(doors, whole))


def test_one_that_is_new_is_seen_without_a_restart(doors: RunningDoors, devices: Issuer, publish: Publish) -> None:
    path = f"/crl/{published_name(devices.issuer_id)}.crl"
    publish()
    first = get(doors, path)
    assert serials(first) == set()
    lamp = doors.site.device("lamp-1")
    doors.site.revoke(lamp)
    publish()
    answer = first
    for _ in range(PATIENCE):
        answer = get(doors, path)
        if answer.body != first.body:
            break
    assert serials(answer) == {lamp.certificate.serial_number}
    delta = get(doors, f"/crl/{published_name(devices.issuer_id)}-delta.crl")
    assert serials(delta) == {lamp.certificate.serial_number}


def test_what_a_client_has_is_not_sent_again(
    doors: RunningDoors, devices: Issuer, publish: Publish, live_clock: FakeClock
) -> None:
    path = f"/crl/{published_name(devices.issuer_id)}.crl"
    publish()
    answer = get(doors, path)
    made = answer.headers["last-modified"]
    for words, status in [
        ((f"If-None-Match: {answer.headers['etag']}",), 304),
        ((f'If-None-Match: "x", W/{answer.headers["etag"]}',), 304),
        (("If-None-Match: *",), 304),
        (('If-None-Match: "x"',), 200),
        ((f"If-Modified-Since: {made}",), 304),
        (("If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT",), 200),
        (("If-Modified-Since: yesterday",), 200),
        ((f"If-Modified-Since: {made}", 'If-None-Match: "x"'), 200),
    ]:
        again = get(doors, path, *(part for word in words for part in ("--header", word)))
        assert (again.status, again.body) == (status, b"" if status == 304 else answer.body), words
        assert again.headers["etag"] == answer.headers["etag"]
    head = get(doors, path, "--head")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(answer.body)))


def test_nobody_may_keep_one_past_its_end_and_none_is_served_after_it(
    doors: RunningDoors, devices: Issuer, publish: Publish, live_clock: FakeClock
) -> None:
    path = f"/crl/{published_name(devices.issuer_id)}.crl"
    early = get(doors, path)
    assert (early.status, early.headers["retry-after"]) == (503, "5")
    publish()
    assert get(doors, path).headers["cache-control"] == "public, max-age=3600"
    delta = get(doors, f"/crl/{published_name(devices.issuer_id)}-delta.crl")
    assert delta.headers["cache-control"] == "public, max-age=60"
    ends = x509.load_der_x509_crl(get(doors, path).body).next_update_utc
    assert ends is not None
    live_clock.set(ends - timedelta(seconds=30))
    assert get(doors, path).headers["cache-control"] == "public, max-age=30"
    live_clock.set(ends)
    late = get(doors, path, "--header", "If-None-Match: *")
    assert (late.status, late.headers["cache-control"]) == (503, "no-store")
    assert b"no newer one has been published" in late.body
    publish()
    assert get(doors, path).status == 200


@pytest.mark.parametrize(
    "name",
    ["{}", "{}.pem", "{}/64.crl", "{}/01.crl", "{}/x.crl", "{}/-1.crl", "{}/.crl", "{}/1/1.crl", "x.crl", ".crl"],
)
def test_no_other_path_is_a_crl(doors: RunningDoors, devices: Issuer, publish: Publish, name: str) -> None:
    assert get(doors, f"/crl/{name.format(published_name(devices.issuer_id))}").status == 404
    assert get(doors, f"/crl/{published_name(devices.issuer_id)}.crl", "--request", "POST").status == 405
