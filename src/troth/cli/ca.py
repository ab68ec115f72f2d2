"""``troth ca``: the hierarchy, its next generations and their end."""

from collections.abc import Mapping
from typing import Annotated

import typer
from cryptography.hazmat.primitives.serialization import Encoding

from troth.authority.graces import counted_from
from troth.authority.overview import overview
from troth.authority.rollover import in_force, obstacles, younger
from troth.cli.ca_carry import import_, request, sign
from troth.cli.ca_home import KeyUriOption, OutOption, at_work, hand_over, issuer_row
from troth.cli.ca_picture import picture, row_of
from troth.cli.ca_register import activate, code, deactivate, foreign_pem, foreign_row, register, update
from troth.cli.ca_rehearse import rehearse
from troth.cli.output import answer
from troth.cli.passphrase import PassphraseFileOption
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, WhyOption, opened
from troth.registry.foreign_issuers import find_foreign_issuer, list_foreign_issuers
from troth.registry.issuers import chain_of, get_issuer_named
from troth.registry.uptake import count_dependents, count_uptake, last_expiry, list_behind, list_dependents
from troth.store.read import read
from troth.x509.profiles import Purpose

app = typer.Typer()

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The CA's name, such as devices-1, or its id.")]
LineArgument = Annotated[
    str,
    typer.Argument(metavar="PURPOSE", help="root, devices, servers, operators, peers, or a further CA's name."),
]


