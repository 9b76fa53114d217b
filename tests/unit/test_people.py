"""A file of people: every dialect read alike, every bad row named by its line, identical rows counted, and who is held
out computed here once more, in plain Python.
"""

from __future__ import annotations

import gzip
import hashlib
import random
import re
import statistics
import struct
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from people_files import HEADER, Row, people, text, write, write_parquet

from model.errors import DataError, SettingsError
from model.training.people import SHIPPED, People, read_people

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

KG, CM = 0.45359237, 2.54
ROWS = people(200)
GENDERS = {"female": 1.0, "male": 0.0}
MALFORMED = "the line does not have the header's columns"


def canonical(rows: Iterable[Row]) -> list[tuple[float, float, float]]:
    """What the rows mean: pounds, inches, 1 for female."""
    return [(float(weight) / KG, float(height) / CM, GENDERS[gender]) for weight, height, gender in rows]


def rows_of(found: People) -> list[tuple[float, float, float]]:
    return [
        (weight, height, female)
        for (weight, height), female in zip(found.measurements.tolist(), found.female.tolist(), strict=True)
    ]


def counted(found: People) -> Counter[tuple[float, float, float]]:
    counter: Counter[tuple[float, float, float]] = Counter()
    for row, count in zip(rows_of(found), found.counts.tolist(), strict=True):
        counter[row] += int(count)
    return counter


def is_held_out(weight_lb: float, height_in: float, female: float) -> bool:
    row = f"{weight_lb:.4f},{height_in:.4f},{int(female)}"
    return int.from_bytes(hashlib.sha256(row.encode()).digest()[:8], "big") % 5 == 0


def refused(path: str, **options: object) -> str:
    with pytest.raises(DataError) as error:
        read_people(path, **options)
    return str(error.value)


def bad_lines(message: str) -> list[tuple[int, str]]:
    """(line, what is wrong with it) of a message about bad rows."""
    return [(int(line), said) for line, said in re.findall(r"^  (?:line|row) (\d+): (.*)$", message, re.MULTILINE)]


def line_of(content: str, fragment: str) -> int:
    """On which line the fragment stands, counted without any notion of CSV."""
    return content[: content.index(fragment)].count("\n") + 1


# Dialects


def quoted(rows: Iterable[Row]) -> list[Row]:
    return [tuple(f'"{field}"' for field in row) for row in rows]


DIALECTS: dict[str, Callable[[], bytes]] = {
    "plain": lambda: text(ROWS).encode(),
    "without a last newline": lambda: text(ROWS).rstrip("\n").encode(),
    "semicolons": lambda: text(ROWS, delimiter=";").encode(),
    "tabs": lambda: text(ROWS, delimiter="\t").encode(),
    "byte order mark": lambda: text(ROWS).encode("utf-8-sig"),
    "byte order mark before a quote": lambda: text(ROWS, ('"weight_kg"', *HEADER[1:])).encode("utf-8-sig"),
    "CRLF": lambda: text(ROWS, newline="\r\n").encode(),
    "CR": lambda: text(ROWS, newline="\r").encode(),
    "quoted fields": lambda: text(quoted(ROWS), quoted([HEADER])[0]).encode(),
    "upper-case header": lambda: text(ROWS, ("WEIGHT_KG", "Height_Cm", "GENDER")).encode(),
    "spaces around names": lambda: text(ROWS, (" weight_kg", "height_cm ", " gender ")).encode(),
    "spaces around values": lambda: text([tuple(f" {field}  " for field in row) for row in ROWS]).encode(),
    "other order": lambda: text([(c, b, a) for a, b, c in ROWS], HEADER[::-1]).encode(),
    "blank lines": lambda: text(ROWS, newline="\n\n").encode(),
    "a delimiter after each row": lambda: text(ROWS, newline=",\n").encode(),
    "gzip": lambda: gzip.compress(text(ROWS).encode()),
    "gzip in two members": lambda: b"".join(gzip.compress(part) for part in _halves(text(ROWS).encode())),
    "gzip of a byte order mark and CRLF": lambda: gzip.compress(text(ROWS, newline="\r\n").encode("utf-8-sig")),
    "f and m": lambda: text([(a, b, c[0]) for a, b, c in ROWS]).encode(),
    "genders in any case": lambda: text(
        [(a, b, (c.upper(), c.title(), c[0].upper(), f"  {c} ")[number % 4]) for number, (a, b, c) in enumerate(ROWS)]
    ).encode(),
    "more columns": lambda: text(
        [("1", *row, '"says ""hi"", and\nleaves"', "é☃") for row in ROWS], ("id", *HEADER, "note", "gender of the cat")
    ).encode(),
    "a column that no one should be able to name": lambda: text(
        [("1", *row) for row in ROWS], ('"a"" FROM x; --"', *HEADER)
    ).encode(),
    "numbers in other notations": lambda: text([(f"{float(a):e}", f"+{float(b):.4f}", c) for a, b, c in ROWS]).encode(),
}


def _halves(content: bytes) -> tuple[bytes, bytes]:
    return content[:1000], content[1000:]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_same_people_are_read_from_every_dialect(tmp_path: Path, dialect: str) -> None:
    found = read_people(write(tmp_path / "people.csv", DIALECTS[dialect]()))
    assert counted(found) == Counter(canonical(ROWS))
    assert found.left_out == {}
    assert found.source == "people.csv"


