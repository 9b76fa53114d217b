"""The inputs of the last hour, counted by their size: what drift is judged from, and no one of them can be read off it.

Time is cut into rows; the oldest row is emptied when its turn comes again, so memory is bounded and nothing is stored
of a single request. A window is in a worker's slot: it outlives the worker, and the windows of all workers are added.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model import units
from service.errors import CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from model.network.network import Array
    from service.slots import Slot, Slots

ROWS = 12
"""The window slides by a row; there is one row more, the one that is being filled."""

_WEIGHT_STEP_LB, _HEIGHT_STEP_IN = 2.0, 0.5
WEIGHT_EDGES_LB = np.arange(
    np.floor(units.WEIGHT_LB.minimum), units.WEIGHT_LB.maximum + _WEIGHT_STEP_LB, _WEIGHT_STEP_LB
)
HEIGHT_EDGES_IN = np.arange(
    np.floor(units.HEIGHT_IN.minimum), units.HEIGHT_IN.maximum + _HEIGHT_STEP_IN, _HEIGHT_STEP_IN
)
"""Fine enough to fall together with the edges of every histogram in a manifest, and to be tried in another unit."""

REASONS = (*CODES, "other")
ROUND = 5.0
"""Weights that people tell of themselves are often multiples of this, in kilograms or in pounds."""

_LOWEST_LB, _LOWEST_IN = float(WEIGHT_EDGES_LB[0]), float(HEIGHT_EDGES_IN[0])
_WEIGHTS, _HEIGHTS = len(WEIGHT_EDGES_LB) - 1, len(HEIGHT_EDGES_IN) - 1
_TURN, _OUTSIDE, _ROUND, _REFUSED = range(4)
_REASONS_AT = 4
_WEIGHTS_AT = _REASONS_AT + len(REASONS)
_HEIGHTS_AT = _WEIGHTS_AT + _WEIGHTS
_ROW = _HEIGHTS_AT + _HEIGHTS
_REASON_AT = {reason: _REASONS_AT + position for position, reason in enumerate(REASONS)}
_ALMOST = 1e-6


@dataclass(frozen=True)
class Observed:
    """What came in during a window."""

    people: int
    """Answered; the refused are not among them."""
    outside: int
    """Of the answered, those outside the region of the people trained on."""
    round_weights: int
    refused: int
    """People refused for what was said of them."""
    reasons: dict[str, int]
    """How often each code of refusal was given."""
    weights: Array
    """Answered people by weight, between `WEIGHT_EDGES_LB`."""
    heights: Array
    """Answered people by height, between `HEIGHT_EDGES_IN`."""


class Window:
    """One worker's part. Counting is for one thread at a time."""

    def __init__(self, slots: Slots, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """The clock must be the same for all workers: CLOCK_MONOTONIC is, on one machine."""
        self.seconds = seconds
        self._row_seconds = seconds / ROWS
        self._clock = clock
        self._numbers = slots.block("window", (ROWS + 1) * _ROW)

    def add_one(self, weight_lb: float, height_in: float, *, inside: bool) -> None:
        """Count one person who was answered."""
        numbers, at = self._numbers, self._row()
        if not inside:
            numbers[at + _OUTSIDE] += 1.0
        if _is_round(weight_lb) or _is_round(weight_lb * units.KILOGRAMS_PER_POUND):
            numbers[at + _ROUND] += 1.0
        numbers[at + _WEIGHTS_AT + int((weight_lb - _LOWEST_LB) / _WEIGHT_STEP_LB)] += 1.0
        numbers[at + _HEIGHTS_AT + int((height_in - _LOWEST_IN) / _HEIGHT_STEP_IN)] += 1.0

    def add_many(self, weights_lb: Array, heights_in: Array, inside: NDArray[np.bool_]) -> None:
        """Count people who were answered together."""
        at = self._row()
        row = np.asarray(self._numbers)[at : at + _ROW]
        row[_OUTSIDE] += len(weights_lb) - np.count_nonzero(inside)
        row[_ROUND] += np.count_nonzero(_are_round(weights_lb) | _are_round(weights_lb * units.KILOGRAMS_PER_POUND))
        row[_WEIGHTS_AT:_HEIGHTS_AT] += _counted((weights_lb - _LOWEST_LB) / _WEIGHT_STEP_LB, _WEIGHTS)
        row[_HEIGHTS_AT:] += _counted((heights_in - _LOWEST_IN) / _HEIGHT_STEP_IN, _HEIGHTS)

    def add_refused(self, people: int, codes: Iterable[str]) -> None:
        """Count people who were refused, and why."""
        at = self._row()
        self._numbers[at + _REFUSED] += people
        for code, count in Counter(codes).items():
            self._numbers[at + _REASON_AT.get(code, _REASON_AT["other"])] += count

    def observed(self, slots: list[Slot]) -> Observed:
        """What all workers counted during the window."""
        turn = int(self._clock() / self._row_seconds)
        row = np.zeros(_ROW)
        for slot in slots:
            if "window" in slot.blocks:
                rows = slot.blocks["window"].reshape(ROWS + 1, _ROW)
                row += rows[(rows[:, _TURN] <= turn) & (rows[:, _TURN] >= turn - ROWS)].sum(axis=0)
        return Observed(
            people=int(row[_WEIGHTS_AT:_HEIGHTS_AT].sum()),
            outside=int(row[_OUTSIDE]),
            round_weights=int(row[_ROUND]),
            refused=int(row[_REFUSED]),
            reasons={reason: int(row[at]) for reason, at in _REASON_AT.items() if row[at]},
            weights=row[_WEIGHTS_AT:_HEIGHTS_AT],
            heights=row[_HEIGHTS_AT:],
        )

    def _row(self) -> int:
        """Where the present row starts, emptied if its turn has just come."""
        turn = int(self._clock() / self._row_seconds)
        at = turn % (ROWS + 1) * _ROW
        if self._numbers[at] != turn:
            self._numbers[at + 1 : at + _ROW] = _EMPTY
            self._numbers[at] = turn
        return at


_EMPTY = memoryview(bytes(8 * (_ROW - 1))).cast("d")


def _counted(places: Array, bins: int) -> NDArray[np.intp]:
    """How many of these places, in bins from the lowest edge, lie in each bin."""
    return np.bincount(places.astype(np.intp), minlength=bins)


def _is_round(weight: float) -> bool:
    """Whether it is a multiple of five, but for what is left of a conversion to pounds and back."""
    return (weight + _ALMOST) % ROUND < 2.0 * _ALMOST


def _are_round(weights: Array) -> NDArray[np.bool_]:
    """The same of many, in a seventh of the time that the remainders of an array take."""
    found: NDArray[np.bool_] = np.abs(weights - ROUND * np.rint(weights / ROUND)) < _ALMOST
    return found
