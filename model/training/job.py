"""The training job: file -> people -> fit -> evaluate -> publish -> gate. The one place where training meets registry.

The candidate is judged against the champion on the same held-out people, published with the verdict in its manifest,
and promoted where the verdict says so. Where another training promoted its own in between, it is judged again.
"""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from model.errors import CorruptionError, DataError, ExpectationError, NotFoundError, SettingsError
from model.network.losses import LOG_LOSS, MEAN_SQUARED_ERROR
from model.network.network import Network
from model.network.trainers import gauss_newton, sgd
from model.predictor import FEMALE, MALE, Predictor, TrainingRange
from model.registry import manifest as stored
from model.training.description import describe, probes
from model.training.evaluation import Judgement, base_rate_totals, judge, log_losses, measure
from model.training.people import FEWEST_PEOPLE, People, read_people

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.network.losses import Loss
    from model.network.network import Array
    from model.network.trainers import OnEpoch
    from model.registry.log import Expect, Head
    from model.registry.registry import Registry
    from model.registry.version import Version

TUTORIAL = "tutorial"
"""The data of the tutorial's four people, and the one model that they train."""
TUTORIAL_SHIFT = (135.0, 66.0)

_SGD_EPOCHS, _TUTORIAL_EPOCHS = 20, 1000
_SGD_LEARNING_RATE = 0.1
_MOST_PARAMETERS_AT_ONCE = 2_000
_RESTARTS, _L2 = 4, 0.1


@dataclass(frozen=True)
class Settings:
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
    l2: float = _L2
    seed: int = 1
    promote: Literal["auto", "always", "never"] = "auto"
    publish_identical: bool = False

    @property
    def is_tutorial(self) -> bool:
        return self.data == TUTORIAL

    @property
    def uses_sgd(self) -> bool:
        return self.trainer == "sgd" or (self.trainer is None and self.is_tutorial)


@dataclass(frozen=True)
class Outcome:
    """What came of a training. Where it was identical to the champion, nothing was published."""

    version: Version | None
    evaluation: stored.Evaluation
    verdict: stored.Verdict
    people: People
    trainer: stored.Trainer
    layer_sizes: tuple[int, ...]
    digest: str
    identical_to: int | None = None
    promoted: bool = False


def check(settings: Settings, registry: Registry) -> None:
    """Raises SettingsError where the settings contradict each other or the registry's model."""
    if settings.is_tutorial != (registry.model == TUTORIAL):
        raise SettingsError(
            f"the tutorial's four people train the model {TUTORIAL!r} and nothing else does, so that they never become "
            f"anyone's champion by accident: --data {settings.data} and --model {registry.model} do not go together"
        )
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
    for name, at_least in (("epochs", 1), ("learning_rate_decay", 0), ("seed", 0)):
        value = getattr(settings, name)
        if value is not None and not at_least <= value < np.inf:
            raise SettingsError(f"--{name.replace('_', '-')} must be at least {at_least}, and finite; it is {value}")
    if settings.learning_rate is not None and not 0.0 < settings.learning_rate < np.inf:
        raise SettingsError(f"--learning-rate must be above 0, and finite; it is {settings.learning_rate}")


def run(settings: Settings, registry: Registry, *, by: str, on_epoch: OnEpoch = lambda _epoch, _loss: None) -> Outcome:
    """Train, evaluate, publish, and promote where the gate says so. Raises StatureError of every kind."""
    check(settings, registry)
    people = people_of(settings)
    # One thread, so that sums are added in the same order whatever the number of cores. It is also the fastest here.
    with threadpool_limits(1, user_api="blas"):
        predictor, trainer = fit(settings, people, on_epoch)
        evaluation = _evaluate(predictor, people)
        head = registry.head()
        verdict = _verdict(settings, predictor, people, registry, head)
        outcome = partial(
            Outcome,
            evaluation=evaluation,
            verdict=verdict,
            people=people,
            trainer=trainer,
            layer_sizes=predictor.network.sizes,
            digest=predictor.digest,
        )
        if head.champion and not settings.publish_identical and _digest(registry, head.champion) == predictor.digest:
            return outcome(None, identical_to=head.champion)
        version = registry.publish(_draft(predictor, people, trainer, evaluation, verdict), predictor, by)

        def judge_against(head: Head) -> stored.Verdict:
            return _verdict(settings, predictor, people, registry, head)

        promoted, verdict = _promote(
            version.manifest.number, verdict, judge_against, registry, by=by, whatever=settings.promote == "always"
        )
    return replace(outcome(version), verdict=verdict, promoted=promoted)


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


def fit(settings: Settings, people: People, on_epoch: OnEpoch) -> tuple[Predictor, stored.Trainer]:
    """Shift and scale, train on the people who are not held out."""
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
    )
    return Predictor(fitted.network, shift, scale), trainer


