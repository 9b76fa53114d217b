"""What the registry writes as JSON: a version's manifest, and the two functions that every such file goes through.

`docs/registry.md` describes the manifest field by field.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from model.errors import CorruptionError, SettingsError

MAXIMUM_MANIFEST_BYTES = 1 << 20
MAXIMUM_FILE_BYTES = 4 << 20
"""Of each file that a manifest names."""
MAXIMUM_LAYERS, MAXIMUM_NEURONS = 8, 256


class Stored(BaseModel):
    """What stands in a file. Strict in what it knows; members that a later release added are left alone."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
        ser_json_inf_nan="constants",
        json_schema_serialization_defaults_required=True,  # what is written is whole
        cache_strings="keys",  # pydantic would keep 16,384 hashes and ids that never come again
    )


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Transaction = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
NAME, NUMERAL = r"[a-z][a-z0-9_-]{0,62}", r"[1-9][0-9]{0,9}"
"""Patterns of a model's or an alias's name, and of a version's number in an address; no string is both."""
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
Number = Annotated[int, Field(ge=1, lt=10**10)]
Pair = tuple[float, float]


class File(Stored):
    key: Annotated[str, Field(pattern=r"^(artifacts|reports|signatures)/[0-9a-f]{32}\.[a-z0-9]{1,8}$")]
    sha256: Sha256
    size: Annotated[int, Field(ge=1)]


class Files(Stored):
    """The files beside the manifest; each was there before it."""

    weights: File
    report: File | None = None

    @property
    def all(self) -> tuple[File, ...]:
        return (self.weights,) if self.report is None else (self.weights, self.report)


class Units(Stored):
    weight: Literal["lb"] = "lb"
    height: Literal["in"] = "in"


class Labels(Stored):
    male: Literal[0] = 0
    female: Literal[1] = 1


class Range(Stored):
    """The region of the people trained on: `model.predictor.TrainingRange`, genders in the order of the labels."""

    means: tuple[Pair, Pair]
    covariances: tuple[tuple[Pair, Pair], tuple[Pair, Pair]]
    radius: Annotated[float, Field(ge=0.0)]

    @field_validator("covariances")
    @classmethod
    def _are_covariances(
        cls, covariances: tuple[tuple[Pair, Pair], tuple[Pair, Pair]]
    ) -> tuple[tuple[Pair, Pair], tuple[Pair, Pair]]:
        for (a, b), (c, d) in covariances:
            if not (a > 0.0 and d > 0.0 and a * d - b * c > 0.0):
                raise ValueError("a covariance is positive definite")
        return covariances


class Histogram(Stored):
    """How many people lie in each bin: one more edge than bins, and no bin of fewer than five people."""

    edges: tuple[float, ...]
    people: tuple[int, ...]


class InputsOfGender(Stored):
    """What the people of one gender that were trained on look like, without showing any one of them."""

    people: int
    mean: Pair
    covariance: tuple[Pair, Pair]
    percentiles: dict[Literal["weight", "height"], dict[str, float]]
    histograms: dict[Literal["weight", "height"], Histogram]


class Inputs(Stored):
    male: InputsOfGender
    female: InputsOfGender


class Data(Stored):
    source: str
    fingerprint: Sha256
    order_fingerprint: Sha256 | None
    people: int
    distinct_rows: int
    trained_people: int
    held_out_people: int
    left_out: dict[str, int]


class Trainer(Stored):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    """`sgd`, `gauss_newton`, `platt_scaling`; a later release may have others."""
    loss: Literal["mean_squared_error", "log_loss"]
    hyperparameters: dict[str, float | int | bool]
    seed: int
    epochs: int
    final_loss: float
    saturated_units: tuple[tuple[int, int], ...] | None = None
    """(layer, neuron), counted from 1; None: the release that trained it did not look."""


class Software(Stored):
    stature: str
    python: str
    numpy: str
    platform: str


class Metrics(Stored):
    log_loss: float
    brier_score: float
    accuracy: float
    roc_auc: float
    calibration_error: float


class ReliabilityBin(Stored):
    """Of five people or more who were given a probability between two: what was said on average, what was so."""

    lower: float
    upper: float
    people: int
    mean_probability_female: float
    share_female: float


Band = tuple[float | None, float | None]


class Slice(Stored):
    """The metrics of five people or more: of a gender, of a band of weight or height (from, and up to), or of both."""

    gender: Literal["male", "female"] | None
    weight_lb: Band | None
    height_in: Band | None
    people: int
    log_loss: float
    brier_score: float
    accuracy: float
    calibration_error: float | None
    calibration_error_floor: float | None