@pytest.mark.parametrize("number", ["DOUBLE", "FLOAT", "DECIMAL(5, 1)"])
def test_parquet_holds_the_same_people(tmp_path: Path, number: str) -> None:
    """In single precision too, whose 78.9 is 78.9000015: they are the same rows, and so held out or not."""
    found = read_people(write_parquet(tmp_path / "people.parquet", ROWS, number=number))
    assert counted(found) == Counter(canonical(ROWS))
    assert found.fingerprint == read_people(write(tmp_path / "people.csv", text(ROWS))).fingerprint


def test_parquet_may_have_upper_case_names_more_columns_and_names_that_look_like_sql(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "people.parquet",
        [("x", *row) for row in ROWS],
        ('a" FROM x; --', "WEIGHT_kg", " Height_CM ", "Gender"),
    )
    assert counted(read_people(path)) == Counter(canonical(ROWS))


@pytest.mark.parametrize(
    ("header", "weight", "height"),
    [
        (("weight_kg", "height_in", "gender"), 1.0, CM),
        (("weight_lb", "height_cm", "gender"), KG, 1.0),
        (("weight_lb", "height_in", "gender"), KG, CM),
    ],
    ids=["kg and in", "lb and cm", "lb and in"],
)
def test_the_units_of_weight_and_height_are_each_those_of_their_column(
    tmp_path: Path, header: Row, weight: float, height: float
) -> None:
    rows = [(repr(float(a) / weight), repr(float(b) / height), c) for a, b, c in ROWS]
    found = read_people(write(tmp_path / "people.csv", text(rows, header)))
    # Rows that differ by rounding are the same people in another order at most: compare person by person.
    expected = sorted(canonical(ROWS))
    assert np.array(sorted(counted(found).elements())) == pytest.approx(np.array(expected), rel=1e-14)


def test_pounds_and_inches_are_taken_as_they_stand(tmp_path: Path) -> None:
    rows = [(f"{float(a) / KG:.1f}", f"{float(b) / CM:.1f}", c) for a, b, c in ROWS]
    found = read_people(write(tmp_path / "people.csv", text(rows, ("weight_lb", "height_in", "gender"))))
    assert counted(found) == Counter((float(a), float(b), GENDERS[c]) for a, b, c in rows)


@pytest.mark.parametrize(
    "name",
    [
        "with spaces.csv",
        "people [1].csv",
        "a*b?.csv",
        "{a,b}.csv",
        'it\'s "quoted".csv',
        "x'); DROP TABLE people; --.csv",
        "back\\slash.csv",
        "new\nline.csv",
        "çé☃.csv",
        "-dash.csv",
        "no extension",
        "called.parquet",
        "called.gz",
        "$path.csv",
    ],
)
def test_a_file_of_any_name_is_read_and_no_other(tmp_path: Path, name: str) -> None:
    for decoy in ("people 1.csv", "aXbY.csv", "a", "b", "a.csv", "b.csv"):
        write(tmp_path / decoy, text([("60", "160", "female"), ("80", "180", "male")] * 100))
    assert counted(read_people(write(tmp_path / name, text(ROWS)))) == Counter(canonical(ROWS))


def test_a_directory_with_glob_characters_in_its_name_is_a_directory_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "[0-9]*").mkdir()
    assert len(read_people(write(tmp_path / "[0-9]*" / "people.csv", text(ROWS)))) == 200


def test_parquet_of_any_name_is_read_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(b"PAR1 and nothing")
    path = write_parquet(tmp_path / "plain", ROWS)
    odd = (tmp_path / "plain").rename(tmp_path / "[p]*.parquet")
    assert path != str(odd)
    assert counted(read_people(str(odd))) == Counter(canonical(ROWS))


@pytest.mark.parametrize("data", SHIPPED)
def test_the_shipped_people_are_read_by_their_short_names(data: str) -> None:
    found = read_people(data, fewest=1, hold_out=data != "tutorial")
    assert found.source == data
    assert len(found) == {"tutorial": 4, "nhanes": 6000}[data]


# Genders as numbers


def coded(rows: Iterable[Row], female: str, male: str) -> list[Row]:
    return [(a, b, female if c == "female" else male) for a, b, c in rows]


@pytest.mark.parametrize(
    ("female", "male", "code"),
    [("2", "1", "2"), ("0", "1", "0"), ("2", "1", "2.0"), ("2.0", "1.0", "2"), (" 2", "01", "+2"), ("-1", "1", "-1")],
)
def test_a_gender_coded_as_a_number_is_female_where_it_is_the_code(
    tmp_path: Path, female: str, male: str, code: str
) -> None:
    found = read_people(write(tmp_path / "people.csv", text(coded(ROWS, female, male))), female_code=code)
    assert counted(found) == Counter(canonical(ROWS))


def test_numbers_as_genders_are_not_guessed(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "people.csv", text(coded(ROWS, "2", "1"))))
    assert "the column gender holds the numbers 1 (100 x), 2 (100 x)" in message
    assert "--female-code" in message


