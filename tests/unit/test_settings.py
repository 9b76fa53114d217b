"""The service's settings: read from the environment, and fatal by name where they cannot be."""

from __future__ import annotations

import pytest

from model.errors import SettingsError
from service.settings import Settings


def test_the_defaults_are_those_that_the_documentation_states() -> None:
    assert Settings.from_environment({}) == Settings(
        registry="./registry", model="gender", poll_seconds=1.0, maximum_body_bytes=4 << 20, maximum_people=50_000
    )


def test_a_variable_beats_its_default_and_others_are_not_ours() -> None:
    settings = Settings.from_environment(
        {"STATURE_POLL_SECONDS": "0.25", "STATURE_PORT": "tcp://10.0.0.1", "HOME": "/"}
    )
    assert settings.poll_seconds == 0.25


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STATURE_POLL_SECONDS", "0"),
        ("STATURE_POLL_SECONDS", "often"),
        ("STATURE_POLL_SECONDS", "nan"),
        ("STATURE_POLL_SECONDS", ""),
        ("STATURE_MAXIMUM_BODY_BYTES", "10"),
        ("STATURE_MAXIMUM_PEOPLE", "-1"),
        ("STATURE_MAXIMUM_PEOPLE", "1.5"),
    ],
)
def test_a_value_that_cannot_be_is_fatal_and_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}'"):
        Settings.from_environment({name: value})


@pytest.mark.parametrize(
    ("given", "origins"),
    [
        ("", ()),
        ("https://example.org", ("https://example.org",)),
        (" https://example.org , http://localhost:3000,", ("https://example.org", "http://localhost:3000")),
        ("http://[::1]:8080", ("http://[::1]:8080",)),
        ("http://example.org:443,https://example.org:80", ("http://example.org:443", "https://example.org:80")),
    ],
)
def test_origins_are_listed_with_commas_between(given: str, origins: tuple[str, ...]) -> None:
    assert Settings.from_environment({"STATURE_CORS_ORIGINS": given}).cors_origins == origins


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "null", "example.org", "//example.org", "https://", "https://example.org/", "https://example.org/page"),
        *("https://*.example.org", "https://Example.org", "HTTPS://example.org", "https://example.org:443"),
        *("http://example.org:80", "http://example.org:", "https://example.org:0", "https://user@example.org"),
        *("https://example.org?x", "https://example.org#x", "https://exämple.org", "file://", "https://a b"),
    ],
)
def test_what_no_browser_says_of_an_origin_is_fatal(origin: str) -> None:
    with pytest.raises(SettingsError, match="is no origin as a browser says it") as refused:
        Settings.from_environment({"STATURE_CORS_ORIGINS": f"https://example.org,{origin}"})
    assert str(refused.value).startswith(
        f"STATURE_CORS_ORIGINS is 'https://example.org,{origin}': '{origin}' is no origin"
    )
