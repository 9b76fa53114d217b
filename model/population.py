"""How unlike the people trained on other people are: the population stability index, from counts in bins alone.

A version's manifest holds histograms of its people, for each gender. Mixed by how many men and women there were, they
are a reference: bins that hold about a tenth of the people each. Whoever counts other people in these bins, a training
file at once or a service over a day, gets an index that is 0 where the shares are the same. By an old rule of thumb,
below .1 nothing has moved and above .25 much has (Siddiqi 2006, "Credit Risk Scorecards").

Numpy only: the service uses it too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[np.float64]

MOVED_LITTLE, MOVED_MUCH = 0.1, 0.25
"""Below the first nothing has moved, above the second much has."""
_BINS, _FEWEST_IN_A_BIN = 10, 20
_EMPTY = 0.5
"""Added to every count, so that a bin in which nobody was seen does not make the index infinite."""


class Histogram(Protocol):
    """As in a manifest: one more edge than bins, or no bin at all."""

    @property
    def edges(self) -> Sequence[float]: ...
    @property
    def people(self) -> Sequence[int]: ...


@dataclass(frozen=True)
class Reference:
    """The people trained on, in bins: below the first edge, between each two, and from the last edge on."""

    edges: tuple[float, ...]
    """Between the bins, so one fewer than these."""
    shares: tuple[float, ...]
    """Of the people trained on, in each bin; all above 0, and together 1."""
    people: int

    def bin_counts(self, values: Array, counts: Array) -> Array:
        """How many of these people lie in each bin: (rows,) and (rows,) -> (bins,)."""
        positions = np.searchsorted(self.edges, values, side="right")
        return np.bincount(positions, counts, len(self.shares)).astype(np.float64)

    def stability_index(self, bin_counts: Sequence[float] | Array) -> float:
        """Σ (observed - expected) · ln(observed / expected) over the shares of the bins; 0 where nobody was seen."""
        counts = np.asarray(bin_counts, dtype=np.float64)
        if not counts.sum():
            return 0.0
        expected = np.array(self.shares)
        observed = (counts + _EMPTY) / (counts.sum() + _EMPTY * len(counts))
        return float((observed - expected) @ np.log(observed / expected))

    def noise(self, people: float) -> float:
        """An index that as many people of the same population exceed once in a hundred times, by chance.

        There it is distributed as (1/people + 1/people trained on) · χ², with one degree of freedom fewer than bins
        (Yurdakul 2018). The quantile of χ² is that of Wilson and Hilferty (1931).
        """
        freedom = len(self.shares) - 1
        if not people or not freedom:
            return math.inf
        spread = 2.0 / (9.0 * freedom)
        return freedom * (1.0 - spread + _NORMAL_99 * math.sqrt(spread)) ** 3 * (1.0 / people + 1.0 / self.people)


_NORMAL_99 = 2.3263478740408408
"""The 99th percentile of the standard normal distribution."""


def reference(male: Histogram, female: Histogram) -> Reference | None:
    """Both genders by their numbers, in bins of about a tenth; None where neither has a bin, being too few.

    The two have different edges, since small bins are put together in each. Within one, people are taken to be spread
    evenly, which matters only where few were trained on.
    """
    known = [(_trimmed(histogram.edges), histogram.people) for histogram in (male, female) if len(histogram.people)]
    if not known:
        return None
    edges = np.unique(np.concatenate([of_gender for of_gender, _ in known]))
    below = sum(np.interp(edges, of_gender, [0, *np.cumsum(people)]) for of_gender, people in known)
    total = float(below[-1])
    # Cut where a further tenth is reached, and leave at least half a tenth for the last bin.
    enough = max(total / _BINS, _FEWEST_IN_A_BIN)
    cuts: list[int] = []
    for position in range(1, len(edges) - 1):
        so_far = below[cuts[-1]] if cuts else 0.0
        if below[position] - so_far >= enough and total - below[position] >= enough / 2.0:
            cuts.append(position)
    shares = np.diff([0.0, *below[cuts], total]) / total
    return Reference(tuple(edges[cuts].tolist()), tuple(shares.tolist()), round(total))


def _trimmed(edges: Sequence[float]) -> Array:
    """The first and the last bin reach to the ends of the domain, where nobody is: as wide as their neighbours."""
    trimmed = np.array(edges, dtype=np.float64)
    if len(edges) > 3:  # noqa: PLR2004 - edges of three bins, so that each end has a neighbour of its own
        trimmed[0] = max(edges[0], 2.0 * edges[1] - edges[2])
        trimmed[-1] = min(edges[-1], 2.0 * edges[-2] - edges[-3])
    return trimmed