def test_a_code_that_nobody_has_is_refused_with_the_codes_that_there_are(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "people.csv", text(coded(ROWS, "2", "1"))), female_code="3")
    assert "must hold 3 and one other number; it holds 1 (100 x), 2 (100 x)" in message


def test_three_codes_are_refused_since_two_of_them_would_be_male(tmp_path: Path) -> None:
    rows = [*coded(ROWS, "2", "1"), ("70", "170", "9")]
    message = refused(write(tmp_path / "people.csv", text(rows)), female_code="2")
    assert "9 (1 x)" in message


def test_a_word_among_the_codes_is_a_bad_row(tmp_path: Path) -> None:
    rows = [*coded(ROWS, "2", "1"), ("70", "170", "female")]
    path = write(tmp_path / "people.csv", text(rows))
    assert bad_lines(refused(path, female_code="2")) == [(202, "gender is 'female'")]
    assert read_people(path, female_code="2", skip_bad_rows=True).left_out == {"gender is unknown": 1}


@pytest.mark.parametrize("code", ["female", "", "nan", "inf", "1,2"])
def test_a_code_that_is_no_number_is_refused(tmp_path: Path, code: str) -> None:
    path = write(tmp_path / "people.csv", text(coded(ROWS, "2", "1")))
    with pytest.raises(SettingsError, match="--female-code"):
        read_people(path, female_code=code)


# Columns


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            ("weight", "height_cm", "gender"),
            "no column weight_kg or weight_lb; its columns are: weight, height_cm, gender",
        ),
        (
            ("weight_kg", "height", "gender"),
            "no column height_cm or height_in; its columns are: weight_kg, height, gender",
        ),
        (("weight_kg", "height_cm", "sex"), "no column gender; its columns are: weight_kg, height_cm, sex"),
    ],
)
def test_a_missing_column_is_named_beside_those_that_are_there(tmp_path: Path, header: Row, said: str) -> None:
    assert said in refused(write(tmp_path / "people.csv", text(ROWS, header)))
    assert said in refused(write_parquet(tmp_path / "people.parquet", ROWS, header))


@pytest.mark.parametrize("more", ["weight_lb", "height_in", "weight_kg", " GENDER"])
def test_two_columns_for_one_thing_are_refused(tmp_path: Path, more: str) -> None:
    message = refused(write(tmp_path / "people.csv", text([("1", *row) for row in ROWS], (more, *HEADER))))
    assert "keep one of them" in message
    assert more.strip().lower() in message


# Bad rows

BAD_ROWS = {
    ("abc", "170", "male"): "weight_kg is 'abc'",
    ("", "170", "male"): "weight_kg is empty",
    ("70", "", "male"): "height_cm is empty",
    ("nan", "170", "male"): "weight_kg is 'nan'",
    ("70", "inf", "male"): "height_cm is 'inf'",
    ("1e400", "170", "male"): "weight_kg is '1e400'",
    ("7_0", "170", "male"): "weight_kg is '7_0'",
    ("0x46", "170", "male"): "weight_kg is '0x46'",
    ("70 kg", "170", "male"): "weight_kg is '70 kg'",
    ("182", "73", "male"): "182 kg and 73 cm look swapped",
    ("70", "72", "male"): "72 cm looks like inches: the model knows adults of 100 to 250 cm",
    ("450", "182", "male"): "450 kg looks like pounds: the model knows adults of 20 to 400 kg",
    ("70", "-170", "male"): "-170 cm is outside the domain: the model knows adults of 100 to 250 cm",
    ("70", "170", "other"): "gender is 'other'",
    ("70", "170", ""): "gender is empty",
    ("70", "170", "1"): "gender is '1'",
}


@pytest.mark.parametrize(("row", "said"), BAD_ROWS.items(), ids=",".join)
def test_a_bad_value_is_told_with_its_line_and_what_it_is(tmp_path: Path, row: Row, said: str) -> None:
    content = text([*ROWS[:100], row, *ROWS[100:]])
    message = refused(write(tmp_path / "people.csv", content))
    assert bad_lines(message) == [(line_of(content, ",".join(row)), said)]
    assert message.startswith("people.csv has 1 bad row:\n  1 x ")
    assert message.endswith("Mend them, or leave them out with --bad-rows skip.")


def test_of_a_parquet_file_the_row_is_told(tmp_path: Path) -> None:
    rows = [*ROWS[:100], ("70", "72", "male"), *ROWS[100:], ("70", "170", "other")]
    message = refused(write_parquet(tmp_path / "people.parquet", rows))
    assert [line for line, _ in bad_lines(message)] == [101, 202]
    assert "\n  row 101: 72 cm looks like inches" in message


def test_the_reasons_are_counted_and_the_first_ten_lines_shown_in_order(tmp_path: Path) -> None:
    bad = [("70", "170", f"other {number}") for number in range(9)] + [("x", "170", "male"), ("70", "170"), ("1", "2")]
    chance = random.Random(5)
    rows = chance.sample([*ROWS, *bad], len(ROWS) + len(bad))
    content = text(rows)
    expected = sorted(line_of(content, "\n" + ",".join(row) + "\n") + 1 for row in bad)

    message = refused(write(tmp_path / "people.csv", content))

    assert message.startswith("people.csv has 12 bad rows:\n  9 x gender is unknown\n")
    assert f"  1 x weight_kg is missing or not a number\n  2 x {MALFORMED}\n" in message
    assert [line for line, _ in bad_lines(message)] == expected[:10]
    assert "\n  …\n" in message


