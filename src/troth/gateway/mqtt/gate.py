"""What all sessions of a worker share."""

from dataclasses import dataclass

from troth.gateway.admission import Admission
from troth.gateway.mqtt.names import Names
from troth.gateway.mqtt.provisioning import Desk
from troth.gateway.mqtt.upstream import Upstream
from troth.gateway.report import Report
from troth.gateway.roster import Roster
from troth.limits import Limits


@dataclass(frozen=True, slots=True)
class Gate:
    """What every session of a worker works with."""

    admission: Admission
    roster: Roster
    upstream: Upstream
    names: Names
    report: Report
    limits: Limits
    drops_denied: bool
    """A denied PUBLISH is dropped and counted; otherwise it ends the connection, as on AWS."""
    desk: Desk | None = None
    """Where devices are provisioned; None where that is not offered."""
