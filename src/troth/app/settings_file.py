"""The ``troth.toml`` that `init` writes: every setting with its default, made from the settings themselves."""

import json
from dataclasses import asdict
from datetime import timedelta

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from troth.app.settings import Settings
from troth.limits import DEFAULT

_HEAD = """\
# Settings of this home. What is commented out is the default. TROTH_<SECTION>__<KEY> in the environment overrides
# this file. Nothing in it is secret; what the fleet is (things, policies, profiles) stands in the database.
"""


def render_settings(name: str, public_url: str) -> str:
    """Return the text of a new home's ``troth.toml``."""
    chosen = {"name": name, "public_url": public_url}
    parts = [_HEAD]
    for section, info in Settings.model_fields.items():
        model = info.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        parts.append(f"\n[{section}]\n")
        for key, each in model.model_fields.items():
            value = f"{key} = {_toml(chosen[key])}" if each.is_required() else f"# {key} = {_toml(_default(each))}"
            parts.append(f"{value:<42} # {each.description}\n")
    parts.extend(f"# {bound} = {_toml(default)}\n" for bound, default in asdict(DEFAULT).items())
    return "".join(parts)


def list_settings() -> list[tuple[str, str, str]]:
    """Return (``section.key``, default or "", meaning) of every setting, for the documentation and its test."""
    rows = []
    for section, info in Settings.model_fields.items():
        assert info.annotation is not None
        for key, each in info.annotation.model_fields.items():
            default = "" if each.is_required() else _toml(_default(each))
            rows.append((f"{section}.{key}", default, each.description or ""))
    rows.extend((f"limits.{bound}", _toml(default), "") for bound, default in asdict(DEFAULT).items())
    return rows


def _default(field: FieldInfo) -> object:
    value = field.get_default()
    return f"{value.total_seconds():.0f}s" if isinstance(value, timedelta) else value


def _toml(value: object) -> str:
    # TOML's strings and integers are JSON's.
    return json.dumps(value, ensure_ascii=False)
