"""A file of people, looked at by DuckDB: parsed, checked and counted, or explained line by line.

    header ──► columns, units, delimiter ──► one GROUP BY: each distinct row once ──► checks ──► the good rows as arrays

Identical rows are counted before anything else, so all checks are made on some hundred thousand rows at most. Only to
explain bad rows, with the numbers of their lines, is the file read a second time.
"""

from __future__ import annotations

import csv
import glob
import gzip
import io
import math
import sys
import tempfile
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import duckdb

from model import units
from model.errors import DataError, MeasurementsError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

_LINES_SHOWN = 10
_MALFORMED = "the line does not have the header's columns"
_NOT_UNICODE = "not text in UTF-8: save it as CSV in UTF-8, or as Parquet"
_MALFORMATIONS = {
    "MISSING COLUMNS": "fewer fields than the header has",
    "TOO MANY COLUMNS": "more fields than the header has",
    "UNQUOTED VALUE": "a quote that is not closed, or text beside it",
    "LINE SIZE OVER MAXIMUM": "the line is too long",
    "INVALID ENCODING": _NOT_UNICODE,
}
"""DuckDB's names for them, and ours."""
_UNREADABLE = (duckdb.Error, OSError, EOFError, zlib.error)
"""What duckdb and gzip raise for a file that is not what it seems."""


