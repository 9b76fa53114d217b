"""Training a version again from its manifest: the same people, settings and seed must give the same bits.

    manifest ──► settings ──► people ──► fit ──► digest ──► the same as the manifest's?

Nothing is published. Where the bits are not the same, what differs is said, and how far the predictions lie apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from model.errors import CorruptionError, NotFoundError, SettingsError
from model.registry.difference import Differences, Gap, differing, gap
from model.training.job import Settings, check, fit, people_of
from model.training.people import SHIPPED, read_people
from model.training.publication import data_of, software
from model.training.recalibration import recalibrate

if TYPE_CHECKING:
    from model.network.trainers import OnEpoch
    from model.predictor import Predictor
    from model.registry.manifest import Manifest, Stored
    from model.registry.registry import Registry
    from model.registry.version import Version

_HYPERPARAMETERS = {"sgd": {"learning_rate", "learning_rate_decay", "shuffle"}, "gauss_newton": {"restarts", "l2"}}


@dataclass(frozen=True)
class Reproduction:
    """What came of training a version again."""

    manifest: Manifest
    digest: str
    differences: Differences
    """What the manifest says of the data, the software and the fit, and what is so now."""
    gap: Gap | None
    """None where the bits are the same, or where the weights of the version are lost."""

    @property
    def is_same(self) -> bool:
        """Whether it is the same network, bit for bit."""
        return self.digest == self.manifest.digest

    @property
    def reason(self) -> str:
        """The likeliest reason why it is not."""
        if "data.fingerprint" in self.differences:
            return "The people are not those that it was trained on."
        if "data.order_fingerprint" in self.differences:
            return "The people are the same in another order, and sgd takes them one by one."
        if any(name.startswith("software.") for name in self.differences):
            return "The people are the same; other software, or another kind of machine, may round otherwise."
        return (
            "The people and the software are those that are recorded: this processor may round otherwise, or the "
            "settings in the manifest are not those that it was trained with."
        )


def settings_of(manifest: Manifest, *, data: str | None = None, female_code: str | None = None) -> Settings:
    """What the training of this version was asked to do. SettingsError where that cannot be known."""
    name, trainer = f"version {manifest.number} of {manifest.model}", manifest.trainer
    source = _source(manifest, data)
    if trainer.name not in _HYPERPARAMETERS or set(trainer.hyperparameters) != _HYPERPARAMETERS[trainer.name]:
        raise SettingsError(
            f"{name} was trained by another release of Stature, {manifest.software.stature}, with a trainer or "
            f"hyperparameters that this one does not have: {', '.join([trainer.name, *trainer.hyperparameters])}"
        )
    hyperparameters: dict[str, Any] = dict(trainer.hyperparameters)
    return Settings(
        data=source,
        female_code=female_code,
        skip_bad_rows=True,  # a row that was left out is told by what the manifest says of the data
        hidden=manifest.layer_sizes[1:-1],
        trainer="sgd" if trainer.name == "sgd" else "gauss_newton",
        epochs=trainer.epochs if trainer.name == "sgd" else None,
        seed=trainer.seed,
        **hyperparameters,
    )


def _source(manifest: Manifest, data: str | None) -> str:
    if data is None and manifest.data.source not in SHIPPED:
        raise SettingsError(
            f"version {manifest.number} of {manifest.model} was trained on {manifest.data.source}: "
            "say where that file is now, with --data FILE"
        )
    return data or manifest.data.source


def reproduce(
    registry: Registry,
    number: int,
    *,
    data: str | None = None,
    female_code: str | None = None,
    on_epoch: OnEpoch = lambda _epoch, _loss: None,
) -> Reproduction:
    """Train this version again and hold it against what is recorded. Raises StatureError of every kind."""
    manifest = registry.manifest(number)
    if manifest.recalibration is None:
        settings = settings_of(manifest, data=data, female_code=female_code)
        check(settings, registry)
        people = people_of(settings)
        with threadpool_limits(1, user_api="blas"):  # as the training job does
            predictor, trainer, _ = fit(settings, people, on_epoch)
    else:
        people = read_people(_source(manifest, data), female_code=female_code, skip_bad_rows=True)
        parent = _parent(registry, manifest)
        with threadpool_limits(1, user_api="blas"):
            predictor, trainer, _ = recalibrate(parent, people)
    recorded = manifest.model_dump(mode="json", include={"data", "software", "trainer"})
    found: dict[str, Stored] = {"data": data_of(people), "software": software(), "trainer": trainer}
    return Reproduction(
        manifest=manifest,
        digest=predictor.digest,
        differences=differing(recorded, {name: part.model_dump(mode="json") for name, part in found.items()}),
        gap=None if predictor.digest == manifest.digest else _gap_to(registry, manifest, predictor),
    )


def _parent(registry: Registry, manifest: Manifest) -> Version:
    """The version that this one was recalibrated from. SettingsError where it is no longer there."""
    try:
        return registry.load(manifest.parent or 0)
    except (CorruptionError, NotFoundError) as error:
        raise SettingsError(
            f"version {manifest.number} of {manifest.model} was recalibrated from version {manifest.parent}, without "
            f"which it cannot be made again: {error}"
        ) from error


def _gap_to(registry: Registry, manifest: Manifest, predictor: Predictor) -> Gap | None:
    try:
        version = registry.load(manifest.number)
    except CorruptionError:
        return None
    return gap(version.predictor, predictor, manifest)
