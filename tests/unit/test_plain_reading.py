"""The short way to read a body gives what the strict way gives, to the same bits, or leaves the body to it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import units
from service import plain_reading, strict_reading
from service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 4

ONE = b'{"weight_kg": 73, "height_cm": 182}'
BATCH = b'{"instances": [{"weight_kg": 73, "height_cm": 182}, {"weight_kg": 58.5, "height_cm": 160}]}'
COLUMNS = b'{"weight_kg": [73, 58.5], "height_cm": [182, 160]}'


@pytest.fixture(scope="module", params=[16, 1 << 15], autouse=True)
def piece_bytes(request: pytest.FixtureRequest) -> Iterator[None]:
    """A list is read in pieces: here in one, and in one for each person."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plain_reading, "_PIECE_BYTES", request.param)
        yield


def agree(body: bytes, most: int = MOST) -> bool:
    """Whether the body was read the short way, having checked that the strict way reads the same."""
    short = [plain_reading.one(body), plain_reading.batch(body, most), plain_reading.columns(body, most)]
    strict = [strict_reading.one, strict_reading.batch, strict_reading.columns]
    for read, decide in zip(short, strict, strict=True):
        if read is not None:
            np.testing.assert_array_equal(np.asarray(read), np.asarray(decide(body, most)), strict=True)
    return any(read is not None for read in short)


@pytest.mark.parametrize(
    "body",
    [
        ONE,
        BATCH,
        COLUMNS,
        b'{"height_in":70,"weight_lb":160.5}',
        b' \t\r\n{ "weight_kg"\n: 7.3e1 , "height_cm" :1820E-1 }\n ',
        b'{"weight_kg": 73.00000000000000000000000000000000000001, "height_cm": 182}',
        b'{"height_cm": [182], "weight_kg": [73]}',
        b'{"instances":[{"height_in":70,"weight_lb":160.5},{"weight_lb":160.5,"height_in":70}]}',
    ],
)
def test_what_is_plainly_right_is_read_the_short_way(body: bytes) -> None:
    assert agree(body)


@pytest.mark.parametrize(
    "body",
    [
        # A member that occurs twice, the last being right.
        b'{"weight_kg": 1, "weight_kg": 73, "height_cm": 182}',
        b'{"weight_kg": 73, "weight_kg": 73, "height_cm": 182}',
        b'{"weight_kg": [73], "height_cm": [182], "height_cm": [182]}',
        b'{"instances": [], "instances": [{"weight_kg": 73, "height_cm": 182}]}',
        b'{"instances": [{"weight_kg": 73, "height_cm": 182, "height_cm": 182}]}',
        b'{"weight_kg": 73, "\\u0077eight_kg": 73, "height_cm": 182}',
        b'{"instances": [{"weight_kg": 73}, {"weight_kg": 73, "height_cm": 182, "weight_lb": 3}]}',
        b'{"weight_lb": [], "height_in": []}',
        b'{"instances": []}',
        # No numbers.
        b'{"weight_kg": true, "height_cm": 182}',
        b'{"weight_kg": "73", "height_cm": 182}',
        b'{"weight_kg": [true], "height_cm": [182]}',
        b'{"weight_kg": [null], "height_cm": [182]}',
        b'{"weight_kg": ["73"], "height_cm": [182]}',
        b'{"weight_kg": [[73]], "height_cm": [182]}',
        b'{"weight_kg": [{}], "height_cm": [182]}',
        b'{"weight_kg": [NaN], "height_cm": [182]}',
        b'{"instances": [{"weight_kg": 73, "height_cm": false}]}',
        b'{"instances": [{"weight_kg": 73, "height_cm": [182]}]}',
        b'{"instances": [[73, 182]]}',
        b'{"instances": [73]}',
        b'{"instances": {"weight_kg": 73, "height_cm": 182}}',
        # Outside the domain, or not for the short way.
        b'{"weight_kg": -0, "height_cm": 182}',
        b'{"weight_kg": 1e999, "height_cm": 182}',
        b'{"weight_kg": ' + b"7" * 5000 + b', "height_cm": 182}',
        b'{"weight_kg": [73, 5], "height_cm": [182, 182]}',
        b'{"weight_kg": [73, 73], "height_cm": [182]}',
        b'{"weight_kg": [73, 73, 73, 73, 73], "height_cm": [182, 182, 182, 182, 182]}',
        b'{"instances": [{"weight_kg": 73, "height_cm": 182}, {"weight_lb": 160, "height_in": 70}]}',
        b'{"instances": [{"weight_kg": 73, "height_cm": 182},]}',
        b'{"instances": [{"weight_kg": 73, "height_cm": 182}, ]}',
        b'{"instances": [{"weight_kg": 73, "height_cm": 182},,{"weight_kg": 73, "height_cm": 182}]}',
        b'{"instances": [{"weight_kg": 73, "height_cm": 182}],"a":[]}',
        b'{"instances": [{"weight_kg": 73, "height_cm": 182}]]}',
        b'{"weight_kg": [73,], "height_cm": [182]}',
        b'{"weight_kg": [73,,73], "height_cm": [182, 182]}',
        b'{"weight_kg": [73 73], "height_cm": [182, 182]}',
        b'{"weight_kg": [73], "height_cm": [182], }',
        b'{"weight_kg": [73], "height_cm": [182]} []',
        b'{"weight_kg": [73], "weight_kg": [73]}',
        b'{"weight_kg": 73, "height_in": 70}',
        b'["weight_kg", "height_cm"]',
        b"[" * 100_000,
        b"[[[[]]]]",
        b"\xef\xbb\xbf" + ONE,
        ONE + b"}",
        ONE + b"\x00",
        b"",
        b'""""',
        b'{"a": {"b": 1}}',
    ],
)
def test_what_is_not_plainly_right_is_left_to_the_strict_way(body: bytes) -> None:
    assert not agree(body)