def test_lines_with_too_many_or_too_few_fields_are_told_by_their_numbers(tmp_path: Path) -> None:
    rows = [*ROWS[:50], ("1", "2"), ("x", "170", "male"), *ROWS[50:], ("1", "2", "3", "4"), ("70", "170", "y")]
    content = text(rows)
    expected = [line_of(content, fragment) for fragment in ("1,2\n", "x,170", "1,2,3,4", "70,170,y")]
    message = refused(write(tmp_path / "people.csv", content))
    assert [line for line, _ in bad_lines(message)] == expected


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_blank_lines_do_not_shift_the_numbers_of_lines(tmp_path: Path, newline: str) -> None:
    blank = ("",)
    rows = [
        blank,
        blank,
        ("70", "170", "x"),
        blank,
        ("1", "2"),
        blank,
        blank,
        *ROWS,
        blank,
        ("y", "170", "male"),
        blank,
    ]
    content = text(rows)
    expected = [line_of(content, fragment) for fragment in ("70,170,x", "1,2\n", "y,170,male")]

    message = refused(write(tmp_path / "people.csv", content.replace("\n", newline)))

    assert [line for line, _ in bad_lines(message)] == expected


NOTED = ("note", *HEADER)


def noted(rows: Iterable[Row]) -> list[Row]:
    return [("n", *row) for row in rows]


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
def test_fields_of_many_lines_do_not_shift_the_numbers_of_lines(tmp_path: Path, *, compress: bool) -> None:
    rows = [
        ('"a\nb\n\nc"', "70", "170", "male"),
        ("", "x", "170", "male"),
        *noted(ROWS),
        ('"says ""so""\n"', "70", "170", "female"),
        ('"d\ne"', "70", "170", "y"),
        ("", "z", "170", "male"),
    ]
    content = text(rows, NOTED)
    expected = [line_of(content, fragment) for fragment in (",x,", '"d\ne"', ",z,")]

    encoded = content.encode()
    message = refused(write(tmp_path / "people.csv", gzip.compress(encoded) if compress else encoded))

    assert [line for line, _ in bad_lines(message)] == expected


def test_a_line_with_too_few_fields_after_a_field_of_many_lines_has_the_number_of_its_line(tmp_path: Path) -> None:
    rows = [('"a\nb\n\nc"', "70", "170", "male"), ("short", "70"), ("q", "70", "170", "y"), *noted(ROWS)]
    content = text(rows, NOTED)
    expected = [line_of(content, fragment) for fragment in ("short", "q,70,170,y")]
    assert [line for line, _ in bad_lines(refused(write(tmp_path / "people.csv", content)))] == expected


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_wherever_bad_rows_stand_their_lines_are_told(tmp_path: Path, data: st.DataObject) -> None:
    good = ("n", "70", "170", "male")
    kinds = {
        "blank": ("",),
        "good": good,
        "many lines": ('"1\n2\n3"', *good[1:]),
        "bad value": ("b", "x", "170", "male"),
        "bad gender": ('"b\n"', "70", "170", "x"),
    }
    drawn = data.draw(st.lists(st.sampled_from(sorted(kinds)), max_size=12))
    line, expected = 2, []
    for kind in drawn:
        if kind.startswith("bad"):
            expected.append(line)
        line += 1 + "\n".join(kinds[kind]).count("\n") - len(kinds[kind]) + 1
    content = text([*(kinds[kind] for kind in drawn), *noted(ROWS[:20])], NOTED)
    path = write(tmp_path / "people.csv", content)
    if not expected:
        assert read_people(path, fewest=1, hold_out=False).left_out == {}
    else:
        assert [line for line, _ in bad_lines(refused(path))] == expected[:10]


def test_three_bad_rows_among_two_hundred_thousand_are_found_on_their_lines(tmp_path: Path) -> None:
    rows: list[Row] = ROWS * 1000
    bad = {0: ("x", "170", "male"), 123_456: ("70", "170"), 200_002: ("182", "73", "female")}
    for position, row in bad.items():
        rows.insert(position, row)
    content = text(rows)
    expected = [line_of(content, fragment) for fragment in ("x,170", "70,170\n", "182,73")]
    assert expected == [position + 2 for position in bad]
    path = write(tmp_path / "people.csv", content)

    message = refused(path)

    assert message.startswith("people.csv has 3 bad rows:\n")
    assert [line for line, _ in bad_lines(message)] == expected
    found = read_people(path, skip_bad_rows=True)
    assert counted(found) == Counter({row: count * 1000 for row, count in Counter(canonical(ROWS)).items()})


