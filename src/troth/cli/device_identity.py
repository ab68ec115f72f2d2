"""``troth device show``: an identity as people and programs read it."""

from datetime import datetime

from troth.cli.device_options import IDENTITY, IdentityOption, JsonOption
from troth.cli.output import answer
from troth.clock import Clock, SystemClock
from troth.device.identity import Identity, open_identity
from troth.device.peer import find_peer
from troth.device.queue import find_depth
from troth.device.slot_keys import find_key, open_key
from troth.device.slots import NAMES, Slot, Slots
from troth.x509.certificates import certificate_id, serial_text, subject_text
from troth.x509.times import has_ended


def show(identity: IdentityOption = IDENTITY, as_json: JsonOption = False) -> None:
    """Show who this device is and until when, whom it trusts, and what waits to be sent."""
    opened = open_identity(identity)
    row = identity_row(opened, SystemClock())
    certificate, depth, slots = opened.certificate, find_depth(identity), slot_states(opened)
    times = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    lines = [
        f"thing         {opened.thing}",
        f"certificate   {row['certificate_id']}",
        f"valid         {times}{' (expired)' if row['expired'] else ''}",
        f"issuer        {row['issuer']}",
        f"key           {row['key']} in {row['key_in']}",
        *(f"trusts        {subject_text(root.subject)}" for root in opened.trust),
        f"EST           {opened.endpoint.est}",
        f"MQTT          {opened.endpoint.mqtt}",
        *([f"server name   {opened.endpoint.server_name}"] if opened.endpoint.server_name else []),
        *(f"time          {server.name} at {server.address}" for server in opened.time_servers),
        f"slots         {', '.join(f'{name} {state}' for name, state in slots.items())}",
        *([f"neighbours    until {peer:%Y-%m-%d %H:%M} UTC"] if (peer := _peer_until(opened)) else []),
        f"queue         {depth.waiting} waiting, {depth.set_aside} set aside, {depth.last} so far",
        *(["unfinished    an enrollment was cut short; run it again"] if row["unfinished"] else []),
    ]
    answer(row, "\n".join(lines), as_json=as_json)


def identity_row(identity: Identity, clock: Clock) -> dict[str, object]:
    """Return an identity as ``--json`` has it. Raises `Fault` as `find_depth` and `open_key` do."""
    certificate = identity.certificate
    endpoint, depth = identity.endpoint, find_depth(identity.path)
    return {
        "thing": identity.thing,
        "identity": str(identity.path),
        "certificate_id": certificate_id(certificate),
        "serial": serial_text(certificate),
        "issuer": subject_text(certificate.issuer),
        "key": str(open_key(identity.slot).algorithm),
        "key_in": find_key(identity.slot),
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
        "expired": has_ended(certificate.not_valid_after_utc, clock.now()),
        "slot": identity.slot.name,
        "unfinished": Slots(identity.path).spare().request_file.exists(),
        "trust": [certificate_id(root) for root in identity.trust],
        "est": str(endpoint.est),
        "mqtt": str(endpoint.mqtt),
        "server_name": endpoint.server_name,
        "time_servers": [server.address for server in identity.time_servers],
        "slots": slot_states(identity),
        "peer_not_after": _peer_until(identity),
        "queue": {"waiting": depth.waiting, "set_aside": depth.set_aside, "last": depth.last},
    }


def _peer_until(identity: Identity) -> datetime | None:
    peer = find_peer(identity.path)
    return peer.certificate.not_valid_after_utc if peer is not None else None


def slot_states(identity: Identity) -> dict[str, str]:
    """Return for each slot: in use, previous (kept until the one in use has worked), unfinished, or empty."""
    return {name: _state(Slots(identity.path), Slot(identity.path / name)) for name in NAMES}


def _state(slots: Slots, slot: Slot) -> str:
    if slot == slots.current():
        return "in use"
    if slot == slots.previous():
        return "previous"
    return "unfinished" if slot.request_file.exists() else "empty"
