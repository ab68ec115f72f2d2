"""What an operator may set: ``troth.toml`` in the home, overlaid by ``TROTH_<SECTION>__<KEY>`` in the environment.

Says where and how this process runs. What the fleet is (profiles, policies, templates) stands in the database.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from troth.app.settings_values import Duration, HostName, HostNames, Listener, Networks, Section
from troth.errors import Fault, Kind
from troth.limits import MAY_BE_NONE, PRESETS, SERVER_NAMES_MAX, Limits
from troth.names import Realm

ENVIRONMENT_PREFIX: Final = "TROTH_"
SETTINGS_BYTES_MAX: Final = 256 * 1024


class Site(Section):
    """Who this home is to the world."""

    name: HostName = Field(description="in the server certificates")
    names: HostNames = Field((), max_length=SERVER_NAMES_MAX, description="further names in the server certificates")
    public_url: str = Field(max_length=512, description="written into every certificate; choose before the first")

    @field_validator("public_url")
    @classmethod
    def _plain_http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "http" or not parts.hostname or parts.query or parts.fragment or parts.path not in {"", "/"}:
            raise ValueError(
                "must be http://HOST[:PORT]: certificate status is fetched by clients that cannot use https for it"
            )
        return value.rstrip("/")


class Listen(Section):
    """Where each door listens, as ``host:port``; port 0 takes any free one, which ``troth status`` tells."""

    mqtt: Listener = Field("127.0.0.1:8883", description="devices: MQTT over mutual TLS")
    https: Listener = Field("127.0.0.1:8443", description="devices: EST over TLS")
    public: Listener = Field("127.0.0.1:8080", description="anyone: CA certificates and their status, plain HTTP")
    operators: Listener = Field("127.0.0.1:9443", description="people: mutual TLS with an operator's certificate")
    time: Listener = Field("127.0.0.1:2002", description="devices without a clock: Roughtime, UDP")


class Store(Section):
    """Where the database is."""

    url: str = Field(
        "sqlite:///data/troth.db", description="sqlite:///PATH (from the home) or postgresql://USER@HOST/NAME"
    )
    keep_expired: Duration = Field(
        timedelta(days=400),
        ge=timedelta(days=1),
        description="how long certificates and tokens stay once they have expired; the journal keeps all that it says",
    )


class Broker(Section):
    """The MQTT broker behind the gateway."""

    url: str = Field("embedded", description="embedded, mqtt://host:port, mqtts://host:port or unix:/path/to/socket")
    flavour: Literal["nats", "mqtt"] = Field(
        "nats",
        description="how an external broker reads topics: mqtt as the standard says (Mosquitto, EMQX, HiveMQ), or nats",
    )
    envelopes: Literal["auto", "on", "off"] = Field(
        "auto",
        description="carry what only MQTT 5 can say in an envelope behind the payload, which whoever reads past the"
        " gateway sees; or refuse it. auto: on with the embedded broker",
    )
    username: str = Field("", description="the gateway's user at an external broker")
    password_file: str = Field("", description="file with that user's password, from the home")
    ca_file: str = Field("", description="PEM roots to check an mqtts:// broker against")
    cert_file: str = Field("", description="PEM chain the gateway shows to an mqtts:// broker")
    key_file: str = Field("", description="PEM key of that chain")
    nats_server: str = Field("", description="nats-server to run when embedded; empty: PATH, then the wheel's own")
    sync: Literal["2m", "always"] = Field("2m", description="when the embedded broker writes to disk for good")

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if value == "embedded" or value.startswith("unix:/"):
            return value
        parts = urlsplit(value)
        if parts.scheme in {"mqtt", "mqtts"} and parts.hostname and not parts.path:
            return value
        raise ValueError("must be embedded, mqtt://host:port, mqtts://host:port or unix:/path")


class Processes(Section):
    """How many of each process run on this host; 0 means that it runs elsewhere."""

    authority: int = Field(1, ge=0, le=1, description="the process that holds the CA keys")
    gateway: Literal["per-core"] | Annotated[int, Field(ge=0, le=256)] = Field(
        "per-core", description="workers that devices connect to"
    )
    web: int = Field(1, ge=0, le=1, description="the process that people connect to")
    time: int = Field(1, ge=0, le=1, description="the process that tells the time; runs beside the authority only")


class Aws(Section):
    """What stands in ARNs; matching is exact."""

    partition: str = Field("aws", pattern=r"^[a-z0-9-]{1,32}$", description="second part of every ARN")
    region: str = Field("local", pattern=r"^[a-z0-9-]{1,32}$", description="fourth part of every ARN")
    account: str = Field("000000000000", pattern=r"^[0-9]{12}$", description="fifth part of every ARN")


class Gateway(Section):
    """Whom the gateway hears, and how it treats what it must refuse or cannot know."""

    on_denied_publish: Literal["disconnect", "drop"] = Field(
        "disconnect", description="disconnect as AWS does, or drop and count"
    )
    unknown_state_for: Duration = Field(
        timedelta(seconds=30), description="how long live sessions may go on while the database is gone"
    )
    unknown_server_name: Literal["default", "refuse"] = Field(
        "default", description="who asks for a server of another name: default shows the site's certificate"
    )
    balancers: Networks = Field(
        (), description="networks of load balancers, which must send PROXY v2 to the doors mqtt, https and public"
    )


class Compat(Section):
    """Where others do not do as the standards say."""

    aws: bool = Field(False, description="MQTT as AWS IoT speaks it, with its departures from the standard")


class Keys(Section):
    """Where CA keys are that are in tokens; which of them, the database says by their ``pkcs11:`` URIs."""

    module: str = Field("", description="the PKCS#11 module of the tokens that hold CA keys")
    pin_file: str = Field("keys/pin", description="file, from the home, with the PIN of those tokens")


class Journal(Section):
    """Where the journal's checkpoints go besides the home: somewhere that whoever breaks into it cannot write."""

    anchor_file: str = Field("", description="file, from the home, to which checkpoints are appended")
    anchor_url: str = Field("", description="https:// address to which checkpoints are posted")
    anchor_every: Duration = Field(timedelta(minutes=10), description="shortest time between two of them")

    @field_validator("anchor_url")
    @classmethod
    def _https(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme != "https" or not parts.hostname):
            raise ValueError("must be https://...")
        return value