@pytest.mark.parametrize("in_file_order", [False, True])
def test_bad_rows_are_left_out_and_counted_where_that_is_asked_for(tmp_path: Path, *, in_file_order: bool) -> None:
    bad: list[Row] = [*BAD_ROWS, ("1", "2"), ("70", "170", "male", "x")]
    rows = random.Random(7).sample([*ROWS, *bad], len(ROWS) + len(bad))
    found = read_people(write(tmp_path / "people.csv", text(rows)), skip_bad_rows=True, in_file_order=in_file_order)
    assert counted(found) == Counter(canonical(ROWS))
    assert found.left_out == {
        "weight_kg is missing or not a number": 7,
        "height_cm is missing or not a number": 2,
        "height_cm is outside the domain (100 to 250 cm)": 3,
        "weight_kg is outside the domain (20 to 400 kg)": 1,
        "gender is unknown": 3,
        MALFORMED: 2,
    }


def test_left_out_counts_rows_and_not_distinct_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", text([*ROWS, *[("70", "170", "x")] * 40]))
    assert read_people(path, skip_bad_rows=True).left_out == {"gender is unknown": 40}


def test_a_quote_left_open_is_told_with_the_line_where_it_opens(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "people.csv", text([*ROWS, ("70", '"170', "male"), ("71", "171", "male")])))
    assert [line for line, _ in bad_lines(message)] == [202]


def test_a_quote_left_open_in_the_first_row_is_not_mistaken_for_a_file_without_rows(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "people.csv", text([("70", '"170', "male"), *ROWS])))
    assert [line for line, _ in bad_lines(message)] == [2]


def test_rows_that_are_all_malformed_are_not_mistaken_for_a_file_without_rows(tmp_path: Path) -> None:
    content = text([HEADER]) + text(ROWS[1:], ROWS[0], delimiter=";")
    message = refused(write(tmp_path / "people.csv", content.partition("\n")[2]))
    assert MALFORMED in message
    assert bad_lines(message)[0][0] == 2


# Files that are not what they seem


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_a_file_that_begins_with_no_header_is_refused(tmp_path: Path, content: bytes) -> None:
    assert refused(write(tmp_path / "people.csv", content)) == "people.csv has no header: its first line is empty"


@pytest.mark.parametrize("newline", ["", "\n", "\n\n\n"])
def test_a_header_alone_is_refused(tmp_path: Path, newline: str) -> None:
    message = refused(write(tmp_path / "people.csv", text([]).strip() + newline))
    assert message == "people.csv has a header and no row below it"


def test_an_empty_parquet_file_is_refused(tmp_path: Path) -> None:
    message = refused(write_parquet(tmp_path / "people.parquet", []))
    assert message == "people.parquet has a header and no row below it"


@pytest.mark.parametrize("place", ["/", "/dev/null"])
def test_what_is_no_file_is_not_said_to_be_missing(place: str) -> None:
    assert refused(place) == f"{place} is a folder, a pipe or a device: --data takes a file, 'tutorial' or 'nhanes'"


@pytest.mark.parametrize("name", ["nowhere.csv", "people.csv/below", "a\0b"])
def test_a_missing_file_is_no_file(tmp_path: Path, name: str) -> None:
    write(tmp_path / "people.csv", text(ROWS))
    assert "there is no such file at" in refused(f"{tmp_path}/{name}")


@pytest.mark.parametrize("length", [5, 20, 200, -400, -9, -8, -1])
def test_a_truncated_gzip_file_is_refused(tmp_path: Path, length: int) -> None:
    content = gzip.compress(text(ROWS).encode())
    assert "cannot be read" in refused(write(tmp_path / "people.csv.gz", content[:length]))


def test_a_damaged_gzip_file_is_refused_in_words_wherever_it_is_damaged(tmp_path: Path) -> None:
    whole = gzip.compress(text(ROWS).encode(), mtime=0)
    escaped: dict[int, str] = {}
    for position in range(0, len(whole), 29):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        try:
            read_people(write(tmp_path / "people.csv.gz", bytes(damaged)))
        except DataError:
            pass
        except Exception as error:  # noqa: BLE001 - which one escapes is the finding
            escaped[position] = repr(error)
    assert escaped == {}


def test_a_gzip_file_that_does_not_match_its_checksum_is_refused(tmp_path: Path) -> None:
    stored = bytearray(gzip.compress(text(ROWS).encode(), compresslevel=0))
    digit = stored.index(ROWS[100][0].encode())
    stored[digit + 1 : digit + 2] = b"0" if stored[digit + 1] != ord("0") else b"1"
    assert "cannot be read" in refused(write(tmp_path / "people.csv.gz", bytes(stored)))


@pytest.mark.parametrize("length", [4, 5, 100, -500, -8, -1])
def test_a_truncated_parquet_file_is_refused(tmp_path: Path, length: int) -> None:
    write_parquet(tmp_path / "whole.parquet", ROWS)
    content = (tmp_path / "whole.parquet").read_bytes()[:length]
    assert "cannot be read" in refused(write(tmp_path / "people.parquet", content))


def test_a_damaged_parquet_file_is_refused_in_words_or_read_wherever_it_is_damaged(tmp_path: Path) -> None:
    write_parquet(tmp_path / "whole.parquet", ROWS)
    whole = (tmp_path / "whole.parquet").read_bytes()
    escaped: dict[int, str] = {}
    for position in range(4, len(whole), 67):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        try:
            read_people(write(tmp_path / "people.parquet", bytes(damaged)))
        except DataError:
            pass
        except Exception as error:  # noqa: BLE001 - which one escapes is the finding
            escaped[position] = repr(error)
    assert escaped == {}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_another_encoding_is_refused_with_what_to_save_it_as(tmp_path: Path, encoding: str) -> None:
    message = refused(write(tmp_path / "people.csv", text(ROWS).encode(encoding)))
    assert message == "people.csv is not text in UTF-8: save it as CSV in UTF-8, or as Parquet"


