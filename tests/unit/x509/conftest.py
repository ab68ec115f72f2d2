"""The built-in profiles and one hierarchy, made once: nothing in it changes."""

import pytest
from tests.fixtures.hierarchy import Maker

from troth.app.profiles import built_in_profiles
from troth.x509.profile_text import parse_profile
from troth.x509.profiles import Profile


@pytest.fixture(scope="session")
def profile_texts() -> dict[str, str]:
    return built_in_profiles()


@pytest.fixture(scope="session")
def profiles(profile_texts: dict[str, str]) -> dict[str, Profile]:
    return {name: parse_profile(text) for name, text in profile_texts.items()}


@pytest.fixture(scope="session")
def maker(profiles: dict[str, Profile]) -> Maker:
    return Maker(profiles)
