"""The gate at work: who judges, and candidate, base rate and champion held against each other on these people."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from model.errors import CorruptionError, NotFoundError
from model.registry import manifest as stored
from model.training import bootstrap, gate
from model.training.evaluation import share_of_women
from model.training.metrics import base_rate_totals, log_losses, measure
from model.training.people import read_people, shared_people

if TYPE_CHECKING:
    from model.predictor import Predictor
    from model.registry.log import Head
    from model.registry.registry import Registry
    from model.registry.version import Version
    from model.training.gate import GateSettings
    from model.training.people import People

_SEED = 0
"""Of the resamples of a comparison: judged again, it says the same."""


@dataclass(frozen=True)
class Judges:
    """The people who judge candidate and champion alike."""

    people: People
    in_words: str
    holdout: stored.Holdout | None = None


def judges_of(settings: GateSettings, people: People, *, female_code: str | None, skip_bad_rows: bool) -> Judges | None:
    """Who judges: the people of `--holdout`, or those held out of the data; None for the tutorial, which has neither.

    A row of the hold-out file that is also trained on is counted: it may be the same person. DataError.
    """
    if settings.holdout is None:
        judges = people.where(people.held_out)
        return Judges(judges, f"{len(judges):,} held-out people") if judges else None
    judges = read_people(
        settings.holdout, female_code=female_code, skip_bad_rows=skip_bad_rows, fewest=1, hold_out=False
    )
    shared = shared_people(judges, people.where(~people.held_out))
    known = f", of whom {shared:,} have the row of someone trained on," if shared else ""
    return Judges(
        judges,
        f"{len(judges):,} people of {judges.source}{known}",
        stored.Holdout(
            source=judges.source, fingerprint=judges.fingerprint, people=len(judges), also_trained_on=shared
        ),
    )


def verdict_of(
    predictor: Predictor,
    people: People,
    judges: Judges | None,
    *,
    settings: GateSettings,
    registry: Registry,
    head: Head,
) -> stored.Verdict:
    """What the gate says of a network made from these people, held against the champion of this moment of the log."""
    same_data = None
    if judges is None:
        judgement = gate.Judgement(
            promote=head.champion is None,
            reason="it is the first" if head.champion is None else "the tutorial holds nobody out to judge by",
        )
    else:
        try:
            champion = None if head.champion is None else registry.load(head.champion)
        except (CorruptionError, NotFoundError) as error:
            judgement = gate.Judgement(promote=False, reason=f"the champion cannot be judged: {error}")
        else:
            judgement = _judgement(predictor, people, judges, settings, champion)
            same_data = None if champion is None else champion.manifest.data.fingerprint == people.fingerprint
    if settings.promote == "always":
        judgement = replace(judgement, promote=True, reason=f"told to; {judgement.reason}")
    elif settings.promote == "never":
        judgement = replace(judgement, promote=False, reason=f"told not to; {judgement.reason}")
    return stored.Verdict(
        **asdict(judgement),
        log_number=head.number,
        champion=head.champion,
        people=len(judges.people) if judges else 0,
        same_data=same_data,
        thresholds=dict(settings.thresholds),
        min_absolute_change=settings.min_absolute_change,
        min_relative_change=settings.min_relative_change,
        holdout=judges.holdout if judges else None,
    )


def _judgement(
    predictor: Predictor, people: People, judges: Judges, settings: GateSettings, champion: Version | None
) -> gate.Judgement:
    """Candidate, base rate and champion on the same people."""
    female, counts, measurements = judges.people.female, judges.people.counts, judges.people.measurements
    totals = predictor.totals(measurements)
    share_female = share_of_women(people.where(~people.held_out))
    base_rate = log_losses(female, base_rate_totals(share_female, len(female)))
    held_against = None
    if champion is not None:
        losses = log_losses(female, champion.predictor.totals(measurements))
        held_against = gate.Champion(
            number=champion.manifest.number,
            log_loss=float(np.average(losses, weights=counts)),
            difference_interval=bootstrap.interval_of_mean(
                log_losses(female, totals) - losses, counts, np.random.default_rng(_SEED)
            ),
        )
    return gate.judge(
        settings,
        measure(female, totals, counts),
        float(np.average(base_rate, weights=counts)),
        held_against,
        judges.in_words,
    )
