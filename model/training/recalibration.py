"""A version for another population: its ranking is kept, its calibration fitted anew (Platt 1999).

Between populations the ranking transfers and the calibration does not: where everyone is shorter, women and men still
differ in the same way. So two numbers are fitted on local people, and the log-odds t of a version become
slope · t + intercept. Both fold into its output layer, whose weights and bias are multiplied by the slope, and the
intercept is added to the bias: what comes out is a network like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from model.errors import DataError
from model.network.network import Array, Network, sigmoid
from model.predictor import Predictor
from model.registry import manifest as stored
from model.training import gate
from model.training.evaluation import evaluate_training
from model.training.gate import GateSettings
from model.training.judging import judges_of
from model.training.metrics import log_losses
from model.training.people import read_people
from model.training.publication import Candidate, Outcome, publish

if TYPE_CHECKING:
    from model.registry.registry import Registry
    from model.registry.version import Version
    from model.training.people import People

TRAINER = "platt_scaling"
_MOST_STEPS, _SMALLEST_STEP = 100, 1e-6
_LEAST_DEVIATION = 1e-6
"""Of log-odds: a slope that made more of less would make much of how they are rounded."""


@dataclass(frozen=True, kw_only=True)
class Settings(GateSettings):
    """What a recalibration is asked to do."""

    version: int
    data: str
    female_code: str | None = None
    skip_bad_rows: bool = False


def run(settings: Settings, registry: Registry, *, by: str) -> Outcome:
    """Fit the two numbers, evaluate, publish, and promote where the gate says so. Raises StatureError of every kind."""
    gate.check(settings)
    registry.check_writable()
    parent = registry.load(settings.version)
    people = read_people(settings.data, female_code=settings.female_code, skip_bad_rows=settings.skip_bad_rows)
    judges = judges_of(settings, people, female_code=settings.female_code, skip_bad_rows=settings.skip_bad_rows)
    with threadpool_limits(1, user_api="blas"):  # as the training job does
        predictor, trainer, recalibration = recalibrate(parent, people)
        candidate = Candidate(
            predictor=predictor,
            people=people,
            trainer=trainer,
            evaluation=evaluate_training(predictor, people),
            training_range=parent.training_range,  # where its parent has learned the shape of the boundary
            parent=settings.version,
            recalibration=recalibration,
        )
        return publish(candidate, judges, settings, registry, by=by)


def recalibrate(parent: Version, people: People) -> tuple[Predictor, stored.Trainer, stored.Recalibration]:
    """The parent's network with its output layer moved, fitted on the people who are not held out. DataError."""
    trained = people.where(~people.held_out)
    totals = parent.predictor.totals(trained.measurements)
    slope, intercept, steps = fit(totals, trained.female, trained.counts, people.source)
    predictor = folded(parent.predictor, slope, intercept)
    losses = log_losses(trained.female, predictor.totals(trained.measurements))
    trainer = stored.Trainer(
        name=TRAINER,
        loss="log_loss",
        hyperparameters={},
        seed=0,
        epochs=steps,
        final_loss=float(np.average(losses, weights=trained.counts)),
    )
    recalibration = stored.Recalibration(
        parent_digest=parent.predictor.digest, slope=slope, intercept=intercept, people=len(trained)
    )
    return predictor, trainer, recalibration


def fit(totals: Array, female: Array, counts: Array, source: str) -> tuple[float, float, int]:
    """Slope and intercept of the highest likelihood, by Newton's method, and in how many steps.

    The log-loss of sigmoid(slope · t + intercept) is a bowl in both. Its slope is Σ (p - y)·(t, 1), its curvature
    Σ p·(1 - p)·(t, 1)(t, 1)ᵀ. A step that overshoots is halved. It begins where the same is said of all, with t
    standardised: where a version is sure of everyone, the bowl is so flat that no way down can be told. DataError where
    there is no lowest point to go to (t tells the genders apart without an exception, or is the same of all), or where
    it lies at a slope that turns the ranking around.
    """
    mean = np.average(totals, weights=counts)
    deviation = np.sqrt(np.average((totals - mean) ** 2, weights=counts))
    if not deviation > _LEAST_DEVIATION:
        raise DataError(f"{source}: this version says the same of all of these people: train a network on them instead")
    design = np.column_stack([(totals - mean) / deviation, np.ones_like(totals)])
    parameters, steps = np.zeros(2), 0

    def loss(of: Array) -> float:
        return float(log_losses(female, design @ of) @ counts)

    while steps < _MOST_STEPS:
        steps += 1
        probabilities = sigmoid(design @ parameters)
        slope = design.T @ (counts * (probabilities - female))
        curvature = (design * (counts * probabilities * (1.0 - probabilities))[:, None]).T @ design
        if not np.linalg.cond(curvature) < 1.0 / np.finfo(np.float64).eps:
            break
        step = np.linalg.solve(curvature, -slope)
        smallest = _SMALLEST_STEP * max(1.0, float(np.abs(parameters).max()))
        if np.abs(step).max() <= smallest:  # the next would be as small as its square
            parameters = parameters + step
            found_slope = float(parameters[0] / deviation)
            if found_slope > 0.0:
                return found_slope, float(parameters[1] - found_slope * mean), steps
            raise DataError(
                f"{source}: this version ranks these people no better than chance (slope {found_slope:.3g}), and a "
                "recalibration keeps the ranking: train a network on them instead"
            )
        before = loss(parameters)
        while loss(parameters + step) > before and np.abs(step).max() > smallest:
            step /= 2.0
        parameters = parameters + step
    raise DataError(
        f"{source}: no slope and intercept fit these people best, since the version tells their genders apart without "
        "an exception: more people are needed"
    )


def folded(predictor: Predictor, slope: float, intercept: float) -> Predictor:
    """The predictor whose log-odds are slope · t + intercept."""
    *hidden, output = predictor.network.layers
    layers = [*hidden, (output.weights * slope, output.biases * slope + intercept)]
    return Predictor(Network.from_layers([(layer[0], layer[1]) for layer in layers]), predictor.shift, predictor.scale)
