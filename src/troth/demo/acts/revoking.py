"""Act 9: a certificate is withdrawn while it is in use; and the thing that it was for comes back with another."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from troth.demo.acts.enrolling import enroll_by_command
from troth.demo.cases import LET_IN, RECEIVED
from troth.demo.ledger import Seen
from troth.demo.log import Line
from troth.demo.stage import FISH_TANK, THERMOSTAT, Stage, at_the_gateway, heard_twin, reading_twin
from troth.demo.visitors import PATIENCE_S, HomeService, Told, described, nonce, publishes
from troth.device.connection import ConnectionFault
from troth.device.mqtt import Client, connect
from troth.device.slots import Slot
from troth.policy.attachment import TargetKind
from troth.registry.certificates import get_certificate
from troth.registry.policies import Target, list_attached
from troth.store.read import read
from troth.x509.certificates import certificate_id

SOON: Final = timedelta(seconds=1)


def play(stage: Stage, service: HomeService) -> None:
    """Withdraw the thermostat's certificate, and give it another."""
    stage.narrator.act(
        "Act 9. Withdrawn means now",
        "The thermostat is stolen, key and all. Its certificate looks as good as ever; so the home takes it back.",
        "Every gateway follows the journal of changes, and closes the connections that a change touches.",
        "The twins are the fish tank, connected all the while, and another certificate of the same thermostat.",
    )
    case = stage.ledger.case
    case("revoked-while-connected", lambda: _while_connected(stage, service))
    # The slot stays where it is when another certificate is enrolled into the other one.
    case("revoked-reconnects", lambda: _reconnects(stage, service, stage.identity(THERMOSTAT).slot))
    case("re-enrolled-same-thing", lambda: _re_enrolled(stage, service))


def _while_connected(stage: Stage, service: HomeService) -> Seen:
    identity = stage.identity(THERMOSTAT)
    stolen = certificate_id(identity.certificate)
    word = nonce()
    with connect(stage.identity(FISH_TANK), stage.clock) as bystander, connect(identity, stage.clock) as thief:
        stage.commands.troth("cert", "revoke", stolen, "--reason", "keyCompromise", "--why", "stolen")
        told = _until_thrown_out(thief)
        twin_told = Told(_address(bystander), publishes(f"home/{FISH_TANK}/reading", word)(bystander))
    seen = at_the_gateway(stage, "revoked-while-connected", told, heard_twin(service, twin_told, word))
    with read(stage.home.db) as connection:
        revoked_at = get_certificate(connection, stolen).revoked_at
    return Seen(
        {**seen.observed, "after": _after(revoked_at, seen.evidence["gateway"])},
        {**seen.evidence, "certificate_id": stolen, "revoked_at": str(revoked_at)},
        seen.connection,
    )


def _reconnects(stage: Stage, service: HomeService, stolen: Slot) -> Seen:
    told = stage.visit(stolen, THERMOSTAT, publishes(f"home/{THERMOSTAT}/reading", nonce()))
    return at_the_gateway(stage, "revoked-reconnects", told, reading_twin(stage, service, stage.wardrobe.honest))


def _re_enrolled(stage: Stage, service: HomeService) -> Seen:
    before = certificate_id(stage.identity(THERMOSTAT).certificate)
    enroll_by_command(stage, THERMOSTAT)
    identity = stage.identity(THERMOSTAT)
    after = certificate_id(identity.certificate)
    with read(stage.home.db) as connection:
        thing = get_certificate(connection, after).thing
        policies = list_attached(connection, Target(TargetKind.THING, THERMOSTAT))
    word = nonce()
    told = stage.as_itself(THERMOSTAT, publishes(f"home/{THERMOSTAT}/reading", word))
    came = service.hears(word) if told.word == LET_IN else None
    certificate = "new certificate" if after != before else "the old certificate"
    return Seen(
        {
            "thermostat": f"{certificate}, {'same thing' if thing == THERMOSTAT else f'thing {thing}'}",
            "home": RECEIVED if came is not None else told.word,
        },
        {
            "certificates": {"before": before, "after": after},
            "policies of the thing": policies,
            "thermostat": told.report(),
            "home": described(came),
        },
    )


def _until_thrown_out(client: Client) -> Told:
    """Wait until the connection ends, and say how."""
    address = _address(client)
    try:
        client.receive(PATIENCE_S)
    except ConnectionFault as fault:
        return Told(address, fault.refusal.word, fault.refusal.detail)
    return Told(address, LET_IN, f"still connected after {PATIENCE_S:.0f} s")


def _address(client: Client) -> str:
    host, port = client.local_address
    return f"{host}:{port}"


def _after(revoked_at: datetime | None, lines: Sequence[Line]) -> str:
    """Say how long after the revocation the gateway closed the connection, by the times of journal and log."""
    if revoked_at is None or not lines:
        return "never"
    took = datetime.fromisoformat(lines[0]["timestamp"]) - revoked_at
    return "less than a second" if took < SOON else f"{took.total_seconds():.1f} s"
