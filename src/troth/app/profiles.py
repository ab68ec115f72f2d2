"""The certificate profiles that ship with Troth, as the texts that `init` makes rows of."""

from importlib.resources import files


def built_in_profiles() -> dict[str, str]:
    """Return the TOML text of each built-in profile, by name."""
    folder = files("troth.x509") / "builtin"
    return {
        file.name.removesuffix(".toml"): file.read_text("utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".toml")
    }
