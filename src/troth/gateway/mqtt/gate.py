"""What all sessions of a worker share."""

from dataclasses import dataclass

from troth.gateway.admission import Admission
from troth.gateway.meter import Meter
from troth.gateway.mqtt.flight import Flight
from troth.gateway.mqtt.provisioning import Desk
from troth.gateway.mqtt.seats import Seats
from troth.gateway.mqtt.terms import Terms
from troth.gateway.mqtt.upstream import Upstream
from troth.gateway.readings import Readings
from troth.gateway.report import Report
from troth.gateway.roster import Roster
from troth.tls.rates import Rates


@dataclass(frozen=True, slots=True)
class Gate:
    """What every session of a worker works with."""

    admission: Admission
    roster: Roster
    upstream: Upstream
    seats: Seats
    flight: Flight
    terms: Terms
    report: Report
    readings: Readings
    meter: Meter
    often: Rates | None = None
    """How often each owner may connect under each client id; None where no bound is set."""
    desk: Desk | None = None
    """Where devices are provisioned; None where that is not offered."""
