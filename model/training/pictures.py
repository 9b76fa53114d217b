"""The pictures of a report: what is drawn, in words for those who do not see it, and a caption for those who do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from model import units
from model.predictor import FEMALE, MALE
from model.training import charts, crowds
from model.training.evaluation import share_of_women
from model.training.together import FEWEST_TOGETHER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.network.network import Array
    from model.predictor import Predictor
    from model.registry.manifest import Draft, Inputs, ReliabilityBin, Trainer
    from model.training.people import People

_GENDERS = {"female": (FEMALE, "women"), "male": (MALE, "men")}
_GRID = 81
_WHERE_ADULTS_ARE = ((40.0, 140.0), (140.0, 200.0))
"""Kilograms and centimetres, for too few people to show any."""


class Picture(NamedTuple):
    svg: str
    alternative: str
    caption: str


class Pictures(NamedTuple):
    """All of a report; None or nothing where there are too few people to show."""

    surfaces: list[Picture]
    histograms: list[Picture]
    loss: Picture | None
    reliability: Picture | None
    roc: Picture | None


def draw(draft: Draft, predictor: Predictor, people: People, losses: Sequence[tuple[int, float]]) -> Pictures:
    """`losses` are (epoch, loss), if there are any to show. Only people who are public anyway are shown as points."""
    trained, judges = people.where(~people.held_out), people.where(people.held_out)
    evaluation = draft.evaluation
    curve = crowds.roc(judges.female, predictor.totals(judges.measurements), judges.counts) if judges else None
    return Pictures(
        _surfaces(predictor, trained, as_points=people.are_shipped and len(people) < FEWEST_TOGETHER),
        _histograms(draft.inputs),
        _loss(losses, draft.trainer, share_of_women(trained)) if losses else None,
        _reliability(evaluation.reliability) if evaluation.reliability else None,
        _roc(curve, evaluation.metrics.roc_auc) if curve is not None else None,
    )


def _surfaces(predictor: Predictor, trained: People, *, as_points: bool) -> list[Picture]:
    """The people of each gender as density, on one scale, with the network's lines between the genders."""
    genders = {name: trained.where(trained.female == gender) for name, (gender, _) in _GENDERS.items()}
    cells = {name: crowds.cells(people) for name, people in genders.items()}
    points = {name: crowds.metric(people.measurements) if as_points else None for name, people in genders.items()}
    limits = _limits([found.centres for found in cells.values()] + [shown for shown in points.values() if as_points])
    surface = _surface(predictor, limits)
    return [
        Picture(
            charts.people_and_boundary(cells[name], name, limits, surface, points[name]),
            f"The {in_words} trained on, by weight and height, under the lines where the network says .1, one half and "
            f".9. {_middle(genders[name])}",
            f"The {in_words}, a point each."
            if as_points
            else f"The {in_words}: {cells[name].shown:,} of {cells[name].of:,}, in squares of {cells[name].size:g} kg "
            f"by {cells[name].size:g} cm. Squares of fewer than {FEWEST_TOGETHER} people are left out.",
        )
        for name, (_, in_words) in _GENDERS.items()
    ]


def _histograms(inputs: Inputs) -> list[Picture]:
    """How weight and height are spread among the people trained on, from what the manifest tells of them."""
    found = []
    for quantity, unit, factor in (
        ("weight", "kg", units.KILOGRAMS_PER_POUND),
        ("height", "cm", units.CENTIMETRES_PER_INCH),
    ):
        bins = {
            name: (np.array(histogram.edges) * factor, np.array(histogram.people, dtype=float))
            for name in _GENDERS
            if (histogram := getattr(inputs, name).histograms[quantity]).people
        }
        means = ", ".join(
            f"{in_words} {getattr(inputs, name).mean[quantity == 'height'] * factor:.1f} {unit}"
            for name, (_, in_words) in _GENDERS.items()
        )
        if bins:
            alternative = f"Histogram of the {quantity} of women and of men. On average: {means}."
            caption = f"The {quantity} of women and of men. On average: {means}."
            found.append(Picture(charts.histogram(bins, quantity, unit), alternative, caption))
    return found


def _loss(losses: Sequence[tuple[int, float]], trainer: Trainer, share_female: float) -> Picture:
    """The loss as it fell, (epoch, loss)."""
    of_base_rate = share_female * (1.0 - share_female)
    if trainer.loss == "log_loss":
        of_base_rate = -(share_female * np.log(share_female) + (1.0 - share_female) * np.log(1.0 - share_female))
    (first_epoch, first), (last_epoch, last) = losses[0], losses[-1]
    told = f"from {first:.4f} after epoch {first_epoch:,} to {last:.4f} after epoch {last_epoch:,}"
    name = {"log_loss": "log-loss", "mean_squared_error": "mean squared error"}[trainer.loss]
    starts = trainer.hyperparameters.get("restarts", 1)
    best = f", in the best of {starts} starts" if starts > 1 else ""
    return Picture(
        charts.loss_curve(losses, float(of_base_rate)),
        f"Curve of the {name} over the people trained on, {told}.",
        f"The {name} over the people trained on, {told}, by {trainer.name}{best}.",
    )


def _reliability(bins: Sequence[ReliabilityBin]) -> Picture:
    """What was said, against what was so."""
    columns = [(bin_.mean_probability_female, bin_.share_female, bin_.people) for bin_ in bins]
    said, was, people = np.array(columns, dtype=float).T
    return Picture(
        charts.reliability(said, was, people),
        "Reliability diagram: the share of women among those of whom about as much was said. A table follows.",
        "The share of women against what was said, with the 95 % interval that comes of so few people; below, how many "
        "they were.",
    )


def _roc(curve: Array, area: float) -> Picture:
    """How women and men come apart as the threshold is lowered."""
    return Picture(
        charts.roc(curve),
        f"ROC curve, with an area of {area:.3f}; that of a model that knows nothing is the diagonal, with .5.",
        f"Wherever the line between the answers is drawn: how many women, and how many men, are called female. The "
        f"area below is the ROC AUC, {area:.3f}; the broken line is a coin.",
    )


def _limits(shown: Sequence[Array | None]) -> charts.Limits:
    """The part of the plane where somebody is shown, and a little more."""
    points = np.vstack([rows for rows in shown if rows is not None])
    if not len(points):
        return _WHERE_ADULTS_ARE
    (left, bottom), (right, top) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return (left - 8.0, right + 8.0), (bottom - 6.0, top + 6.0)


def _surface(predictor: Predictor, limits: charts.Limits) -> charts.Surface:
    kilograms, centimetres = (np.linspace(*ends, _GRID) for ends in limits)
    grid = np.stack(np.meshgrid(kilograms, centimetres), axis=-1).reshape(-1, 2)
    measurements = grid / (units.KILOGRAMS_PER_POUND, units.CENTIMETRES_PER_INCH)
    return kilograms, centimetres, predictor.probabilities_female(measurements).reshape(_GRID, _GRID)


def _middle(people: People) -> str:
    kilograms, centimetres = np.average(crowds.metric(people.measurements), axis=0, weights=people.counts)
    return f"On average they are {kilograms:.0f} kg and {centimetres:.0f} cm."