@app.command("list")
def list_(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Show the hierarchy: who certified whom, where the keys are, until when, and how much each has signed."""
    with opened(home) as here, read(here.db) as connection:
        found = overview(connection)
        foreign = list_foreign_issuers(connection)
    now = here.clock.now()
    rows = [row_of(standing, here.home.path, now) for standing in found.standings]
    names = {standing.issuer.issuer_id: standing.issuer.name for standing in found.standings}
    value = {
        "site": here.settings.site.name,
        "issuers": rows,
        "crosses": [
            {
                "certificate_id": each.certificate_id,
                "subject": names[each.subject_id],
                "issuer": names[each.issuer_id],
                "not_after": each.certificate.not_valid_after_utc,
            }
            for each in found.crosses
        ],
        "requests": [{"name": each.name, "purpose": each.purpose.value} for each in found.requests],
        "bundle": found.bundle.digest,
        "registered": [foreign_row(each) for each in foreign],
    }
    elsewhere = [f"registered: {each.name} ({each.purpose}, {each.state.lower()})" for each in foreign]
    drawn = picture(here.settings.site.name, found, here.home.path, now)
    answer(value, "\n".join([drawn, *elsewhere]), as_json=as_json)


@app.command()
def show(name: NameArgument, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Show a CA, with its certificate and those above it as PEM; or one of elsewhere that is registered."""
    with opened(home) as here, read(here.db) as connection:
        foreign = find_foreign_issuer(connection, name)
        if foreign is not None:
            _show(foreign_row(foreign), foreign_pem(foreign), as_json=as_json)
            return
        issuer = get_issuer_named(connection, name)
        chain = chain_of(connection, issuer.issuer_id)
        found = overview(connection)
    standing = next(each for each in found.standings if each.issuer.issuer_id == issuer.issuer_id)
    row = row_of(standing, here.home.path, here.clock.now())
    pem = "".join(each.public_bytes(Encoding.PEM).decode() for each in chain)
    _show(row, pem, as_json=as_json)


def _show(row: Mapping[str, object], pem: str, *, as_json: bool) -> None:
    lines = [*(f"{key:<11} {value}" for key, value in row.items() if value is not None), pem.strip()]
    answer({**row, "pem": pem}, "\n".join(lines), as_json=as_json)


@app.command()
def create(
    purpose: Annotated[
        Purpose, typer.Argument(metavar="PURPOSE", help="What it certifies: devices, servers, operators, peers.")
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", help="What it is called: profiles choose it by issuer_name. The first needs no name."),
    ] = None,
    key: KeyUriOption = None,
    passphrase_file: PassphraseFileOption = None,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Make a further issuing CA beside the one of its purpose, or the one for peers. The root's key must be at hand."""
    with at_work(home, passphrase_file, why) as ceremonies:
        made = ceremonies.create(purpose, name, key)
    chosen = f'; a profile chooses it with issuer_name = "{made.line}"' if name else ""
    answer(issuer_row(made), f"made {made.name}{chosen}", as_json=as_json)


@app.command()
def rollover(
    line: LineArgument,
    key: KeyUriOption = None,
    out: OutOption = None,
    passphrase_file: PassphraseFileOption = None,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Bring the next generation of a CA into force. It signs at once; what the old one has signed stays good.

    The root's key must be at hand. A new root and the old one certify each other; --out writes all three. One that was
    cut off is finished by giving it again.
    """
    with at_work(home, passphrase_file, why) as ceremonies:
        done = ceremonies.roll_over(line, key)
    crosses = [cross.certificate for cross in done.crosses]
    hand_over(out, [done.new.certificate, *crosses])
    value = {
        "old": issuer_row(done.old),
        "new": issuer_row(done.new),
        "crosses": [cross.certificate_id for cross in done.crosses],
    }
    text = f"{done.new.name} signs now; {done.old.name} is good until it is retired: troth ca uptake {done.old.name}"
    answer(value, text, as_json=as_json)


@app.command()
def uptake(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The CA that is to go; by default the root before this one.")
    ] = None,
    limit: LimitOption = 20,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Say how far the fleet has come, and who would be lost if a CA were retired now."""
    with opened(home) as here, read(here.db) as connection:
        now = here.clock.now()
        issuer = get_issuer_named(connection, name) if name else in_force(connection, Purpose.ROOT.value)
        # Of a root that signs, the question is who holds it; of one that is to go, who holds a younger one.
        successors = [issuer.issuer_id] if name is None else younger(connection, issuer)
        since = counted_from(connection, issuer, now)
        value: dict[str, object] = {"ca": issuer.name, "state": issuer.state.value}
        if issuer.purpose is Purpose.ROOT:
            counts = count_uptake(connection, since, successors)
            value["counts"] = {state.value.lower(): count for state, count in counts.items()}
            laggards = [
                {"who": each.thing, "state": each.state.value.lower()}
                for each in list_behind(connection, since, successors, limit=limit)
            ]
        else:
            count = count_dependents(connection, since, issuer.issuer_id, successors)
            value["counts"] = {"behind": count}
            value["last_expiry"] = last_expiry(connection, now, issuer.issuer_id)
            found = list_dependents(connection, since, issuer.issuer_id, successors, limit)
            laggards = [{"who": each, "state": "behind"} for each in found]
        value["laggards"] = laggards
        value["obstacles"] = list(obstacles(connection, issuer, now)) if name else []
    answer(value, _uptake_text(value, laggards), as_json=as_json)


@app.command()
def retire(
    name: NameArgument,
    force: Annotated[
        str | None,
        typer.Option("--force", metavar="NAME", help="The CA's name again: retire it although some are lost."),
    ] = None,
    passphrase_file: PassphraseFileOption = None,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Take nothing any more that a CA has signed, for ever. Refused while devices or servers would be lost."""
    with at_work(home, passphrase_file, why) as ceremonies:
        retired = ceremonies.retire(name, force)
    answer(
        issuer_row(retired), f"retired {retired.name}: nothing that it has signed is taken any more", as_json=as_json
    )


app.command("import")(import_)
app.command()(request)
app.command()(sign)
app.command()(rehearse)
app.command()(code)
app.command()(register)
app.command()(update)
app.command()(deactivate)
app.command()(activate)


def _uptake_text(value: dict[str, object], laggards: list[dict[str, str]]) -> str:
    counts = value["counts"]
    assert isinstance(counts, dict)
    lines = [f"{value['ca']}, {str(value['state']).lower()}"]
    lines += [f"{name:<8} {count}" for name, count in counts.items()]
    if value.get("last_expiry"):
        lines.append(f"its last good certificate expires {value['last_expiry']}")
    lines += [f"  {each['state']:<7} {each['who']}" for each in laggards]
    obstacles_found = value["obstacles"]
    assert isinstance(obstacles_found, list)
    lines += [f"not to be retired: {each}" for each in obstacles_found]
    return "\n".join(lines)