class Reading:
    """One file, looked at by DuckDB. Every message names the file as its user does."""

    def __init__(self, path: Path, name: str, female_code: str | None) -> None:
        self.path, self.name = path, name
        self.left_out: dict[str, int] = {}
        self.female_code = _code(female_code)
        if female_code is not None and self.female_code is None:
            raise SettingsError(f"--female-code {female_code!r} is not a number; it is for files that code genders so")
        try:
            if path.exists() and not path.is_file():
                raise DataError(f"{path} is a folder, a pipe or a device: --data takes a file, 'tutorial' or 'nhanes'")
            if not path.is_file():
                raise DataError(f"{name}: there is no such file at {path}; --data takes a file, 'tutorial' or 'nhanes'")
            with path.open("rb") as file:
                magic = file.read(4)
        except OSError as error:
            raise DataError(f"{name:.80} cannot be read: {error.strerror}") from error
        self.database = duckdb.connect(
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "temp_directory": tempfile.gettempdir(),
            }
        )
        self.gzipped = magic[:2] == b"\x1f\x8b"
        self.is_parquet = magic == b"PAR1"
        try:
            self._open()
        except _UNREADABLE as error:
            raise DataError(f"{name} cannot be read: {_first_line(error)}") from error
        except UnicodeDecodeError:
            raise DataError(f"{name} is {_NOT_UNICODE}") from None

    def _open(self) -> None:
        """`raw`, SQL for weight, height and gender as the file has them."""
        # The path is the name of one file, whatever characters are in it.
        self.parameters = {"path": glob.escape(str(self.path))}
        if self.is_parquet:
            source = "read_parquet($path)"
            described = self.database.execute(f"DESCRIBE SELECT * FROM {source}", self.parameters).fetchall()
            columns = [name for name, *_ in described]
            # What was 78.9 is 78.9000015 in single precision, and 78.9 again in its shortest digits.
            given = [f"{_quoted(name)}{'::VARCHAR' * (kind == 'FLOAT')}" for name, kind, *_ in described]
        else:
            columns, delimiter = self._header()
            self.delimiter = delimiter
            self.parameters |= {"delimiter": delimiter}
            given = [f"column_{number}" for number in range(len(columns))]
            types = ", ".join(f"'{column}': 'VARCHAR'" for column in given)
            source = (
                f"read_csv($path, auto_detect=false, header=true, delim=$delimiter, quote='\"', escape='\"', "
                f"columns={{{types}}}, compression='{'gzip' if self.gzipped else 'none'}', store_rejects=true)"
            )
        names = [name.strip().lower() for name in columns]
        if not names:
            raise DataError(f"{self.name} has no header: its first line is empty")
        self.weight = self._measurement("weight", names)
        self.height = self._measurement("height", names)
        positions = {
            "weight": self._position(self.weight.name, names),
            "height": self._position(self.height.name, names),
            "gender": self._position("gender", names),
        }
        selected = ", ".join(f"{given[position]} AS raw_{name}" for name, position in positions.items())
        self.raw = f"SELECT {selected} FROM {source}"

    def _bytes(self) -> BinaryIO:
        opened = gzip.open if self.gzipped else open
        return cast("BinaryIO", opened(self.path, "rb"))

    def _text(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self._bytes(), encoding="utf-8-sig", newline="")

    def _header(self) -> tuple[list[str], str]:
        with self._text() as file:
            first = file.readline(1 << 16)
        with self._bytes() as file:
            while self.gzipped and file.read(1 << 20):
                pass  # to the end, where the checksum is: DuckDB does not look at it
        self.newline = b"\r" if first.endswith("\r") else b"\n"
        delimiter = max(",;\t", key=first.count)
        return next(csv.reader([first], delimiter=delimiter), []), delimiter

    def _measurement(self, quantity: str, names: list[str]) -> units.Field:
        fields = [field for field in units.FIELDS.values() if field.quantity == quantity]
        present = [field for field in fields if field.name in names]
        expected = " or ".join(field.name for field in fields)
        if not present:
            raise DataError(f"{self.name} has no column {expected}; its columns are: {_listed(names)}")
        if len(present) > 1:
            raise DataError(f"{self.name} has both {expected.replace(' or ', ' and ')}: keep one of them")
        return present[0]

    def _position(self, name: str, names: list[str]) -> int:
        if name not in names:
            raise DataError(f"{self.name} has no column {name}; its columns are: {_listed(names)}")
        if names.count(name) > 1:
            raise DataError(f"{self.name} has {names.count(name)} columns {name}: keep one of them")
        return names.index(name)

    def rows(self, *, skip_bad_rows: bool, in_file_order: bool, hold_out: bool) -> dict[str, Any]:
        """weight_lb, height_in, female, people and held_out of all good rows, as arrays; DataError where any is bad.

        Each distinct row once, ordered; with `in_file_order` every row as it comes. With `skip_bad_rows`, `left_out`
        says afterwards why and how many bad ones are not among them. Without `hold_out` nobody is held out.
        """
        try:
            self.database.execute(
                f"CREATE TEMP TABLE counted AS SELECT *, count(*) AS people FROM ({self._parsed()}) GROUP BY ALL",
                self.parameters,
            )
            self._check_not_empty()
            self.female = self._female()
            self._check_units()
            self.left_out = self._bad_rows()
            if self.left_out and not skip_bad_rows:
                raise DataError(self._explained(self.left_out, self._malformed_lines() | self._bad_values()))
            return self._good_rows(in_file_order=in_file_order, hold_out=hold_out)
        except _UNREADABLE as error:
            raise DataError(f"{self.name} cannot be read: {_first_line(error)}") from error

    def _check_not_empty(self) -> None:
        if self.database.execute("SELECT 1 FROM counted LIMIT 1").fetchone() is None:
            malformed = self._malformed_lines()
            if malformed:
                raise DataError(self._explained({_MALFORMED: len(malformed)}, malformed))
            raise DataError(f"{self.name} has a header and no row below it")

    def _parsed(self, more: str = "") -> str:
        """SQL for the rows of the file as numbers and lower-case text; what is not a number is NULL."""
        number = "CASE WHEN NOT contains(raw_{0}::VARCHAR, '_') THEN TRY_CAST(raw_{0} AS DOUBLE) END AS {0}"
        gender = "lower(trim(raw_gender::VARCHAR)) AS gender"
        return f"SELECT {number.format('weight')}, {number.format('height')}, {gender} {more} FROM ({self.raw})"

    def _female(self) -> str:
        """SQL for the gender of a row: 1 for female, 0 for male, NULL for what is neither."""
        found = self.database.execute(
            "SELECT gender, sum(people)::BIGINT FROM counted GROUP BY gender ORDER BY 2 DESC, 1 LIMIT 1000"
        ).fetchall()
        codes = [text for text, _ in found if _code(text) is not None]
        if self.female_code is None:
            female, male = ["female", "f"], ["male", "m"]
            if codes and len(codes) == len(found):
                raise DataError(
                    f"{self.name}: the column gender holds the numbers {_counted(found)}: "
                    f"say which of them is female, such as --female-code {min(codes)}"
                )
        else:
            female = [text for text in codes if _code(text) == self.female_code]
            male = [text for text in codes if _code(text) != self.female_code]
            if not female or len({_code(text) for text in male}) != 1:
                raise DataError(
                    f"{self.name}: with --female-code {self.female_code:g} the column gender must hold "
                    f"{self.female_code:g} and one other number; it holds {_counted(found)}"
                )
        if not any(text in (*female, *male) for text, _ in found):
            raise DataError(
                f"{self.name}: no gender is known: the column gender holds {_counted(found)}; "
                "female and male, or f and m, are expected"
            )
        return f"CASE WHEN gender IN ({_texts(female)}) THEN 1 WHEN gender IN ({_texts(male)}) THEN 0 END"

    def _check_units(self) -> None:
        """A column whose middle person cannot be is in another unit than its name says."""
        weight, height = self._median("weight", self.weight), self._median("height", self.height)
        median = f"{self.name}: the median person has {self.weight.name} {weight:g} and {self.height.name} {height:g}"
        rename = "Rename the column to the unit that it is in, or convert it"
        try:
            weight_lb, height_in = units.to_canonical(weight, self.weight, height, self.height)
        except MeasurementsError as error:
            raise DataError(f"{median}, which cannot be: {error}. {rename}") from None
        index = units.body_mass_index(weight_lb, height_in)
        if not _LOWEST_MEDIAN_BODY_MASS_INDEX <= index <= _HIGHEST_MEDIAN_BODY_MASS_INDEX:
            other = "kilograms" if self.weight is units.WEIGHT_LB else "pounds"
            raise DataError(
                f"{median}, a body mass index of {index:.0f}, which no population has: "
                f"{self.weight.name} looks like {other}, or {self.height.name} is not in {self.height.unit}. {rename}"
            )

    def _median(self, name: str, field: units.Field) -> float:
        found = self.database.execute(
            f"""SELECT {name} FROM (
                    SELECT {name}, sum(sum(people)) OVER (ORDER BY {name}) AS up_to, sum(sum(people)) OVER () AS of_all
                    FROM counted WHERE isfinite({name}) GROUP BY {name})
                WHERE 2 * up_to >= of_all ORDER BY {name} LIMIT 1"""
        ).fetchone()
        if found is None:
            begins = self.database.execute(
                f"SELECT raw_{name}::VARCHAR FROM ({self.raw}) WHERE raw_{name} IS NOT NULL LIMIT 1", self.parameters
            ).fetchone()
            instead = f": it begins with {begins[0]!r:.60}, and" if begins else ";"
            raise DataError(
                f"{self.name}: the column {field.name} holds no number at all{instead} a number is written as 78.9"
            )
        return float(found[0])

    def _problem(self) -> str:
        """SQL for what is wrong with a row, NULL where nothing is."""
        cases = []
        for name, field in (("weight", self.weight), ("height", self.height)):
            cases += [
                f"WHEN {name} IS NULL OR NOT isfinite({name}) THEN '{field.name} is missing or not a number'",
                (
                    f"WHEN NOT {name} BETWEEN {_double(field.minimum)} AND {_double(field.maximum)} "
                    f"THEN '{field.name} is outside the domain ({field.domain})'"
                ),
            ]
        return f"CASE {' '.join(cases)} WHEN {self.female} IS NULL THEN 'gender is unknown' END"

    def _bad_rows(self) -> dict[str, int]:
        """How many rows are bad, by reason."""
        reasons = self.database.execute(
            f"""SELECT {self._problem()} AS problem, sum(people)::BIGINT FROM counted
                GROUP BY problem HAVING problem IS NOT NULL ORDER BY 2 DESC, 1"""
        ).fetchall()
        malformed = len(self._malformed_lines())
        return dict(reasons) | ({_MALFORMED: malformed} if malformed else {})

    def _malformed_lines(self) -> dict[int, str]:
        """Lines with too many fields, too few, or a quote left open, by number."""
        if self.is_parquet:
            return {}
        rejected = self.database.execute(
            "SELECT line_byte_position, min(error_type::VARCHAR) FROM reject_errors GROUP BY 1 ORDER BY 1"
        ).fetchall()
        # DuckDB counts rows where its message says line, so the lines are counted here, up to each position.
        malformed: dict[int, str] = {}
        position, line = 0, 1
        with self._bytes() as file:
            for byte_position, error_type in rejected:
                read = b""
                # The position may be that of blank lines before the line, so these are passed over.
                while position < byte_position or read[-1:] in (b"\r", b"\n"):
                    read = file.read(min(1 << 20, max(1, byte_position - position)))
                    position, line = position + len(read), line + read.count(self.newline)
                    if not read:
                        break
                malformed[line] = _MALFORMATIONS.get(error_type, error_type.lower())
        return malformed

    def _explained(self, left_out: dict[str, int], bad: dict[int, str]) -> str:
        """The bad rows by reason, and the first of them by line."""
        shown = [f"  {'row' if self.is_parquet else 'line'} {line}: {bad[line]}" for line in sorted(bad)[:_LINES_SHOWN]]
        total = sum(left_out.values())
        return "\n".join(
            [
                f"{self.name} has {total:,} bad row{'s' * (total > 1)}:",
                *(f"  {count:,} x {reason}" for reason, count in left_out.items()),
                *shown,
                *(["  …"] * (total > len(shown))),
                "Mend them, or leave them out with --bad-rows skip.",
            ]
        )

    def _bad_values(self) -> dict[int, str]:
        """The first rows with bad values, by line: the file is read once more, only to explain."""
        more = ", raw_weight::VARCHAR, raw_height::VARCHAR, raw_gender::VARCHAR, row_number() OVER () AS row"
        rows = self.database.execute(
            f"""SELECT row, problem, COLUMNS('raw_.*'), weight, height
                FROM (SELECT *, {self._problem()} AS problem FROM ({self._parsed(more)}))
                WHERE problem IS NOT NULL ORDER BY row LIMIT {_LINES_SHOWN}""",
            self.parameters,
        ).fetchall()
        lines = self._lines([row for row, *_ in rows])
        bad = {}
        for row, problem, raw_weight, raw_height, raw_gender, weight, height in rows:
            if "domain" in problem:
                try:
                    units.to_canonical(weight, self.weight, height if height is not None else math.nan, self.height)
                except MeasurementsError as error:
                    bad[lines[row]] = str(error)
                    continue
            name, _, _ = problem.partition(" ")
            given = {self.weight.name: raw_weight, self.height.name: raw_height, "gender": raw_gender}[name]
            bad[lines[row]] = f"{name} is {f'{given!r:.60}' if given else 'empty'}"
        return bad

    def _lines(self, rows: list[int]) -> dict[int, int]:
        """On which line of the file each row begins; of a Parquet file the row itself."""
        lines = {row: row for row in rows}
        if self.is_parquet:
            return lines
        malformed, row = self._malformed_lines(), 0
        usual_limit = csv.field_size_limit(sys.maxsize)
        try:
            with self._text() as file:
                file.reconfigure(errors="replace")
                reader = csv.reader(file, delimiter=self.delimiter)
                next(reader)
                line = reader.line_num + 1
                for fields in reader:
                    if fields and line not in malformed:
                        row += 1
                        lines[row] = line
                    if row >= max(rows, default=0):
                        break
                    line = reader.line_num + 1
        finally:
            csv.field_size_limit(usual_limit)
        return lines

    def _good_rows(self, *, in_file_order: bool, hold_out: bool) -> dict[str, Any]:
        """weight_lb, height_in, female, people and held_out of all rows that nothing is wrong with, as arrays."""
        canonical = (
            f"weight / {_double(self.weight.per_canonical)} AS weight_lb, "
            f"height / {_double(self.height.per_canonical)} AS height_in, {self.female} AS female"
        )
        good = f"WHERE ({self._problem()}) IS NULL"
        if in_file_order:
            rows = f"SELECT {canonical}, 1 AS people FROM ({self._parsed()}) {good}"
        else:
            rows = (
                f"SELECT {canonical}, sum(people)::BIGINT AS people FROM counted {good} GROUP BY ALL ORDER BY 1, 2, 3"
            )
        return self.database.execute(
            f"SELECT *, {_HELD_OUT if hold_out else 'false'} AS held_out FROM ({rows})",
            self.parameters if in_file_order else None,
        ).fetchnumpy()


_LOWEST_MEDIAN_BODY_MASS_INDEX, _HIGHEST_MEDIAN_BODY_MASS_INDEX = 14.0, 45.0
"""No population's median lies outside; one whose pounds are called kilograms, or the reverse, does."""

_HELD_OUT = "('0x' || substr(sha256(format('{:.4f},{:.4f},{}', weight_lb, height_in, female)), 1, 16))::UBIGINT % 5 = 0"
"""The first eight bytes of the SHA-256 of the row as text, as a number, are divisible by 5: one row in five."""


def _code(text: str | None) -> float | None:
    """The number that a text is, if it is one."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _double(number: float) -> str:
    return f"'{number!r}'::DOUBLE"


def _texts(texts: list[str]) -> str:
    return ", ".join("'" + text.replace("'", "''") + "'" for text in texts)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _listed(names: list[str]) -> str:
    return f"{', '.join(names) or 'none':.300}"


def _counted(found: list[tuple[str | None, int]]) -> str:
    """Texts of a column and how many rows have each, the most frequent first."""
    shown = [f"{text or 'nothing':.40} ({people:,} x)" for text, people in found[:5]]
    return ", ".join([*shown, *(["…"] * (len(found) > len(shown)))])


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]
