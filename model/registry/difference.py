"""Two versions side by side: what their manifests say differently, and how far their predictions lie apart.

Predictions are compared over people spread as those that the first version was trained on: a normal distribution for
each gender, with the mean and covariance that its manifest holds, cut off where its training range and the domain end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from model import units

if TYPE_CHECKING:
    from model.network.network import Array
    from model.predictor import Booleans, Predictor
    from model.registry.manifest import Manifest

Differences = dict[str, tuple[Any, Any]]
"""By the name of a member, dotted where it lies in another: what the first says and what the second; None: nothing."""

_GRID = 101
"""Points along each axis of the cloud of people: a dozen for every standard deviation."""
_COMPARED: dict[str, Any] = {
    "layer_sizes": True,
    "shift": True,
    "scale": True,
    "trainer": True,
    "data": True,
    "software": True,
    "evaluation": {"people", "population", "metrics"},
}
"""The settings, the data, the software and the metrics."""


@dataclass(frozen=True)
class Gap:
    """How far two predictors lie apart over the same people: differences of the probability of female."""

    mean: float
    largest: float
    weight_lb: float
    height_in: float
    """Where it is largest."""
    probabilities_female: tuple[float, float]
    """What the two say there."""
    share_changed: float
    """Of the people whose likelier gender the two do not agree on."""


def differing_manifests(first: Manifest, second: Manifest) -> Differences:
    """What two versions were made of and measured at, as far as it is not the same."""
    return differing(*(manifest.model_dump(mode="json", include=_COMPARED) for manifest in (first, second)))


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> Differences:
    """The members of two documents that are not the same, in the order of the first."""
    one, other = _flat(first), _flat(second)
    return {name: (one.get(name), other.get(name)) for name in {**one, **other} if one.get(name) != other.get(name)}


def gap(first: Predictor, second: Predictor, trained_on: Manifest) -> Gap:
    """How far two predictors lie apart over people like those that the version of this manifest was trained on."""
    measurements, shares = _people_like(trained_on)
    one, other = (predictor.probabilities_female(measurements) for predictor in (first, second))
    distances = np.abs(one - other)
    largest = int(distances.argmax())
    weight_lb, height_in = measurements[largest].tolist()
    return Gap(
        mean=float(shares @ distances),
        largest=float(distances[largest]),
        weight_lb=weight_lb,
        height_in=height_in,
        probabilities_female=(float(one[largest]), float(other[largest])),
        share_changed=float(shares @ ((one >= 0.5) != (other >= 0.5))),  # noqa: PLR2004 - one half
    )


def _people_like(manifest: Manifest) -> tuple[Array, Array]:
    """Points in pounds and inches, (points, 2), and the share of people that each stands for, (points,).

    A covariance C is L·Lᵀ, so a point z of the standard normal distribution becomes mean + L·z, and its distance in
    standard deviations stays |z|: the training range is a disc of z.
    """
    training_range = manifest.training_range
    axis = np.linspace(-training_range.radius, training_range.radius, _GRID)
    disc = np.column_stack([axis.ravel() for axis in np.meshgrid(axis, axis)])
    disc = disc[np.linalg.norm(disc, axis=1) <= training_range.radius]
    measurements, shares = [], []
    for mean, covariance, described in zip(
        training_range.means, training_range.covariances, (manifest.inputs.male, manifest.inputs.female), strict=True
    ):
        points = np.array(mean) + disc @ np.linalg.cholesky(np.array(covariance)).T
        inside = np.all([_inside(*column) for column in zip(points.T, _DOMAIN, strict=True)], axis=0)
        densities = np.exp(-0.5 * (disc[inside] ** 2).sum(axis=1))
        measurements.append(points[inside])
        shares.append(described.people * densities / densities.sum())
    together = np.concatenate(shares)
    return np.concatenate(measurements), together / together.sum()


_DOMAIN = (units.WEIGHT_LB, units.HEIGHT_IN)


def _inside(values: Array, field: units.Field) -> Booleans:
    inside: Booleans = (values >= field.minimum) & (values <= field.maximum)
    return inside


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in document.items():
        members |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return members
