"""How good a published version is on people of any file. Nothing is trained, and nothing is written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from model.errors import RegistryError
from model.registry import manifest as stored
from model.training.evaluation import cross_fitted_logistic_regression, evaluate
from model.training.likeness import Likeness, likeness
from model.training.people import People, read_people

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.registry.registry import Registry


@dataclass(frozen=True)
class Elsewhere:
    """What was found."""

    people: People
    evaluation: stored.Evaluation
    trained_on_people: int | None
    """How many of the people the version was trained on: known where the file is the one it was trained on."""
    likeness: Likeness


def evaluate_elsewhere(
    registry: Registry, number: int, data: str, *, female_code: str | None = None, skip_bad_rows: bool = False
) -> Elsewhere:
    """Everyone in the file judges. Raises DataError, RegistryError.

    The base rate is the share of women among those that the version was trained on. The logistic regression is one of
    these very people: each is judged by one that was trained on the others. Where it is better than the version, a
    training or a recalibration on them pays.
    """
    version = registry.load(number)
    people = read_people(data, female_code=female_code, skip_bad_rows=skip_bad_rows, fewest=1, hold_out=False)
    inputs = version.manifest.inputs
    with threadpool_limits(1, user_api="blas"):  # as the training job does
        evaluation = evaluate(
            version.predictor,
            people,
            population="everyone",
            share_female=inputs.female.people / (inputs.male.people + inputs.female.people),
            logistic_regression_totals=cross_fitted_logistic_regression(people, version.predictor),
        )
    return Elsewhere(
        people=people,
        evaluation=stored.Evaluation(**asdict(evaluation)),
        trained_on_people=next(
            (
                manifest.data.trained_people
                for manifest in _lineage(registry, version.manifest)
                if manifest.data.fingerprint == people.fingerprint
            ),
            None,
        ),
        likeness=likeness(inputs, people),
    )


def _lineage(registry: Registry, manifest: stored.Manifest) -> Iterator[stored.Manifest]:
    """The version, the one that it was made from, and so on, as far as they can be read."""
    yield manifest
    while manifest.parent is not None and manifest.parent < manifest.number:
        try:
            manifest = registry.manifest(manifest.parent)
        except RegistryError:
            return
        yield manifest
