"""What goes out, in pydantic. Answers are not built from these: they describe them, in the API's description.

A client ignores members that it does not know: a later release may add some.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from model.registry.log import Record
from model.registry.manifest import Manifest, Metrics

Probability = Annotated[float, Field(ge=0.0, le=1.0, description="Probability of female, not rounded.")]
Following = Annotated[str | None, Field(description="The path of what follows, or null.")]


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class FromVersion(Answer):
    """Which version answered."""

    model: Annotated[str, Field(examples=["gender"])]
    model_version: Annotated[int, Field(ge=1)]


class Judgement(Answer):
    """What a version says of one person."""

    probability_female: Probability
    likelier: Annotated[
        Literal["female", "male"], Field(description="Which has the higher probability; exactly one half is female.")
    ]
    in_training_range: Annotated[
        bool, Field(description="Whether this lies in the region that holds 99.9 % of the people trained on.")
    ]


class Baseline(Answer):
    """The average of the people trained on, and what the version says of such a person."""

    weight_lb: float
    height_in: float
    probability_female: Probability


class Contributions(Answer):
    """How far each measurement moves the probability from the baseline's to this person's: exact Shapley values."""

    weight: Annotated[float, Field(ge=-1.0, le=1.0)]
    height: Annotated[float, Field(ge=-1.0, le=1.0)]


class Explanation(Answer):
    """The baseline's probability and the two contributions sum to the person's probability."""

    baseline: Baseline
    contributions: Contributions


class Prediction(Judgement, FromVersion):
    """The answer for one person."""

    # It may be absent, and is never null.
    explanation: Annotated[Explanation | SkipJsonSchema[None], Field(description="Only with `explain=true`.")] = None


class BatchPredictions(FromVersion):
    """The answers for a batch, in its order."""

    predictions: list[Judgement]


class ColumnPredictions(FromVersion):
    """The answers for columns, in their order."""

    probability_female: list[Probability]
    outside_training_range: Annotated[
        list[Annotated[int, Field(ge=0)]],
        Field(description="The positions, counted from 0, of those outside the training range."),
    ]


class VersionSummary(Answer):
    """A version in a list."""

    model_version: Annotated[int, Field(ge=1)]
    aliases: list[str]
    created_at: AwareDatetime
    created_by: str
    data: Annotated[str, Field(description="What it was trained on, by name.", examples=["nhanes"])]
    trainer: str
    layer_sizes: list[int]
    metrics: Metrics
    digest: str


class UnreadableVersion(Answer):
    """A version in a list whose manifest cannot be read, and why."""

    model_version: Annotated[int, Field(ge=1)]
    aliases: list[str]
    problem: str


class Versions(Answer):
    """Versions, the newest first."""

    model: str
    versions: list[VersionSummary | UnreadableVersion]
    next: Following


class VersionManifest(Manifest):
    """All that is known of a version, and the aliases that point at it."""

    aliases: list[str]


class Aliases(Answer):
    """The aliases, as of a record of the log."""

    model: str
    log_number: Annotated[int, Field(ge=0)]
    aliases: dict[str, int]


class Log(Answer):
    """Records of the log, the oldest first."""

    model: str
    records: list[Record]
    next: Following


class Alive(Answer):
    status: Literal["alive"]


class Ready(FromVersion):
    status: Literal["ready"]
    log_number: Annotated[int, Field(ge=0)]


Share = Annotated[float, Field(ge=0.0, le=1.0)]


class DriftFinding(Answer):
    """One thing that is not as in training: a name for programs, and words."""

    code: str
    detail: str


class DriftOfInput(Answer):
    """How far an input has moved, and its means."""

    population_stability_index: Annotated[float, Field(ge=0.0)]
    mean: float
    mean_in_training: float
    unit: Literal["kg", "cm"]


class Drift(Answer):
    """Whether the people asked about are like those trained on. While there are few, as little as possible is said."""

    verdict: Literal["as_trained", "drifted", "too_few_requests", "nothing_to_compare_with"]
    detail: str
    people: Annotated[int, Field(ge=0)]
    findings: list[DriftFinding]
    inputs: dict[Literal["weight", "height"], DriftOfInput]
    outside_training_range: Share | None
    refused: Share | None
    refused_by_reason: dict[str, Share]


class FieldProblem(Answer):
    """One thing that is wrong in a body."""

    pointer: Annotated[str, Field(description="Where, as a JSON pointer.", examples=["#/height_cm"])]
    code: Annotated[str, Field(description="Which kind, to program against.", examples=["swapped_measurements"])]
    detail: Annotated[str, Field(description="In words.", examples=["182 kg and 73 cm look swapped"])]


class Problem(Answer):
    """What went wrong (RFC 9457). `type` is the name to program against; `detail` may be reworded."""

    type: Annotated[str, Field(examples=["/problems/not-found"])]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    request_id: str


class InvalidBodyProblem(Problem):
    """A body that is JSON and not valid: all that is wrong in it, or the first of it."""

    error_count: Annotated[int, Field(ge=1)]
    errors: Annotated[list[FieldProblem], Field(description="The first hundred.")]


class ConflictProblem(Problem):
    """A change that was not made, and how things stand instead."""

    log_number: Annotated[int, Field(ge=0)]
    aliases: dict[str, int]
