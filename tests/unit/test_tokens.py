"""Bearer tokens: made once, kept as a hash, refused in words where a line cannot be one."""

from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import SettingsError
from model.tokens import SCOPES, find, new_token, parse_tokens


@given(st.sets(st.sampled_from(SCOPES), min_size=1), st.from_regex(r"[A-Za-z0-9._@-]{1,64}", fullmatch=True))
def test_a_new_token_is_found_by_its_line_with_its_holder_and_scopes(scopes: set[str], holder: str) -> None:
    token, line = new_token(holder, scopes)
    tokens = parse_tokens(f"# holder scopes sha256\n\n{line}  # since today\n", "here")
    found = find(tokens, token)
    assert found is not None
    assert (found.holder, found.scopes) == (holder, scopes)
    assert find(tokens, token[:-1]) is None
    assert find(tokens, hashlib.sha256(token.encode()).hexdigest()) is None


def test_the_line_does_not_hold_the_token_and_no_two_tokens_are_alike() -> None:
    made = [new_token("operator", ["read"]) for _ in range(100)]
    assert len({token for token, _ in made}) == 100
    assert not any(token.removeprefix("stature_") in line for token, line in made)


def test_several_tokens_of_one_holder_are_valid_at_once() -> None:
    (old, old_line), (new, new_line) = new_token("ci", ["admin"]), new_token("ci", ["admin"])
    both = parse_tokens(f"{old_line}\n{new_line}", "here")
    assert [find(both, token) for token in (old, new)] == list(both)
    assert find(parse_tokens(new_line, "here"), old) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("operator read", "line 1 of here has 2 parts"),
        (f"operator write {'0' * 64}", "line 1 of here has the scope 'write'"),
        (f"operator , {'0' * 64}", "line 1 of here has the scope ''"),
        (f"ope/rator read {'0' * 64}", "line 1 of here has a holder"),
        ("operator read stature_abc", "another"),
        (f"operator read {'A' * 64}", "64 hexadecimal digits"),
        (f"\na read {'0' * 64}\nb read {'0' * 64}", "line 3 of here has the same token"),
    ],
)
def test_a_line_that_cannot_be_is_refused_and_named(line: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse_tokens(line, "here")


def test_a_refusal_does_not_repeat_what_may_be_a_token() -> None:
    with pytest.raises(SettingsError) as refusal:
        parse_tokens("operator read stature_very-secret", "here")
    assert "very-secret" not in str(refusal.value)


@given(st.text())
def test_any_text_is_tokens_or_a_refusal(text: str) -> None:
    with contextlib.suppress(SettingsError):
        assert all(token.scopes <= set(SCOPES) for token in parse_tokens(text, "here"))


@pytest.mark.parametrize("holder", ["", "a b", "a" * 65, "a,b", "é", "a\n"])
def test_a_holder_that_would_not_fit_into_a_line_is_refused(holder: str) -> None:
    with pytest.raises(SettingsError, match="holder"):
        new_token(holder, ["read"])


@given(st.text())
def test_no_text_is_a_token_that_was_not_made(text: str) -> None:
    assert find(parse_tokens(new_token("operator", ["admin"])[1], "here"), text) is None