def _evaluate(predictor: Predictor, people: People) -> stored.Evaluation:
    """The metrics on the held-out people; the tutorial, which holds nobody out, is measured on its own four."""
    trained = people.where(~people.held_out)
    judges = people.where(people.held_out) if people.held_out.any() else people

    def metrics(totals: Array) -> stored.Metrics:
        return stored.Metrics(**asdict(measure(judges.female, totals, judges.counts)))

    logistic_regression = None
    if people.held_out.any():
        fit = gauss_newton(
            (2, 1),
            predictor.inputs(trained.measurements),
            trained.female[:, None],
            trained.counts,
            generator=np.random.default_rng(0),  # one valley with one bottom: the start does not matter
            restarts=1,
            l2=_L2,
        )
        logistic_regression = metrics(
            Predictor(fit.network, predictor.shift, predictor.scale).totals(judges.measurements)
        )
    return stored.Evaluation(
        people=len(judges),
        population="held_out" if people.held_out.any() else "trained_on",
        metrics=metrics(predictor.totals(judges.measurements)),
        base_rate=metrics(base_rate_totals(trained.female, trained.counts, len(judges.female))),
        logistic_regression=logistic_regression,
    )


def _verdict(
    settings: Settings, predictor: Predictor, people: People, registry: Registry, head: Head
) -> stored.Verdict:
    """What the gate says, held against the champion of this moment of the log."""
    judges = people.where(people.held_out)
    same_data = None
    if head.champion is None:
        judgement = Judgement(promote=True, reason="it is the first")
    elif settings.is_tutorial:
        judgement = Judgement(promote=False, reason="the tutorial holds nobody out to judge by")
    else:
        try:
            champion = registry.load(head.champion)
        except (CorruptionError, NotFoundError) as error:
            judgement = Judgement(promote=False, reason=f"the champion cannot be judged: {error}")
        else:
            candidate_log_loss, champion_log_loss = (
                float(np.average(log_losses(judges.female, who.totals(judges.measurements)), weights=judges.counts))
                for who in (predictor, champion.predictor)
            )
            judgement = judge(candidate_log_loss, champion_log_loss, head.champion, len(judges))
            same_data = champion.manifest.data.fingerprint == people.fingerprint
    if settings.promote == "always":
        judgement = replace(judgement, promote=True, reason=f"told to; {judgement.reason}")
    elif settings.promote == "never":
        judgement = replace(judgement, promote=False, reason=f"told not to; {judgement.reason}")
    return stored.Verdict(
        **asdict(judgement),
        log_number=head.number,
        champion=head.champion,
        people=len(judges),
        same_data=same_data,
    )


def _digest(registry: Registry, number: int) -> str | None:
    """Of a version that is whole: one that is not has no equal."""
    try:
        return registry.load(number).manifest.digest
    except (CorruptionError, NotFoundError):
        return None


def _promote(
    number: int,
    verdict: stored.Verdict,
    judge_against: Callable[[Head], stored.Verdict],
    registry: Registry,
    *,
    by: str,
    whatever: bool,
) -> tuple[bool, stored.Verdict]:
    """Promote expecting the champion that was judged against; where that was replaced meanwhile, judge again.

    The manifest holds the first verdict for good, so a later one goes on record in the log alone.
    """
    later: stored.Verdict | None = None
    while (later or verdict).promote:
        reason = (later or verdict).reason
        expect: Expect = (later or verdict).champion or "none"
        try:
            registry.promote(number, by=by, reason=reason, expect=None if whatever else expect, verdict=later)
        except ExpectationError:
            later = judge_against(registry.head())
        else:
            return True, later or verdict
    if later is not None:
        registry.judge(number, by=by, verdict=later)
    return False, later or verdict


def _draft(
    predictor: Predictor,
    people: People,
    trainer: stored.Trainer,
    evaluation: stored.Evaluation,
    verdict: stored.Verdict,
) -> stored.Draft:
    trained = people.where(~people.held_out)
    training_range = TrainingRange.around(trained.measurements, trained.female, trained.counts)
    return stored.Draft(
        digest=predictor.digest,
        layer_sizes=predictor.network.sizes,
        shift=predictor.shift,
        scale=predictor.scale,
        training_range=stored.Range(**asdict(training_range)),
        inputs=stored.Inputs(
            male=stored.InputsOfGender(**describe(trained.where(trained.female == MALE))),
            female=stored.InputsOfGender(**describe(trained.where(trained.female == FEMALE))),
        ),
        data=data_of(people),
        trainer=trainer,
        software=software(),
        evaluation=evaluation,
        verdict=verdict,
        probes=tuple(stored.Probe(**probe) for probe in probes(predictor, trained)),
    )


def data_of(people: People) -> stored.Data:
    """What a manifest says of the file that the people came from."""
    held_out = int(people.counts[people.held_out].sum())
    return stored.Data(
        source=people.source,
        fingerprint=people.fingerprint,
        order_fingerprint=people.order_fingerprint,
        people=len(people),
        distinct_rows=people.distinct_rows,
        trained_people=len(people) - held_out,
        held_out_people=held_out,
        left_out=people.left_out,
    )


def software() -> stored.Software:
    """What a manifest says of the programs at work: other ones may round otherwise."""
    return stored.Software(
        stature=installed_version("stature"),
        python=platform.python_version(),
        numpy=np.__version__,
        platform=f"{platform.system()} {platform.machine()}",
    )
