"""Act 2, behind the scenes: the certificates that impostors will show, as close to a good one as can be.

What is to be signed by our own CA is signed by it, through its one door, before the home is up.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from troth.app.init import Birth, initialise
from troth.clock import Clock
from troth.demo.acts.founding import PUBLIC_URL
from troth.demo.household import Household, opened, store
from troth.demo.narrator import Narrator
from troth.demo.stage import THERMOSTAT
from troth.demo.wardrobe import Wardrobe
from troth.keys.file import FileKey, generate
from troth.keys.randomness import random_serial
from troth.x509.algorithms import KeyAlgorithm, signature_hash
from troth.x509.subjects import thing_subject

BRIEF: Final = "device-ten-minutes"
BRIEF_SERVER: Final = "server-ten-minutes"
# The CAs are as old as this demonstration, and backdated by an hour.
LONG_AGO: Final = timedelta(minutes=-30)
TOMORROW: Final = timedelta(days=1)
PRINTER: Final = "printer"


def forge(folder: Path, home: Household, environment: Mapping[str, str], narrator: Narrator, clock: Clock) -> Wardrobe:
    """Make everything that impostors and their twins will wear, in `folder`."""
    narrator.act(
        "Act 2. Behind the scenes: the impostors dress up",
        "Everyone can make a key, and write any name into a certificate. What counts is who signed it.",
        "A neighbour founds a home with the very same name, so that his CA is called as ours is.",
        "And our own CA signs certificates that are real and still not good: one that is over, one whose time is to",
        "come, and one for a server. Each impostor has an honest twin, with the same key and one thing different.",
    )
    folder.mkdir()
    key = generate(KeyAlgorithm.P256)
    home.shorten_profile(BRIEF, "10m", "device")
    home.shorten_profile(BRIEF_SERVER, "10m", "server")
    neighbour = folder / "neighbour"
    initialise(neighbour, Birth(home.site, PUBLIC_URL, None), environment, clock)
    with opened(neighbour, environment, clock) as other:
        other.introduce(THERMOSTAT, "device")
        other_ca = other.certify("device", key, folder / "other-ca", thing=THERMOSTAT)
        other.let_things_meet()
        other_peer = other.certify("peer", key, folder / "other-peer", thing=THERMOSTAT)
        neighbour_home = other.certify("server", key, folder / "neighbour-home", name=home.site)
    return Wardrobe(
        self_signed=store(folder / "self-signed", key, [_self_signed(key, clock)]),
        other_ca=other_ca,
        other_peer=other_peer,
        expired=home.certify(BRIEF, key, folder / "expired", thing=THERMOSTAT, wrong_by=LONG_AGO),
        not_yet_valid=home.certify("device", key, folder / "not-yet-valid", thing=THERMOSTAT, wrong_by=TOMORROW),
        server=home.certify("server", key, folder / "server", name=f"{THERMOSTAT}.{home.site}"),
        honest=home.certify("device", key, folder / "honest", thing=THERMOSTAT),
        honest_brief=home.certify(BRIEF, key, folder / "honest-brief", thing=THERMOSTAT),
        neighbour_home=neighbour_home,
        printer=home.certify("server", key, folder / "printer", name=f"{PRINTER}.{home.site}"),
        true_home=home.certify("server", key, folder / "true-home", name=home.site),
        stale_home=home.certify(BRIEF_SERVER, key, folder / "stale-home", name=home.site, wrong_by=LONG_AGO),
    )


def _self_signed(key: FileKey, clock: Clock) -> x509.Certificate:
    """Return a device's certificate in every respect but who signed it."""
    name = thing_subject(THERMOSTAT)
    now = clock.now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key)
        .serial_number(random_serial())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    return builder.sign(key.private_key, signature_hash(key.algorithm))
