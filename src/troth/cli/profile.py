"""``troth profile``: certificate profiles, TOML in, journaled; what one allows, and how large a certificate is."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Final

import typer
from sqlalchemy import Connection

from troth.app.profiles import built_in_profiles
from troth.authority.sizes import CertificateSize, certificate_sizes
from troth.cli.documents import read_bounded_text
from troth.cli.output import answer, answer_table, say
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, Opened, WhyOption, opened
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.registry.issuers import Issuer, get_issuer
from troth.registry.profiles import (
    ProfileText,
    apply_profile,
    delete_profile,
    find_profile,
    get_profile,
    list_profiles,
)
from troth.store.read import read
from troth.x509.profile_text import parse_profile
from troth.x509.profiles import Profile, Purpose

app = typer.Typer()

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The profile's name.")]

_LISTED: Final = ["name", "issuer", "subject", "default_key", "validity", "version", "built_in"]


@app.command("list")
def list_(
    after: Annotated[str | None, typer.Option("--after", help="Go on after this name.")] = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List certificate profiles by name."""
    with opened(home) as here, read(here.db) as connection:
        found = list_profiles(connection, after, limit)
    answer_table([_row(each) for each in found], _LISTED, as_json=as_json, empty="no profiles")


@app.command()
def show(
    name: NameArgument,
    toml: Annotated[bool, typer.Option("--toml", help="Only its text, to edit and apply again.")] = False,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show a profile, and how large a typical certificate of it is for each kind of key."""
    with opened(home) as here, read(here.db) as connection:
        found = get_profile(connection, name)
        sizes, obstacle = _sizes(here, connection, parse_profile(found.document))
    if toml and not as_json:
        answer(None, found.document.removesuffix("\n"), as_json=False)
        return
    value = {**_row(found), "document": found.document, "sizes": {each.algorithm: each.octets for each in sizes}}
    answer(value, _told(found, sizes), as_json=as_json)
    if obstacle is not None:
        say(f"note: {obstacle.message}")


@app.command()
def apply(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The profile in TOML; - is stdin.")],
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Put a profile into force, under the name in it: a new one, or in place of the old text.

    Certificates that are out stay as they are. Before, one is made up for each kind of key and held against the rules.
    """
    document = read_bounded_text(file)
    profile = parse_profile(document)
    with opened(home) as here:
        with read(here.db) as connection:
            before = find_profile(connection, profile.name)
            sizes, obstacle = _sizes(here, connection, profile)
        if obstacle is not None and obstacle.kind is Kind.REJECTED:
            raise obstacle
        with change(here.db, here.clock, here.actor, why) as changing:
            applied = apply_profile(changing, document)
    if obstacle is not None:
        say(f"note: {obstacle.message}")
    changed = before is None or before.version != applied.version
    done = f"applied profile {applied.name}, version {applied.version}" if changed else f"profile {applied.name} is so"
    value = {**_row(applied), "changed": changed, "sizes": {each.algorithm: each.octets for each in sizes}}
    answer(value, done, as_json=as_json)


@app.command()
def delete(
    name: NameArgument,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Take a profile out of force: not a built-in one, and none that a certificate is still to be renewed under."""
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        delete_profile(changing, name, built_in_profiles().keys())
    answer({"name": name, "deleted": True}, f"deleted profile {name}", as_json=as_json)


def _sizes(here: Opened, connection: Connection, profile: Profile) -> tuple[tuple[CertificateSize, ...], Fault | None]:
    """Return the sizes, or why there are none."""
    site = here.settings.site
    try:
        issuer = None if profile.is_self_signed else _issuer(connection, profile)
        return certificate_sizes(
            profile, issuer, site=site.name, public_url=site.public_url, now=here.clock.now()
        ), None
    except Fault as fault:
        return (), fault


def _issuer(connection: Connection, profile: Profile) -> Issuer:
    # Any will do for a profile that any issuer signs.
    return get_issuer(connection, profile.issuer or Purpose.DEVICES, profile.issuer_name)


def _row(found: ProfileText) -> dict[str, object]:
    profile = parse_profile(found.document)
    return {
        "name": found.name,
        "issuer": profile.issuer_name or profile.issuer or "any",
        "subject": profile.subject,
        "default_key": profile.algorithms[0],
        "algorithms": list(profile.algorithms),
        "validity": _duration(profile.validity),
        "renew_before": _duration(profile.renew_before),
        "grace": _duration(profile.grace) if profile.grace else "none",
        "backdate": _duration(profile.backdate),
        "crl": profile.crl,
        "ocsp": profile.ocsp,
        "version": found.version,
        "updated_at": found.updated_at,
        "built_in": found.name in built_in_profiles(),
    }


def _told(found: ProfileText, sizes: Sequence[CertificateSize]) -> str:
    row = _row(found)
    row["algorithms"] = ", ".join(parse_profile(found.document).algorithms)
    lines = [f"{key.replace('_', ' '):<14}{_shown(value)}" for key, value in row.items() if key != "updated_at"]
    if sizes:
        lines += ["", "a typical certificate, in bytes of DER:"]
        lines += [f"  {each.algorithm:<12}{each.octets:>6}" for each in sizes]
    return "\n".join(lines)


def _shown(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _duration(span: timedelta) -> str:
    """Return a duration as it is written in a profile, in the largest unit that says it exactly."""
    seconds = span // timedelta(seconds=1)
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
