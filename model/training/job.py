"""The training job: file -> people -> fit -> evaluate -> publish -> gate.

The candidate is judged against the champion on the same people, who are held out, published with the verdict in its
manifest, and promoted where the verdict says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from model.errors import DataError, SettingsError
from model.network.losses import LOG_LOSS, MEAN_SQUARED_ERROR
from model.network.network import Network
from model.network.trainers import gauss_newton, sgd
from model.predictor import Predictor, TrainingRange
from model.registry import manifest as stored
from model.training import gate
from model.training.evaluation import L2, evaluate_training
from model.training.gate import GateSettings
from model.training.judging import judges_of
from model.training.people import FEWEST_PEOPLE, People, read_people
from model.training.publication import Candidate, Outcome, publish

if TYPE_CHECKING:
    from model.network.losses import Loss
    from model.network.trainers import OnEpoch
    from model.registry.registry import Registry
    from model.training.publication import Losses

TUTORIAL = "tutorial"
"""The data of the tutorial's four people, and the one model that they train."""
TUTORIAL_SHIFT = (135.0, 66.0)

_SGD_EPOCHS, _TUTORIAL_EPOCHS = 20, 1000
_SGD_LEARNING_RATE = 0.1
_MOST_PARAMETERS_AT_ONCE = 2_000
_RESTARTS = 4


@dataclass(frozen=True, kw_only=True)
class Settings(GateSettings):
    """What a training is asked to do. None is the default that belongs to the data and the trainer."""

    data: str = "nhanes"
    female_code: str | None = None
    skip_bad_rows: bool = False
    hidden: tuple[int, ...] = (2,)
    trainer: Literal["sgd", "gauss_newton"] | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    learning_rate_decay: float | None = None
    shuffle: bool = False
    restarts: int = _RESTARTS
    l2: float = L2
    seed: int = 1
    publish_identical: bool = False

    @property
    def is_tutorial(self) -> bool:
        return self.data == TUTORIAL

    @property
    def uses_sgd(self) -> bool:
        return self.trainer == "sgd" or (self.trainer is None and self.is_tutorial)


def check(settings: Settings, registry: Registry) -> None:
    """Raises SettingsError where the settings contradict each other or the registry's model."""
    if settings.is_tutorial != (registry.model == TUTORIAL):
        raise SettingsError(
            f"the tutorial's four people train the model {TUTORIAL!r} and nothing else does, so that they never become "
            f"anyone's champion by accident: --data {settings.data} and --model {registry.model} do not go together"
        )
    gate.check(settings)
    if settings.is_tutorial and (settings.holdout or settings.thresholds):
        raise SettingsError("the tutorial's model has no gate: --threshold and --holdout belong to other data")
    if not settings.uses_sgd:
        for name in ("epochs", "learning_rate", "learning_rate_decay", "shuffle"):
            if getattr(settings, name):
                flag = "--" + name.replace("_", "-")
                raise SettingsError(f"{flag} belongs to --trainer sgd; gauss_newton chooses its own steps")
    if len(settings.hidden) >= stored.MAXIMUM_LAYERS or not all(
        1 <= neurons <= stored.MAXIMUM_NEURONS for neurons in settings.hidden
    ):
        raise SettingsError(
            f"--hidden takes up to {stored.MAXIMUM_LAYERS - 1} layers of 1 to {stored.MAXIMUM_NEURONS} neurons, such "
            f"as 2 or 8,4, or none; it is {','.join(map(str, settings.hidden))}"
        )
    parameters = Network.count_parameters((2, *settings.hidden, 1))
    if not settings.uses_sgd and parameters > _MOST_PARAMETERS_AT_ONCE:
        raise SettingsError(
            f"--hidden {','.join(map(str, settings.hidden))} has {parameters:,} parameters, and gauss_newton moves "
            f"{_MOST_PARAMETERS_AT_ONCE:,} at once at most: fewer neurons, or --trainer sgd"
        )
    _check_numbers(settings)


def _check_numbers(settings: Settings) -> None:
    for name, at_least in (("epochs", 1), ("learning_rate_decay", 0), ("seed", 0)):
        value = getattr(settings, name)
        if value is not None and not at_least <= value < np.inf:
            raise SettingsError(f"--{name.replace('_', '-')} must be at least {at_least}, and finite; it is {value}")
    if settings.learning_rate is not None and not 0.0 < settings.learning_rate < np.inf:
        raise SettingsError(f"--learning-rate must be above 0, and finite; it is {settings.learning_rate}")


