"""Who may do what: tokens and their scopes, and what is open to everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from model.errors import SettingsError
from model.tokens import SCOPES, new_token
from service.access import Access
from service.errors import ForbiddenError, ServiceError, UnauthorizedError
from service.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

TOKEN, LINE = new_token("ann", ["read", "admin"])


def allowed(access: Access, authorization: str | None = None) -> list[str]:
    """The scopes that who sends this has."""

    def may(scope: str) -> bool:
        try:
            return bool(access.check(authorization, scope))
        except ServiceError:
            return False

    return [scope for scope in SCOPES if may(scope)]


def test_without_a_token_everybody_may_predict_and_read_and_nobody_may_change() -> None:
    access = Access.of(Settings())
    assert allowed(access) == allowed(access, "Bearer anything") == ["predict", "read"]
    with pytest.raises(ForbiddenError, match="stature token new --scope admin"):
        access.check(None, "admin")


def test_with_a_token_every_scope_needs_one() -> None:
    access = Access.of(Settings(tokens=LINE))
    assert allowed(access) == []
    assert allowed(access, f"Bearer {TOKEN}") == ["read", "admin"]
    assert access.check(f"Bearer {TOKEN}", "admin") == "ann"
    with pytest.raises(ForbiddenError, match="scope predict, and the token of ann has read, admin"):
        access.check(f"Bearer {TOKEN}", "predict")


def test_predict_and_read_can_be_left_open_beside_tokens_and_closed_without() -> None:
    assert allowed(Access.of(Settings(tokens=LINE, open_scopes="predict"))) == ["predict"]
    assert allowed(Access.of(Settings(tokens=LINE, open_scopes=" predict , read"))) == ["predict", "read"]
    assert allowed(Access.of(Settings(open_scopes=""))) == []
    with pytest.raises(SettingsError, match="STATURE_OPEN_SCOPES has 'admin'"):
        Access.of(Settings(open_scopes="read,admin"))


@pytest.mark.parametrize("authorization", [f"bearer {TOKEN}", f"BEARER  {TOKEN} "], ids=["lower", "upper"])
def test_the_scheme_is_written_in_any_case(authorization: str) -> None:
    assert "admin" in allowed(Access.of(Settings(tokens=LINE)), authorization)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer \udcff",
    ],
    ids=["none", "empty", "no token", "a space", "no scheme", "another scheme", "longer", "shorter", "no ASCII"],
)
def test_what_is_no_valid_token_is_unauthorized_and_told_which_scope(authorization: str | None) -> None:
    with pytest.raises(UnauthorizedError) as refusal:
        Access.of(Settings(tokens=LINE)).check(authorization, "admin")
    assert 'scope="admin"' in refusal.value.headers()["WWW-Authenticate"]
    assert TOKEN not in str(refusal.value)


def test_tokens_come_from_a_file_and_the_environment_together(tmp_path: Path) -> None:
    other, line = new_token("bob", ["predict"])
    file = tmp_path / "tokens"
    file.write_text(f"# of the machines\n{line}\n")
    access = Access.of(Settings(tokens=LINE, tokens_file=str(file)))
    assert allowed(access, f"Bearer {other}") == ["predict"]
    assert allowed(access, f"Bearer {TOKEN}") == ["read", "admin"]


def test_a_file_of_tokens_that_cannot_be_read_is_fatal_and_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"STATURE_TOKENS_FILE is .*missing"):
        Access.of(Settings(tokens_file=str(tmp_path / "missing")))
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"STATURE_TOKENS_FILE is .*bytes"):
        Access.of(Settings(tokens_file=str(tmp_path / "bytes")))
    (tmp_path / "empty").write_text("# nobody yet\n")
    with pytest.raises(SettingsError, match=r"STATURE_TOKENS_FILE is .*empty: it holds no token"):
        Access.of(Settings(tokens=LINE, tokens_file=str(tmp_path / "empty")))
    (tmp_path / "large").write_bytes(b"#" * (1 << 21))
    with pytest.raises(SettingsError, match="larger than a mebibyte"):
        Access.of(Settings(tokens_file=str(tmp_path / "large")))