def test_utf_16_without_a_mark_has_no_column_that_is_known(tmp_path: Path) -> None:
    assert "no column weight_kg or weight_lb" in refused(write(tmp_path / "p.csv", text(ROWS).encode("utf-16-le")))


def test_latin_1_near_the_beginning_is_refused_with_what_to_save_it_as(tmp_path: Path) -> None:
    content = text(ROWS).encode() + b"70,170,f\xe9male\n"
    assert "save it as CSV in UTF-8" in refused(write(tmp_path / "people.csv", content))


def test_latin_1_far_from_the_beginning_is_told_with_its_line(tmp_path: Path) -> None:
    content = text(ROWS * 60).encode() + b"70,170,f\xe9male\n"
    message = refused(write(tmp_path / "people.csv", content))
    assert [line for line, _ in bad_lines(message)] == [12_002]


def test_latin_1_before_another_bad_row_is_refused_in_words(tmp_path: Path) -> None:
    content = text(ROWS * 60).encode() + b"70,170,f\xe9male\n70,170,x\n"
    assert refused(write(tmp_path / "people.csv", content))


def test_null_bytes_are_no_part_of_a_number_nor_of_a_gender(tmp_path: Path) -> None:
    rows = [*ROWS, ("70", "17\x000", "male"), ("\x00", "170", "male"), ("70", "170", "male\x00")]
    message = refused(write(tmp_path / "people.csv", text(rows)))
    assert [line for line, _ in bad_lines(message)] == [202, 203, 204]


def test_null_bytes_in_the_header_make_no_column(tmp_path: Path) -> None:
    assert "no column height_cm" in refused(
        write(tmp_path / "p.csv", text(ROWS, ("weight_kg", "height\x00_cm", "gender")))
    )


@pytest.mark.parametrize("length", [200_000, 1_000_000])
def test_a_single_line_of_a_megabyte_is_one_bad_row(tmp_path: Path, length: int) -> None:
    content = text(ROWS) + "x" * length + "\n"
    message = refused(write(tmp_path / "people.csv", content))
    assert [line for line, _ in bad_lines(message)] == [202]
    assert len(message) < 1000


@pytest.mark.parametrize("length", [200_000, 1_000_000])
def test_a_single_field_of_a_megabyte_is_one_bad_row(tmp_path: Path, length: int) -> None:
    content = text([*ROWS, ("9" * length, "170", "male")])
    message = refused(write(tmp_path / "people.csv", content))
    assert [line for line, _ in bad_lines(message)] == [202]
    assert len(message) < 1000


def test_a_long_field_before_a_bad_row_does_not_hide_its_line(tmp_path: Path) -> None:
    content = text([("x" * 200_000, *ROWS[0]), *noted(ROWS), ("n", "70", "170", "y")], NOTED)
    assert bad_lines(refused(write(tmp_path / "people.csv", content))) == [(203, "gender is 'y'")]


def test_a_megabyte_without_any_newline_is_refused_in_a_short_message(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "people.csv", "a" * 1_000_000))
    assert "no column weight_kg or weight_lb" in message
    assert len(message) < 1000


# People who cannot be trained on


def test_people_of_one_gender_only_are_refused(tmp_path: Path) -> None:
    women = [row for row in people(400) if row[2] == "female"]
    message = refused(write(tmp_path / "people.csv", text(women)))
    assert "people of one gender only (200 female)" in message


def test_fewer_than_fifty_people_are_refused_and_fifty_are_not(tmp_path: Path) -> None:
    assert "has 49 people, and training needs at least 50" in refused(write(tmp_path / "p.csv", text(ROWS[:49])))
    assert len(read_people(write(tmp_path / "p.csv", text(ROWS[:50])))) == 50


