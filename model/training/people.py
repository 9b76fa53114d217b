"""The people that a version is trained on and judged by: counted, held out, and known by a fingerprint.

Measurements have a resolution, so a billion people are some hundred thousand distinct rows, and a row with a count
stands for all who share it. `reading.py` gets them from a file: CSV (also gzipped) or Parquet, of any size.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.errors import DataError
from model.training.reading import Reading

if TYPE_CHECKING:
    from model.network.network import Array
    from model.predictor import Booleans

SHIPPED = {"tutorial": "tutorial.csv", "nhanes": "nhanes_2009_2012_sample.csv"}
FEWEST_PEOPLE = 50
_FEWEST_OF_A_GENDER = 5
"""To train on: what a manifest says of fewer would say it of each of them."""


@dataclass(frozen=True, eq=False)
class People:
    """Counted people, ordered by weight, height and gender; or, for one-by-one training, in the order of the file."""

    measurements: Array
    """(rows, 2): weight in pounds, height in inches."""
    female: Array
    """(rows,): 1 for female, 0 for male."""
    counts: Array
    """(rows,): how many people each row stands for."""
    held_out: Booleans
    """(rows,): whether these people are kept from training, to judge by."""
    source: str
    left_out: dict[str, int]
    """Why, and how many, bad rows of the file are not among these people."""
    in_file_order: bool = False
    are_shipped: bool = False
    """Whether they are of the shipped data that `source` names, which is public."""

    def __len__(self) -> int:
        return int(self.counts.sum())

    def where(self, rows: Booleans) -> People:
        """These rows only."""
        return replace(
            self,
            measurements=self.measurements[rows],
            female=self.female[rows],
            counts=self.counts[rows],
            held_out=self.held_out[rows],
        )

    @cached_property
    def distinct_rows(self) -> int:
        return len(self._counted)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the counted rows in their order: weight, height, gender, count, each a little-endian float64."""
        return _sha256(self._counted)

    @property
    def order_fingerprint(self) -> str | None:
        """The same of every single row in the order of the file, where that order matters."""
        return _sha256(self._rows) if self.in_file_order else None

    @property
    def _rows(self) -> Array:
        return np.column_stack([self.measurements, self.female, self.counts])

    @cached_property
    def _counted(self) -> Array:
        if not self.in_file_order:
            return self._rows
        rows, counts = np.unique(self._rows, axis=0, return_counts=True)
        return np.column_stack([rows[:, :3], counts])


_DECIMALS_OF_A_ROW = 4
"""As in the hash that decides who is held out."""


def read_people(
    data: str,
    *,
    female_code: str | None = None,
    skip_bad_rows: bool = False,
    in_file_order: bool = False,
    fewest: int = FEWEST_PEOPLE,
    hold_out: bool = True,
) -> People:
    """The people of a file, or of the shipped `tutorial` or `nhanes`.

    With `in_file_order`, a row for each person as they come, for training one by one; otherwise counted and ordered.
    Held out are those whose row hashes to 0 modulo 5, whatever the file and the seed; nobody without `hold_out`.
    Raises DataError, which says what is wrong with the file and what to do.
    """
    shipped = SHIPPED.get(data)
    path = Path(__file__).parent.parent / "data" / shipped if shipped else Path(data)
    reading = Reading(path, data if shipped else path.name, female_code)
    rows = reading.rows(skip_bad_rows=skip_bad_rows, in_file_order=in_file_order, hold_out=hold_out)
    people = People(
        measurements=np.column_stack([rows["weight_lb"], rows["height_in"]]).astype(np.float64),
        female=rows["female"].astype(np.float64),
        counts=rows["people"].astype(np.float64),
        held_out=rows["held_out"].astype(np.bool_),
        source=reading.name,
        left_out=reading.left_out,
        in_file_order=in_file_order,
        are_shipped=shipped is not None,
    )
    _check_enough(people, fewest=fewest, hold_out=hold_out)
    return people


def _check_enough(people: People, *, fewest: int, hold_out: bool) -> None:
    if not people:
        bad = ", ".join(f"{count:,} x {reason}" for reason, count in people.left_out.items())
        raise DataError(f"{people.source} has no good row: {bad}")
    women = int(people.counts[people.female == 1].sum())
    if women in (0, len(people)):
        raise DataError(
            f"{people.source} has people of one gender only ({len(people)} {'female' if women else 'male'}): "
            "a model needs both"
        )
    if len(people) < fewest:
        raise DataError(f"{people.source} has {len(people)} people, and training needs at least {fewest}")
    for rows, what, fewest_of_a_gender in (
        (people.held_out, "held out to judge by", 1),
        (~people.held_out, "left to train on", _FEWEST_OF_A_GENDER),
    ) * hold_out:
        part = people.where(rows)
        women = int(part.counts[part.female == 1].sum())
        if min(women, len(part) - women) < fewest_of_a_gender:
            raise DataError(
                f"{people.source} is too small or too uniform: of its {len(people)} people, {len(part)} are {what}, "
                f"{women} female and {len(part) - women} male, and at least {fewest_of_a_gender} of each are needed"
            )


def shared_people(people: People, others: People) -> int:
    """How many of these people have a row (to four decimals of a pound and an inch) that others have too."""
    keys = [
        np.column_stack([np.round(part.measurements, _DECIMALS_OF_A_ROW), part.female]) for part in (people, others)
    ]
    _, row = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
    is_shared = np.isin(row[: len(people.female)], row[len(people.female) :])
    return int(people.counts[is_shared].sum())


def _sha256(rows: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows, dtype="<f8").tobytes()).hexdigest()