class Evaluation(Stored):
    """The metrics of the version, and on the same people those of two models that anyone can have for nothing."""

    people: int
    population: Literal["held_out", "trained_on", "everyone"]
    metrics: Metrics
    base_rate: Metrics
    logistic_regression: Metrics | None
    intervals: dict[str, Pair] = Field(default_factory=dict)
    """Of each metric, at 95 %."""
    calibration_error_floor: float | None = None
    """The calibration error that so few people would show of probabilities that are exactly right."""
    reliability: tuple[ReliabilityBin, ...] = ()
    slices: tuple[Slice, ...] = ()


class Holdout(Stored):
    """A file of people who judged, instead of those held out of the data."""

    source: str
    fingerprint: Sha256
    people: int
    also_trained_on: int
    """How many of them have the row of someone trained on."""


class Verdict(Stored):
    """Whether the gate lets this version become champion, why, and which champion it was held against."""

    promote: bool
    reason: str
    log_number: Annotated[int, Field(ge=0)]
    champion: Number | None
    candidate_log_loss: float | None
    champion_log_loss: float | None
    people: int
    same_data: bool | None
    """Whether that champion was trained on the same data. Held-out people are held out in all data alike."""
    base_rate_log_loss: float | None = None
    difference: float | None = None
    """Of the two log-losses: below 0 where the candidate's is lower."""
    difference_interval: Pair | None = None
    """At 95 %, paired: both on the same people."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    min_absolute_change: float = 0.0
    min_relative_change: float = 0.0
    holdout: Holdout | None = None


class Recalibration(Stored):
    """How the output layer of the parent was moved: its total became slope · total + intercept."""

    parent_digest: Sha256
    slope: Annotated[float, Field(gt=0.0)]
    intercept: float
    people: int
    """How many it was fitted on."""


class Probe(Stored):
    weight_lb: float
    height_in: float
    probability_female: Annotated[float, Field(ge=0.0, le=1.0)]


class Draft(Stored):
    """All that a training says of its version; the registry adds what it knows, and it becomes a `Manifest`."""

    digest: Sha256
    layer_sizes: Annotated[tuple[int, ...], Field(min_length=2, max_length=MAXIMUM_LAYERS + 1)]
    units: Units = Units()
    labels: Labels = Labels()
    shift: Pair
    scale: Pair
    training_range: Range
    inputs: Inputs
    data: Data
    trainer: Trainer
    software: Software
    evaluation: Evaluation
    verdict: Verdict
    parent: Number | None = None
    recalibration: Recalibration | None = None
    probes: Annotated[tuple[Probe, ...], Field(min_length=1, max_length=100)]

    @field_validator("layer_sizes")
    @classmethod
    def _is_a_network_from_two_inputs_to_one_output(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if sizes[0] != 2 or sizes[-1] != 1 or not all(1 <= size <= MAXIMUM_NEURONS for size in sizes):  # noqa: PLR2004
            raise ValueError(f"2 inputs, 1 output and layers of 1 to {MAXIMUM_NEURONS} neurons are expected")
        return sizes

    @field_validator("scale")
    @classmethod
    def _is_a_scale(cls, scale: Pair) -> Pair:
        if not all(value > 0.0 for value in scale):
            raise ValueError("a scale is positive")
        return scale


class _Identity(Stored):
    """What the registry knows of a version."""

    format_version: Literal[1] = 1
    model: Name
    number: Number
    transaction: Transaction
    created_at: AwareDatetime
    created_by: str
    files: Files


class Manifest(Draft, _Identity):
    """A version's manifest: creating this file is what publishes the version."""


def check_name(name: str, what: str) -> str:
    """The name of a model or an alias. SettingsError for one that none can have."""
    if not re.fullmatch(NAME, name):
        raise SettingsError(
            f"{name!r} cannot name {what}: lower-case letters, digits, - and _ are expected, a letter first"
        )
    return name


_Stored = TypeVar("_Stored", bound=Stored)


def encode(stored: Stored) -> bytes:
    """JSON as it stands in a file: indented, for people."""
    return (stored.model_dump_json(indent=2) + "\n").encode()


def decode(kind: type[_Stored], content: bytes, name: str) -> _Stored:
    """The record in these bytes. CorruptionError, naming the file and the member, where they hold none."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = "/".join(str(part) for part in first["loc"])
        why = f"{where}: {first['msg']}" if where else first["msg"]
        raise CorruptionError(f"{name} is not a {kind.__name__.lower()}: {why}") from None
