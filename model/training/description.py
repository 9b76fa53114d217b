"""What a manifest says of the people trained on, without showing any one of them; and the probes of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from model import units
from model.predictor import FEMALE, MALE, Predictor
from model.training.together import FEWEST_TOGETHER, merged

if TYPE_CHECKING:
    from model.network.network import Array
    from model.training.people import People

_PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
_BIN_LB, _BIN_IN = 10.0, 1.0


def describe(people: People) -> dict[str, Any]:
    """What the people of one gender look like, without showing any one of them."""
    mean = np.average(people.measurements, axis=0, weights=people.counts)
    covariance = np.cov(people.measurements, rowvar=False, fweights=people.counts.astype(np.int64), ddof=0)
    percentiles: dict[str, dict[str, float]] = {}
    histograms: dict[str, dict[str, tuple[float, ...]]] = {}
    columns = (
        ("weight", people.measurements[:, 0], units.WEIGHT_LB, _BIN_LB),
        ("height", people.measurements[:, 1], units.HEIGHT_IN, _BIN_IN),
    )
    for name, column, field, width in columns:
        edges = np.arange(np.floor(field.minimum), field.maximum + width, width)
        histograms[name] = _merged(edges, np.histogram(column, edges, weights=people.counts)[0])
        shown = _shown(len(people), np.cumsum([0, *histograms[name]["people"]]).tolist())
        values = np.quantile(column, [percent / 100 for percent in shown], weights=people.counts, method="inverted_cdf")
        percentiles[name] = {str(percent): float(value) for percent, value in zip(shown, values, strict=True)}
    return {
        "people": len(people),
        "mean": tuple(mean.tolist()),
        "covariance": tuple(map(tuple, covariance.tolist())),
        "percentiles": percentiles,
        "histograms": histograms,
    }


def _shown(people: int, below_edges: list[int]) -> list[int]:
    """The percentiles that five people lie beyond, and five between each and any edge of a bin, if it is not there."""
    ranks = {percent: -(-percent * people // 100) for percent in _PERCENTILES}
    return [
        percent
        for percent, rank in ranks.items()
        if min(percent, 100 - percent) * people >= 100 * FEWEST_TOGETHER
        and not any(0 < abs(rank - below) < FEWEST_TOGETHER for below in below_edges)
    ]


def _merged(edges: Array, people: Array) -> dict[str, tuple[float, ...]]:
    """A bin of fewer than five people is merged with its neighbours, so that the first and the last show nobody."""
    groups = merged(people.tolist())
    return {
        "edges": tuple(float(edges[bin_]) for bin_ in [*(start for start, _ in groups), *[len(people)] * bool(groups)]),
        "people": tuple(int(people[start:end].sum()) for start, end in groups),
    }


def _deviation(people: People) -> Array:
    mean = np.average(people.measurements, axis=0, weights=people.counts)
    deviation: Array = np.sqrt(np.average((people.measurements - mean) ** 2, axis=0, weights=people.counts))
    return deviation


def probes(predictor: Predictor, trained: People) -> list[dict[str, float]]:
    """The centre of each gender and the corners of the cloud of people, with what the network says of them."""
    centres = [
        np.average(trained.measurements[who], axis=0, weights=trained.counts[who])
        for who in (trained.female == MALE, trained.female == FEMALE)
    ]
    middle, spread = (centres[0] + centres[1]) / 2.0, 2.0 * _deviation(trained)
    corners = [middle + spread * np.array(signs) for signs in ((-1, -1), (-1, 1), (1, -1), (1, 1))]
    points = np.array([*centres, middle, *corners])
    return [
        {"weight_lb": weight, "height_in": height, "probability_female": probability}
        for (weight, height), probability in zip(
            points.tolist(), predictor.probabilities_female(points).tolist(), strict=True
        )
    ]