def run(settings: Settings, registry: Registry, *, by: str, on_epoch: OnEpoch = lambda _epoch, _loss: None) -> Outcome:
    """Train, evaluate, publish, and promote where the gate says so. Raises StatureError of every kind."""
    check(settings, registry)
    registry.check_writable()
    people = people_of(settings)
    judges = judges_of(
        settings, people, female_code=settings.female_code, skip_bad_rows=settings.skip_bad_rows
    )  # read before the training, so that a file with faults costs none
    # One thread, so that sums are added in the same order whatever the number of cores. It is also the fastest here.
    with threadpool_limits(1, user_api="blas"):
        predictor, trainer, losses = fit(settings, people, on_epoch)
        trained = people.where(~people.held_out)
        candidate = Candidate(
            predictor=predictor,
            people=people,
            trainer=trainer,
            evaluation=evaluate_training(predictor, people),
            training_range=TrainingRange.around(trained.measurements, trained.female, trained.counts),
            losses=losses,
        )
        return publish(candidate, judges, settings, registry, by=by, publish_identical=settings.publish_identical)


def epochs_of(settings: Settings) -> int | None:
    """How many epochs a training will take, where that is known before."""
    if not settings.uses_sgd:
        return None
    return settings.epochs or (_TUTORIAL_EPOCHS if settings.is_tutorial else _SGD_EPOCHS)


def people_of(settings: Settings) -> People:
    """The people that these settings name, read as they are needed."""
    return read_people(
        settings.data,
        female_code=settings.female_code,
        skip_bad_rows=settings.skip_bad_rows,
        in_file_order=settings.uses_sgd,
        fewest=1 if settings.is_tutorial else FEWEST_PEOPLE,
        hold_out=not settings.is_tutorial,
    )


def fit(settings: Settings, people: People, on_epoch: OnEpoch) -> tuple[Predictor, stored.Trainer, Losses]:
    """Shift and scale, train on the people who are not held out. Also the losses along the way."""
    trained = people.where(~people.held_out)
    if settings.is_tutorial:
        shift, scale = TUTORIAL_SHIFT, (1.0, 1.0)
    else:
        mean = np.average(trained.measurements, axis=0, weights=trained.counts)
        deviation = np.sqrt(np.average((trained.measurements - mean) ** 2, axis=0, weights=trained.counts))
        if not np.ptp(trained.measurements, axis=0).all():
            raise DataError(f"{people.source}: all people have the same weight or height, so nothing can be learned")
        shift, scale = (float(mean[0]), float(mean[1])), (float(deviation[0]), float(deviation[1]))
    sizes = (2, *settings.hidden, 1)
    inputs = (trained.measurements - np.array(shift)) / np.array(scale)
    targets = trained.female[:, None]
    generator = np.random.default_rng(settings.seed)
    loss: Loss = MEAN_SQUARED_ERROR if settings.is_tutorial and settings.uses_sgd else LOG_LOSS
    hyperparameters: dict[str, float | int | bool]
    if settings.uses_sgd:
        epochs = epochs_of(settings) or 1
        learning_rate = settings.learning_rate or _SGD_LEARNING_RATE
        learning_rate_decay = settings.learning_rate_decay or 0.0
        hyperparameters = {
            "learning_rate": learning_rate,
            "learning_rate_decay": learning_rate_decay,
            "shuffle": settings.shuffle,
        }
        fitted = sgd(
            Network.random(sizes, generator),
            inputs,
            targets,
            loss=loss,
            epochs=epochs,
            shuffle=generator if settings.shuffle else None,
            report_every=max(1, epochs // 100),
            on_epoch=on_epoch,
            learning_rate=learning_rate,
            learning_rate_decay=learning_rate_decay,
        )
    else:
        hyperparameters = {"restarts": settings.restarts, "l2": settings.l2}
        fitted = gauss_newton(
            sizes,
            inputs,
            targets,
            trained.counts,
            generator=generator,
            restarts=settings.restarts,
            l2=settings.l2,
            on_epoch=on_epoch,
        )
    trainer = stored.Trainer(
        name="sgd" if settings.uses_sgd else "gauss_newton",
        loss=loss.name,
        hyperparameters=hyperparameters,
        seed=settings.seed,
        epochs=fitted.epochs,
        final_loss=fitted.loss,
        saturated_units=fitted.saturated_units,
    )
    return Predictor(fitted.network, shift, scale), trainer, fitted.history
