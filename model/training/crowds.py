"""People as pictures show them: cells and steps of at least five, so that nobody can be picked out of one.

Nothing here depends on where a single person lies: where fewer than five are together, they are left out, and what is
far outside leaves no mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model import units
from model.training.metrics import CALIBRATION_BINS, calibration_bins, reliability_bins
from model.training.together import FEWEST_TOGETHER, merged

if TYPE_CHECKING:
    from model.network.network import Array
    from model.training.people import People

_SIZES = (2.0, 4.0, 8.0)
_ENOUGH = 0.8
_ROWS = 1000.0
"""More than there are squares above one another: a square is known by one number."""
_MOST_STEPS = 100


@dataclass(frozen=True)
class Cells:
    """How many people are in each square of a plane of kilograms and centimetres; only squares that hold five."""

    size: float
    """Of a square: so many kilograms wide and so many centimetres high."""
    centres: Array
    """(cells, 2): kilograms, centimetres."""
    people: Array
    """(cells,)"""
    of: int
    """How many people there are, those in squares that are left out included."""

    @property
    def shown(self) -> int:
        return int(self.people.sum())


def metric(measurements: Array) -> Array:
    """(rows, 2) in pounds and inches -> kilograms and centimetres."""
    converted: Array = measurements * (units.KILOGRAMS_PER_POUND, units.CENTIMETRES_PER_INCH)
    return converted


def cells(people: People) -> Cells:
    """Squares as small as most people can be shown in: where few are, larger ones are needed for five to meet."""
    measured = metric(people.measurements)
    found = _cells(measured, people.counts, _SIZES[0])
    for size in _SIZES[1:]:
        if found.shown >= _ENOUGH * found.of:
            break
        found = _cells(measured, people.counts, size)
    return found


def _cells(measured: Array, counts: Array, size: float) -> Cells:
    # What was 72 kg comes back from pounds as a little less, perhaps, and belongs to the square that begins there.
    columns, rows = np.floor(measured / size + 1e-9).T
    squares, which = np.unique(columns * _ROWS + rows, return_inverse=True)
    together = np.bincount(which, counts, len(squares)).astype(np.float64)
    enough = together >= FEWEST_TOGETHER
    corners = np.column_stack(np.divmod(squares[enough], _ROWS))
    return Cells(size, (corners + 0.5) * size, together[enough], int(counts.sum()))


def roc(female: Array, totals: Array, counts: Array) -> Array:
    """The ROC curve, from (0, 0) to (1, 1) in steps of five people or more: the shares of men and women called female.

    Each bin of the reliability table begins where a step does, so that the difference of the two shows no fewer either.
    female, totals and counts are (rows,), the curve is (steps + 1, 2). Both genders must be among the people, and five
    of them at least.
    """
    values, position = np.unique(totals, return_inverse=True)
    women, men = (np.bincount(position, counts * who, len(values)) for who in (female, 1.0 - female))
    people = women + men
    of_value = calibration_bins(values)
    bins = reliability_bins(np.bincount(of_value, people, CALIBRATION_BINS))
    of_value = np.searchsorted([start for start, _ in bins[1:]], of_value, side="right")
    # First so many at once that about a hundred steps are left, as many as can be seen.
    coarse = np.floor((np.cumsum(people) - people) / people.sum() * _MOST_STEPS)
    starts = np.unique(np.column_stack([of_value, coarse]), axis=0, return_index=True)[1]
    women, men = np.add.reduceat(women, starts), np.add.reduceat(men, starts)
    people, of_step = women + men, of_value[starts]
    ends: list[int] = []
    for number in range(len(bins)):
        (steps,) = np.nonzero(of_step == number)
        ends += [int(steps[0]) + end - 1 for _, end in merged(people[steps].tolist())]
    below = np.column_stack([np.append(0.0, np.cumsum(who)[ends] / who.sum()) for who in (men, women)])
    curve: Array = 1.0 - below[::-1]
    return curve
