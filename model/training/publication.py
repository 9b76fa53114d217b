"""A candidate on its way into the registry: judged against the champion, published with the verdict, and promoted.

    candidate ──► verdict ──► published with it ──► promoted, expecting the champion that it was held against

Where someone else promoted a version in between, it is judged again. Training and recalibration both end here.
"""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

import numpy as np

from model.errors import CorruptionError, ExpectationError, NotFoundError
from model.predictor import FEMALE, MALE, Predictor
from model.registry import manifest as stored
from model.registry.log import CHALLENGER
from model.training import report
from model.training.description import describe, probes
from model.training.judging import verdict_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.predictor import TrainingRange
    from model.registry.log import Expect, Head
    from model.registry.registry import Registry
    from model.registry.version import Version
    from model.training.evaluation import Evaluation
    from model.training.gate import GateSettings
    from model.training.judging import Judges
    from model.training.people import People


Losses = tuple[tuple[int, float], ...]
"""(epoch, loss over the people trained on) along the way; a recalibration has none to show."""


@dataclass(frozen=True)
class Candidate:
    """What is to be published, and the people it was made from, of whom some may be held out."""

    predictor: Predictor
    people: People
    trainer: stored.Trainer
    evaluation: Evaluation
    training_range: TrainingRange
    losses: Losses = ()
    parent: int | None = None
    recalibration: stored.Recalibration | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a training or a recalibration. Where it was identical to the champion, nothing was published."""

    version: Version | None
    evaluation: stored.Evaluation
    verdict: stored.Verdict
    people: People
    trainer: stored.Trainer
    layer_sizes: tuple[int, ...]
    digest: str
    losses: Losses
    recalibration: stored.Recalibration | None = None
    identical_to: int | None = None
    promoted: bool = False
    is_challenger: bool = False


def publish(
    candidate: Candidate,
    judges: Judges | None,
    settings: GateSettings,
    registry: Registry,
    *,
    by: str,
    publish_identical: bool = False,
) -> Outcome:
    """Publish it with what the gate says of it, and promote it where the gate lets it. RegistryError, StorageError."""

    def judged(head: Head) -> stored.Verdict:
        return verdict_of(
            candidate.predictor, candidate.people, judges, settings=settings, registry=registry, head=head
        )

    head = registry.head()
    verdict = judged(head)
    evaluation = stored.Evaluation(**asdict(candidate.evaluation))
    outcome = partial(
        Outcome,
        evaluation=evaluation,
        people=candidate.people,
        trainer=candidate.trainer,
        layer_sizes=candidate.predictor.network.sizes,
        digest=candidate.predictor.digest,
        losses=candidate.losses,
        recalibration=candidate.recalibration,
    )
    if head.champion and not publish_identical and _digest(registry, head.champion) == candidate.predictor.digest:
        return outcome(version=None, verdict=verdict, identical_to=head.champion)
    draft = _draft(candidate, evaluation, verdict)
    version = registry.publish(draft, candidate.predictor, by, _report(draft, candidate, registry.model))
    promoted, verdict = _promote(
        version.manifest.number,
        verdict,
        judged,
        registry,
        by=by,
        whatever=settings.promote == "always",
    )
    is_challenger = not promoted and settings.otherwise == "challenger"
    if is_challenger:
        registry.set_alias(version.manifest.number, CHALLENGER, by=by, reason=verdict.reason)
    return outcome(version=version, verdict=verdict, promoted=promoted, is_challenger=is_challenger)


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


def _report(draft: stored.Draft, candidate: Candidate, model: str) -> bytes | None:
    """None where there is nothing to draw it with."""
    if not report.is_available():
        return None
    return report.render(draft, candidate.predictor, candidate.people, candidate.losses, model=model)


def _draft(candidate: Candidate, evaluation: stored.Evaluation, verdict: stored.Verdict) -> stored.Draft:
    predictor, people = candidate.predictor, candidate.people
    trained = people.where(~people.held_out)
    return stored.Draft(
        digest=predictor.digest,
        layer_sizes=predictor.network.sizes,
        shift=predictor.shift,
        scale=predictor.scale,
        training_range=stored.Range(**asdict(candidate.training_range)),
        inputs=stored.Inputs(
            male=stored.InputsOfGender(**describe(trained.where(trained.female == MALE))),
            female=stored.InputsOfGender(**describe(trained.where(trained.female == FEMALE))),
        ),
        data=data_of(people),
        trainer=candidate.trainer,
        software=software(),
        evaluation=evaluation,
        verdict=verdict,
        parent=candidate.parent,
        recalibration=candidate.recalibration,
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