def test_bad_rows_do_not_count_towards_the_fifty(tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", text([*ROWS[:49], ("70", "170", "x")]))
    assert "has 49 people" in refused(path, skip_bad_rows=True)


def test_people_who_are_all_alike_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", text([("70", "170", "female"), ("70", "170", "male")] * 100))
    assert "too small or too uniform: of its 200 people, 0 are held out to judge by" in refused(path)


def test_a_file_of_which_no_row_is_left_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", text([("70", "", "male"), ("", "170", "female")] * 100))
    message = refused(path, skip_bad_rows=True)
    assert "one gender" not in message


# Units that cannot be


def test_a_column_whose_median_is_outside_the_domain_is_named_with_what_it_looks_like(tmp_path: Path) -> None:
    rows = [(a, repr(float(b) / CM), c) for a, b, c in ROWS]
    message = refused(write(tmp_path / "people.csv", text(rows)))
    height = f"{statistics.median_low(float(b) for _, b, _ in rows):g}"
    weight = f"{statistics.median_low(float(a) for a, _, _ in rows):g}"
    assert f"the median person has weight_kg {weight} and height_cm {height}, which cannot be" in message
    assert "looks like inches" in message
    assert "Rename the column" in message


def test_a_column_in_a_unit_that_no_name_stands_for_is_to_be_converted(tmp_path: Path) -> None:
    rows = [(a, repr(float(b) / 100), c) for a, b, c in ROWS]
    assert refused(write(tmp_path / "people.csv", text(rows))).endswith("or convert it")


def test_swapped_columns_are_named_as_swapped(tmp_path: Path) -> None:
    assert "look swapped" in refused(write(tmp_path / "people.csv", text([(b, a, c) for a, b, c in ROWS])))


@pytest.mark.parametrize(
    ("header", "factor", "said"),
    [
        (("weight_kg", "height_cm", "gender"), 1 / KG, "weight_kg looks like pounds"),
        (("weight_lb", "height_cm", "gender"), 1.0, "weight_lb looks like kilograms"),
    ],
)
def test_a_median_body_mass_index_that_no_population_has_is_refused(
    tmp_path: Path, header: Row, factor: float, said: str
) -> None:
    rows = [(repr(float(a) * factor), b, c) for a, b, c in ROWS]
    message = refused(write(tmp_path / "people.csv", text(rows, header)))
    weight = statistics.median_low(float(a) for a, _, _ in rows) * (KG if header[0] == "weight_lb" else 1.0)
    height = statistics.median_low(float(b) for _, b, _ in rows)
    assert f"a body mass index of {weight / (height / 100) ** 2:.0f}, which no population has" in message
    assert said in message


def test_wrong_units_are_not_skipped_as_bad_rows(tmp_path: Path) -> None:
    rows = [(a, repr(float(b) / CM), c) for a, b, c in ROWS]
    assert "which cannot be" in refused(write(tmp_path / "people.csv", text(rows)), skip_bad_rows=True)


def test_a_few_people_with_the_wrong_unit_do_not_move_the_median(tmp_path: Path) -> None:
    wrong = [(a, repr(float(b) / CM), c) for a, b, c in ROWS[:30]]
    message = refused(write(tmp_path / "people.csv", text([*wrong, *ROWS])))
    assert message.startswith("people.csv has 30 bad rows:")


def test_a_column_without_any_number_is_named_with_what_it_holds_instead(tmp_path: Path) -> None:
    rows = [("", "180.5", "male"), *((a.replace(".", ","), b, c) for a, b, c in ROWS)]
    message = refused(write(tmp_path / "people.csv", text(rows, delimiter=";")))
    assert f"the column weight_kg holds no number at all: it begins with '{rows[1][0]}'" in message
    assert message.endswith("a number is written as 78.9")


def test_a_column_that_is_empty_throughout_holds_no_number(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "people.csv", text([("", b, c) for _, b, c in ROWS])))
    assert message.endswith("the column weight_kg holds no number at all; a number is written as 78.9")


def test_genders_in_other_words_are_refused_with_what_there_is(tmp_path: Path) -> None:
    rows = [(a, b, "Frau" if c == "female" else "Mann") for a, b, c in ROWS]
    message = refused(write(tmp_path / "people.csv", text(rows)))
    assert "the column gender holds frau (100 x), mann (100 x)" in message


# Counted, ordered, held out


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["60", "60.0", "6e1", "70.5", "81.25", "20", "400"]),
            st.sampled_from(["160", "160.00", "175.5", "100", "250"]),
            st.sampled_from(["female", "F", "m", "Male"]),
        ),
        min_size=1,
        max_size=60,
    ),
    kind=st.sampled_from(["csv", "gzip", "parquet"]),
    in_file_order=st.booleans(),
)
def test_the_counted_rows_are_a_counter_of_the_rows(
    tmp_path: Path, rows: list[Row], kind: str, *, in_file_order: bool
) -> None:
    # Two usual adults often enough that no median is odd.
    rows = [*rows, *[("60", "160", "female"), ("70.5", "175.5", "m")] * (len(rows) + 1)]
    path = tmp_path / "people"
    if kind == "parquet":
        write_parquet(path, rows)
    else:
        write(path, gzip.compress(text(rows).encode()) if kind == "gzip" else text(rows))
    expected = Counter((float(a) / KG, float(b) / CM, 1.0 if c.lower().startswith("f") else 0.0) for a, b, c in rows)

    found = read_people(str(path), fewest=1, hold_out=False, in_file_order=in_file_order)

    assert counted(found) == expected
    assert len(found) == len(rows)
    assert found.distinct_rows == len(expected)
    assert not found.held_out.any()
    if not in_file_order:
        assert rows_of(found) == sorted(expected)


def test_counted_rows_are_ordered_by_weight_height_and_gender(tmp_path: Path) -> None:
    found = rows_of(read_people(write(tmp_path / "people.csv", text(ROWS * 3))))
    assert found == sorted(set(canonical(ROWS)))


def test_in_file_order_is_a_row_for_each_person_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows = random.Random(3).choices(ROWS, k=500)
    found = read_people(write(tmp_path / "people.csv", text(rows)), in_file_order=True)
    assert rows_of(found) == canonical(rows)
    assert found.counts.tolist() == [1.0] * 500
    assert found.in_file_order


