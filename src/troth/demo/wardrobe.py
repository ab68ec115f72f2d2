"""What impostors wear: the keys and certificates that were made for them before the home was up, and their twins'."""

from dataclasses import dataclass

from troth.device.slots import Slot


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """Each a key and a chain. All but those of servers have the same key: only the certificate differs."""

    self_signed: Slot
    """For the name thermostat, signed by its own key."""
    other_ca: Slot
    """For the name thermostat, by the neighbour's CA, which is called as ours is."""
    other_peer: Slot
    """For the name thermostat towards its neighbours, by the neighbour's CA for that."""
    expired: Slot
    not_yet_valid: Slot
    server: Slot
    """By our CA for servers, under the profile that our own doors have."""
    honest: Slot
    """A second certificate of the thermostat, as every device has one."""
    honest_brief: Slot
    """As the expired one, made now."""
    neighbour_home: Slot
    """A server called as our home is, by the neighbour's CA."""
    printer: Slot
    """A server by our CA, with another name."""
    true_home: Slot
    stale_home: Slot
    """The same, over."""
    """A server by our CA, with our home's name."""
