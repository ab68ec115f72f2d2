"""Act 6: impostors at the door. Each claims to be the thermostat, and lacks one thing that makes it so."""

from troth.demo.ledger import Seen
from troth.demo.stage import THERMOSTAT, Stage, at_the_gateway, reading_twin
from troth.demo.visitors import HomeService, nonce, publishes
from troth.device.slots import Slot


def play(stage: Stage, service: HomeService) -> None:
    """Let everybody try who has no good certificate."""
    stage.narrator.act(
        "Act 6. Impostors at the door",
        "The gateway asks every visitor for a certificate that our CA for devices signed, for a device, for now.",
        "Whoever has none is turned away in the TLS handshake, with an alert that says why; MQTT never begins.",
        "The twin has the same key, and a certificate without that one flaw: its reading arrives.",
    )
    wardrobe = stage.wardrobe
    tries: tuple[tuple[str, Slot | None, Slot], ...] = (
        ("no-certificate", None, wardrobe.honest),
        ("self-signed-namesake", wardrobe.self_signed, wardrobe.honest),
        ("other-ca-namesake", wardrobe.other_ca, wardrobe.honest),
        ("expired", wardrobe.expired, wardrobe.honest_brief),
        ("not-yet-valid", wardrobe.not_yet_valid, wardrobe.honest),
        ("server-certificate-as-client", wardrobe.server, wardrobe.honest),
    )
    for case_id, bad, good in tries:
        stage.ledger.case(case_id, lambda: _try(stage, service, case_id, bad, good))  # noqa: B023 - played at once


def _try(stage: Stage, service: HomeService, case_id: str, bad: Slot | None, good: Slot) -> Seen:
    told = stage.visit(bad, THERMOSTAT, publishes(f"home/{THERMOSTAT}/reading", nonce()))
    return at_the_gateway(stage, case_id, told, reading_twin(stage, service, good))