def test_in_file_order_holds_for_many_rows_and_for_parquet(tmp_path: Path) -> None:
    rows = random.Random(4).choices(people(5000, seed=4), k=150_000)
    expected = canonical(rows)
    for path in (write(tmp_path / "people.csv", text(rows)), write_parquet(tmp_path / "people.parquet", rows)):
        assert rows_of(read_people(path, in_file_order=True)) == expected


@pytest.mark.parametrize("in_file_order", [False, True])
def test_held_out_are_those_whose_row_hashes_to_0_modulo_5(tmp_path: Path, *, in_file_order: bool) -> None:
    rows = people(3000, seed=9)
    for path in (write(tmp_path / "people.csv", text(rows)), write_parquet(tmp_path / "people.parquet", rows)):
        found = read_people(path, in_file_order=in_file_order)
        assert found.held_out.tolist() == [is_held_out(*row) for row in rows_of(found)]
        assert 0.15 < found.held_out.mean() < 0.25


def test_of_the_shipped_sample_the_same_people_are_held_out() -> None:
    found = read_people("nhanes")
    assert found.held_out.tolist() == [is_held_out(*row) for row in rows_of(found)]


def test_the_same_people_are_held_out_of_another_file_in_another_order_and_unit(tmp_path: Path) -> None:
    # To a tenth of a pound and of an inch, so that both units are exact.
    pounds = [(f"{float(a) / KG:.1f}", f"{float(b) / CM:.1f}", c) for a, b, c in ROWS]
    kilograms = [(repr(float(a) * KG), repr(float(b) * CM), c) for a, b, c in pounds]
    first = read_people(write(tmp_path / "a.csv", text(pounds, ("weight_lb", "height_in", "gender"))))
    more = random.Random(1).sample([*kilograms, *people(300, seed=77)], 500)
    second = read_people(write(tmp_path / "b.csv", text(more)))

    def to_four_places(found: People, *, held_out: bool) -> set[str]:
        return {f"{a:.4f} {b:.4f} {c}" for a, b, c in rows_of(found.where(found.held_out == held_out))}

    assert to_four_places(first, held_out=True) <= to_four_places(second, held_out=True)
    assert to_four_places(first, held_out=False) <= to_four_places(second, held_out=False)


# Fingerprints


def fingerprint(rows: Iterable[tuple[float, float, float]]) -> str:
    """As it is defined: the counted rows in their order, four little-endian float64 each."""
    counter = Counter(rows)
    return hashlib.sha256(b"".join(struct.pack("<4d", *row, counter[row]) for row in sorted(counter))).hexdigest()


def test_the_fingerprint_is_that_of_the_counted_rows(tmp_path: Path) -> None:
    rows = random.Random(3).choices(ROWS, k=500)
    found = read_people(write(tmp_path / "people.csv", text(rows)))
    assert found.fingerprint == fingerprint(canonical(rows))
    assert found.order_fingerprint is None


def test_the_fingerprint_is_the_same_in_any_order_dialect_and_manner_of_reading(tmp_path: Path) -> None:
    rows = random.Random(3).choices(ROWS, k=500)
    shuffled = random.Random(4).sample(rows, len(rows))
    paths = [
        write(tmp_path / "a.csv", text(rows)),
        write(tmp_path / "b.csv", text(shuffled, delimiter=";", newline="\r\n")),
        write(tmp_path / "c.csv", gzip.compress(text(shuffled).encode())),
        write_parquet(tmp_path / "d.parquet", rows),
        write_parquet(tmp_path / "e.parquet", shuffled),
    ]
    found = {
        read_people(path, in_file_order=in_file_order).fingerprint for path in paths for in_file_order in (False, True)
    }
    assert found == {fingerprint(canonical(rows))}


def test_the_fingerprint_changes_with_any_person(tmp_path: Path) -> None:
    variants = [
        ROWS,
        ROWS[1:],
        [*ROWS, ROWS[0]],
        [(ROWS[0][0], ROWS[0][1], "female"), *ROWS[1:]],
        [(f"{float(ROWS[0][0]) + 0.1:.1f}", *ROWS[0][1:]), *ROWS[1:]],
    ]
    assert ROWS[0][2] == "male"
    found = {read_people(write(tmp_path / "people.csv", text(rows))).fingerprint for rows in variants}
    assert len(found) == len(variants)


def test_the_order_has_its_own_fingerprint_where_it_matters(tmp_path: Path) -> None:
    def ordered(rows: list[Row]) -> str | None:
        return read_people(write(tmp_path / "people.csv", text(rows)), in_file_order=True).order_fingerprint

    expected = hashlib.sha256(b"".join(struct.pack("<4d", *row, 1.0) for row in canonical(ROWS))).hexdigest()
    assert ordered(ROWS) == expected
    assert ordered(ROWS[::-1]) != expected


def test_where_keeps_these_rows_only(tmp_path: Path) -> None:
    found = read_people(write(tmp_path / "people.csv", text(ROWS)))
    women = found.where(found.female == 1)
    assert len(women) == 100
    assert rows_of(women) == [row for row in rows_of(found) if row[2] == 1.0]
    assert women.held_out.tolist() == found.held_out[found.female == 1].tolist()
    assert women.fingerprint != found.fingerprint