class LimitsSection(BaseModel):
    """A preset of `troth.limits.Limits`, and single bounds by name over it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    preset: Literal["default", "aws"] = Field("default", description="default, or aws for AWS's values")

    @model_validator(mode="after")
    def _known_bounds(self) -> "LimitsSection":
        known = {field.name: type(getattr(PRESETS[self.preset], field.name)) for field in fields(Limits)}
        for name, value in (self.model_extra or {}).items():
            if name not in known:
                raise ValueError(f"no bound is named {name}")
            if isinstance(value, str):
                value = float(value)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise ValueError(f"{name} must be a number")
            if value == 0 and name not in MAY_BE_NONE:
                raise ValueError(f"{name} must be a number above zero")
        return self

    def resolve(self) -> Limits:
        """Return the bounds that are in force."""
        preset = PRESETS[self.preset]
        single = {name: type(getattr(preset, name))(float(value)) for name, value in (self.model_extra or {}).items()}
        return replace(preset, **single)


class Settings(Section):
    """All of ``troth.toml``."""

    site: Site
    listen: Listen = Listen()
    store: Store = Store()
    broker: Broker = Broker()
    processes: Processes = Processes()
    aws: Aws = Aws()
    gateway: Gateway = Gateway()
    compat: Compat = Compat()
    keys: Keys = Keys()
    journal: Journal = Journal()
    limits: LimitsSection = LimitsSection()

    @property
    def carries_envelopes(self) -> bool:
        """Whether what only MQTT 5 can say goes to the broker in envelopes."""
        return self.broker.envelopes == "on" or (self.broker.envelopes == "auto" and self.broker.url == "embedded")

    @property
    def realm(self) -> Realm:
        """The first five parts of this home's ARNs."""
        return Realm(self.aws.partition, self.aws.region, self.aws.account)


def read_settings(path: Path, environment: Mapping[str, str]) -> Settings:
    """Return the settings of the file at `path` under those of `environment`.

    Raises `Fault` (misconfigured), naming each key that is unknown or unusable and where it was said.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Fault(Kind.MISCONFIGURED, f"cannot read {path}: {error.strerror}", hint="troth init makes it") from error
    if len(raw) > SETTINGS_BYTES_MAX:
        raise Fault(Kind.MISCONFIGURED, f"{path} is larger than {SETTINGS_BYTES_MAX} bytes")
    try:
        tables = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Fault(Kind.MISCONFIGURED, f"{path} is not TOML: {error}") from error
    return build_settings(tables, environment, source=str(path))


def build_settings(tables: dict[str, object], environment: Mapping[str, str], *, source: str) -> Settings:
    """Return the settings in `tables` under those of `environment`. Raises `Fault` (misconfigured)."""
    merged: dict[str, object] = dict(tables)
    for variable, value in environment.items():
        section, separator, key = variable.removeprefix(ENVIRONMENT_PREFIX).partition("__")
        if not variable.startswith(ENVIRONMENT_PREFIX) or not separator:
            continue
        table = merged.get(section.lower(), {})
        merged[section.lower()] = {**(table if isinstance(table, dict) else {}), key.lower(): value}
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise _explained(error, source) from error


def _explained(error: ValidationError, source: str) -> Fault:
    lines = []
    for problem in error.errors(include_url=False):
        place = ".".join(str(part) for part in problem["loc"])
        what = (
            "no such setting" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        )
        lines.append(f"{place}: {what}")
    return Fault(
        Kind.MISCONFIGURED,
        f"{source}: " + "; ".join(lines),
        hint=f"the settings are listed in docs/settings.md; {ENVIRONMENT_PREFIX}SECTION__KEY overrides the file",
    )
