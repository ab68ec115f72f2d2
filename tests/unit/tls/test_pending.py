"""Places for handshakes: of all, of one address, and how often one address may come; what is left behind is nothing."""

from dataclasses import replace

from troth.limits import DEFAULT
from troth.tls.pending import PendingHandshakes
from troth.tls.rates import Rates
from troth.tls.reasons import HandshakeFailure


class Connection:
    def abort(self) -> None: ...


def test_an_address_that_takes_all_it_may_leaves_the_rest_to_others() -> None:
    pending = PendingHandshakes(5, of_one_address=2)
    flood = [Connection() for _ in range(4)]
    told = [pending.enter(each, "192.0.2.1") for each in flood]
    assert told == [None, None, *[HandshakeFailure.TOO_MANY_OF_ADDRESS] * 2]
    honest = Connection()
    assert pending.enter(honest, "192.0.2.2") is None
    assert pending.enter(Connection(), "2001:db8::1") is None
    assert pending.enter(Connection(), "2001:db8::2") is None
    assert pending.enter(Connection(), "192.0.2.3") is HandshakeFailure.TOO_MANY
    for each in flood:
        # Who was refused gives back nothing.
        pending.leave(each)
    pending.leave(flood[0])
    assert pending.enter(Connection(), "192.0.2.1") is None
    assert len(pending) == 4


def test_nothing_is_remembered_of_who_has_gone() -> None:
    pending = PendingHandshakes(10, of_one_address=1)
    for number in range(1000):
        connection = Connection()
        assert pending.enter(connection, f"192.0.2.{number}") is None
        pending.leave(connection)
    assert len(pending) == 0
    assert not pending._by_site


def test_a_balancer_is_no_address() -> None:
    pending = PendingHandshakes(10, of_one_address=1, often=Rates(1, 10))
    assert [pending.enter(Connection()) for _ in range(5)] == [None] * 5


def test_an_address_that_comes_too_often_is_refused_and_others_are_not() -> None:
    pending = PendingHandshakes(10, often=Rates(1, 10))
    assert pending.enter(Connection(), "192.0.2.1", 0.0) is None
    assert pending.enter(Connection(), "192.0.2.1", 0.5) is HandshakeFailure.TOO_OFTEN
    assert pending.enter(Connection(), "192.0.2.2", 0.5) is None
    assert pending.enter(Connection(), "192.0.2.1", 1.0) is None


def test_limits_say_how_many_places_there_are() -> None:
    limits = replace(
        DEFAULT,
        handshakes_pending_max=3,
        handshakes_pending_per_address_max=2,
        connects_per_address_per_second_max=3,
    )
    pending = PendingHandshakes.within(limits)
    told = [pending.enter(Connection(), "192.0.2.1", 0.0) for _ in range(4)]
    assert told == [None, None, HandshakeFailure.TOO_MANY_OF_ADDRESS, HandshakeFailure.TOO_OFTEN]
    unbounded = PendingHandshakes.within(replace(limits, connects_per_address_per_second_max=0))
    assert [unbounded.enter(Connection(), "192.0.2.1", 0.0) for _ in range(4)][
        3
    ] is HandshakeFailure.TOO_MANY_OF_ADDRESS