names = st.sampled_from([*units.FIELDS, "instances", "weight_kg\\u0000", "\\u0077eight_kg", "s", "u", ""])
numbers = st.one_of(
    st.floats(20, 900).map(repr),
    st.integers(0, 900).map(str),
    st.floats(20, 900).map(lambda value: f"{value:.40f}"),
    st.floats(20, 900).map(lambda value: f"{value:.25e}"),
    st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(
        ["-0", "1e2", "1E+2", "1e999", "1e-999", "NaN", "Infinity", "true", "null", "false", "073", "73.", '"73"']
    ),
)
spaces = st.sampled_from(["", "", " ", "\n", "\t", "\r", "\ufeff", "\x0b"])


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.tuples(names, spaces, values, spaces).map(
        lambda part: f'{part[1]}"{part[0]}"{part[3]}:{part[1]}{part[2]}'
    )
    pair = st.sampled_from(units.PAIRS).flatmap(
        lambda pair: st.permutations([field.name for field in pair]).flatmap(
            lambda order: st.tuples(values, values).map(
                lambda two: [f'"{n}": {v}' for n, v in zip(order, two, strict=True)]
            )
        )
    )
    return st.one_of(pair, st.lists(members, max_size=4)).map(lambda parts: "{" + ",".join(parts) + "}")


def lists(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, max_size=MOST + 1).map(lambda parts: "[" + ",".join(parts) + "]")


documents = st.one_of(
    objects(numbers),
    objects(lists(numbers)),
    lists(objects(numbers)).map(lambda people: f'{{"instances": {people}}}'),
    objects(lists(objects(numbers))),
)


@settings(max_examples=300)
@given(document=documents, before=spaces, after=spaces)
def test_both_ways_read_the_same(document: str, before: str, after: str) -> None:
    agree((before + document + after).encode())


@settings(max_examples=100)
@given(
    body=st.sampled_from([ONE, BATCH, COLUMNS]),
    at=st.integers(0, 90),
    removed=st.integers(0, 3),
    added=st.binary(max_size=3) | st.sampled_from([b'"', b"}", b"[", b",1", b"e", b"\\", b"0", b"\xff", b"\xc3\xa9"]),
)
def test_both_ways_read_the_same_of_what_is_almost_right(body: bytes, at: int, removed: int, added: bytes) -> None:
    agree(body[:at] + added + body[at + removed :])


@settings(max_examples=100)
@given(weights=st.lists(st.floats(20, 400), min_size=1, max_size=20), height=st.floats(100, 250))
def test_people_in_the_domain_are_read_the_short_way_in_every_digit(weights: list[float], height: float) -> None:
    people = [{"weight_kg": weight, "height_cm": height} for weight in weights]
    columns = {"weight_kg": weights, "height_cm": [height] * len(weights)}
    for document in (*people, {"instances": people}, columns):
        assert agree(json.dumps(document).encode(), most=20)


def test_no_name_of_a_field_has_a_letter_of_what_is_no_number() -> None:
    """What the short way stands on: `u` and `s` in a body are of true, false, null, an escape, or of `instances`."""
    assert not re.search("[us]", "".join(units.FIELDS))
    assert all(re.search("[us]", word) for word in ("true", "false", "null", r"\u0077"))
    with pytest.raises(ServiceError):
        strict_reading.one(b"[]", MOST)
