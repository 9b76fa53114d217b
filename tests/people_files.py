"""Files of people, as tests write them: rows of text with known contents, CSV in all its dialects, and Parquet."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Row = tuple[str, ...]
HEADER = ("weight_kg", "height_cm", "gender")


def people(count: int, seed: int = 1) -> list[Row]:
    """Plausible adults, (kg, cm, gender) as text to a tenth; women and men alternate."""
    chance = random.Random(seed)
    return [
        (f"{chance.gauss(76, 12):.1f}", f"{chance.gauss(162, 6):.1f}", "female")
        if number % 2
        else (f"{chance.gauss(88, 12):.1f}", f"{chance.gauss(176, 6):.1f}", "male")
        for number in range(count)
    ]


def text(
    rows: Iterable[Sequence[str]], header: Sequence[str] = HEADER, *, delimiter: str = ",", newline: str = "\n"
) -> str:
    """The rows as they are, below the header; whoever wants quotes writes them into the fields."""
    return "".join(delimiter.join(row) + newline for row in (header, *rows))


def write(path: Path, content: str | bytes) -> str:
    """The file, to the byte; its name as --data takes it."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def write_parquet(path: Path, rows: Sequence[Row], header: Sequence[str] = HEADER, number: str = "DOUBLE") -> str:
    """The rows with their measurements as numbers of this SQL type, in this order."""
    with duckdb.connect() as database:
        names = ", ".join('"' + name.replace('"', '""') + '"' for name in header)
        kinds = [number if name.strip().lower().startswith(("weight", "height")) else "VARCHAR" for name in header]
        columns = ", ".join(f"unnest($column_{number})::{kind}" for number, kind in enumerate(kinds))
        values = {f"column_{number}": [row[number] for row in rows] for number in range(len(header))}
        database.execute(f"CREATE TABLE people AS SELECT * FROM (SELECT {columns}) AS people({names})", values)
        database.execute("COPY people TO $path (FORMAT parquet)", {"path": str(path)})
    return str(path)
