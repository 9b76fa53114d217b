"""Damped Gauss-Newton steps on the log-loss, and the merged people among whom most of them are taken.

    everyone ──► merged: a row for all in the same cell ──► steps downhill ──► the last steps among everyone

`trainers.gauss_newton` says why, and puts these together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from model.network.losses import LOG_LOSS
from model.network.network import Array, Network

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST_DAMPING, _LEAST_DAMPING, _LAST_DAMPING, _DAMPING_FACTOR = 1e-2, 1e-9, 1e8, 4.0
_GOOD, _POOR = 0.75, 0.25
"""The part of what the bowl promised that a step must bring for the next to be bolder, and below which it is shyer."""
_NUMBERS_AT_ONCE = 1 << 16
"""So many numbers a table are held at once, half a megabyte, which stays in a cache."""


class Rows(NamedTuple):
    """People: `inputs` (rows, inputs), `targets` (rows, 1), and `share` (rows, 1), the part of all that a row is."""

    inputs: Array
    targets: Array
    share: Array

    def slices(self, width: int) -> Iterator[Rows]:
        """A few rows at a time, so that tables of this width need little memory, however many people there are."""
        height = max(1, _NUMBERS_AT_ONCE // width)
        for start in range(0, len(self.inputs), height):
            yield Rows(*(column[start : start + height] for column in self))

    def merged(self, width: float) -> Rows:
        """One row for all in the same cell: the mean of their inputs and of their targets, the sum of their shares.

        A cell is so many standard deviations wide in every input.
        """
        mean = self.share[:, 0] @ self.inputs
        deviation = np.sqrt(self.share[:, 0] @ (self.inputs - mean) ** 2)
        cells = np.floor((self.inputs - mean) / (width * np.where(deviation > 0.0, deviation, 1.0)))
        # Numbers of 16 bits are sorted ten times as fast; those who lie further out than these reach share a cell.
        cells = cells.clip(-(2.0**15), 2.0**15 - 1.0).astype(np.int16)
        order = np.lexsort(cells.T)
        is_another = (np.diff(cells[order], axis=0) != 0).any(axis=1)
        firsts = np.flatnonzero(np.append(True, is_another))
        share = np.add.reduceat(self.share[order], firsts)
        inputs, targets = (
            np.add.reduceat((column * self.share)[order], firsts) / share for column in (self.inputs, self.targets)
        )
        return Rows(inputs, targets, share)


class Descent(NamedTuple):
    """Where a descent has come to, and how."""

    network: Network
    losses: tuple[float, ...] = ()
    """The mean loss after each step, without the penalty, among the people of that step."""
    loss: float = np.inf
    """The mean loss at the end, among the people of the last descent, even if it had no step left."""
    objective: float = np.inf
    """The mean loss and the penalty, at the end."""
    damping: float = _FIRST_DAMPING


def descend(
    start: Descent, rows: Rows, merged: Rows, penalty: Array, tolerance: float, *, maximum_epochs: int
) -> Descent:
    """Steps downhill, the last of which lowers the objective by less than this part of it.

    Loss and slope are those of `rows`, the curvature is that of `merged`; `penalty` (parameters,) times half the square
    of each parameter is added.
    """
    network, losses = start.network, list(start.losses)
    damping = min(start.damping, _FIRST_DAMPING)  # where no step helped any more, it has grown beyond all use
    objective, loss, slope = _objective(network, rows, penalty)
    for _ in range(maximum_epochs):
        curvature = _curvature(network, merged, penalty)
        before = objective
        while damping < _LAST_DAMPING:
            step = np.linalg.solve(curvature + damping * np.eye(len(slope)), -slope)
            candidate = Network(network.sizes, network.parameters + step)
            reached, its_loss, its_slope = _objective(candidate, rows, penalty)
            gain, promised = objective - reached, -float(step @ (slope + 0.5 * curvature @ step))
            if gain > _GOOD * promised:
                damping = max(_LEAST_DAMPING, damping / _DAMPING_FACTOR)
            elif not gain > _POOR * promised:
                damping *= _DAMPING_FACTOR
            if gain > 0.0:
                network, objective, loss, slope = candidate, reached, its_loss, its_slope
                break
        losses.append(loss)
        if not before - objective > tolerance * before:
            break
    return Descent(network, tuple(losses), loss, objective, damping)


def _objective(network: Network, rows: Rows, penalty: Array) -> tuple[float, float, Array]:
    """The mean loss with the penalty, the mean loss alone, and the slope of the former."""
    loss, slope = 0.0, penalty * network.parameters
    of_penalty = 0.5 * float(slope @ network.parameters)
    for part in rows.slices(max(network.sizes)):
        forward = network.forward(part.inputs)
        loss += float(part.share[:, 0] @ LOG_LOSS.of_each(part.targets, forward.totals))
        slope += network.gradient(forward, LOG_LOSS.slopes(part.targets, forward.totals) * part.share)
    return loss + of_penalty, loss, slope


def _curvature(network: Network, rows: Rows, penalty: Array) -> Array:
    """H = Jᵀ diag(curvature of the loss) J, and the penalty's. With the roots in J, it is one matrix by itself."""
    curvature = np.diag(penalty)
    for part in rows.slices(len(penalty)):
        forward = network.forward(part.inputs)
        rooted = network.jacobian(forward) * np.sqrt(LOG_LOSS.curvatures(forward.totals) * part.share)
        curvature += rooted.T @ rooted
    return curvature
