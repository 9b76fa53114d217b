"""One published version: `weights.npz` and the manifest that says all about it. Encode, decode, verify.

A version is data, never code, and nothing of it is believed: sizes before contents, the sha256 before the archive,
names, types and shapes before the numbers, and at last the probes, whose probabilities must come out again.
`docs/registry.md` describes both files field by field.
"""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from model.errors import CorruptionError
from model.network.network import Array, Network
from model.predictor import Predictor, TrainingRange, likelier

MAXIMUM_MANIFEST_BYTES = 1 << 20
MAXIMUM_WEIGHTS_BYTES = 4 << 20
MAXIMUM_LAYERS, MAXIMUM_NEURONS = 8, 256
PROBE_TOLERANCE = 1e-9


class Stored(BaseModel):
    """What stands in a file. Strict in what it knows; members that a later release added are left alone."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="ignore", allow_inf_nan=False, ser_json_inf_nan="constants"
    )


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Transaction = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Number = Annotated[int, Field(ge=1, lt=10**10)]
Pair = tuple[float, float]


class File(Stored):
    key: Annotated[str, Field(pattern=r"^(artifacts|reports|signatures)/[0-9a-f]{32}\.[a-z0-9]{1,8}$")]
    sha256: Sha256
    size: Annotated[int, Field(ge=1)]


class Files(Stored):
    weights: File


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
    name: Literal["sgd", "gauss_newton"]
    loss: Literal["mean_squared_error", "log_loss"]
    hyperparameters: dict[str, float | int | bool]
    seed: int
    epochs: int
    final_loss: float


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


class Evaluation(Stored):
    """The metrics of the version, and on the same people those of two models that anyone can have for nothing."""

    people: int
    population: Literal["held_out", "trained_on"]
    metrics: Metrics
    base_rate: Metrics
    logistic_regression: Metrics | None


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
    created_at: datetime
    created_by: str
    files: Files


class Manifest(Draft, _Identity):
    """A version's manifest: creating this file is what publishes the version."""


@dataclass(frozen=True)
class Version:
    """A version that has been verified: its manifest is whole, its weights are its own, its probes come out."""

    manifest: Manifest
    predictor: Predictor
    training_range: TrainingRange

    def predict(self, weight_lb: float, height_in: float) -> dict[str, Any]:
        """What this version says of one person, by the names that every answer uses."""
        probability_female = self.predictor.probability_female(weight_lb, height_in)
        return {
            "probability_female": probability_female,
            "likelier": likelier(probability_female),
            "in_training_range": self.training_range.contains_one(weight_lb, height_in),
        }

    @property
    def identity(self) -> dict[str, Any]:
        """Which version an answer is of."""
        return {"model": self.manifest.model, "model_version": self.manifest.number}


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
        raise CorruptionError(f"{name} is not a {kind.__name__.lower()}: {where or 'it'}: {first['msg']}") from None


def encode_weights(predictor: Predictor) -> bytes:
    """The arrays as an .npz file, stored without compression, that `np.load` opens."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: array.astype("<f8") for name, array in predictor.arrays.items()})
    return buffer.getvalue()


def verify(manifest: Manifest, weights: bytes) -> Version:
    """The version of this manifest and these weights. CorruptionError where anything is not as the manifest says."""
    name = f"version {manifest.number} of {manifest.model}: {manifest.files.weights.key}"
    file = manifest.files.weights
    if len(weights) != file.size:
        raise CorruptionError(f"{name} has {len(weights):,} bytes, its manifest says {file.size:,}")
    if sha256(weights).hexdigest() != file.sha256:
        raise CorruptionError(f"{name} does not have the sha256 that its manifest says")
    try:
        layers = _decode_layers(weights, manifest.layer_sizes)
    except _UNREADABLE as error:
        raise CorruptionError(f"{name} is not the file of this network's weights: {error}") from error
    predictor = Predictor(Network.from_layers(layers), manifest.shift, manifest.scale)
    if predictor.digest != manifest.digest:
        raise CorruptionError(f"{name} does not have the digest that its manifest says")
    for probe in manifest.probes:
        answer = predictor.probability_female(probe.weight_lb, probe.height_in)
        if not abs(answer - probe.probability_female) <= PROBE_TOLERANCE:
            raise CorruptionError(
                f"{name} answers {answer} for {probe.weight_lb} lb and {probe.height_in} in, "
                f"where its training computed {probe.probability_female}"
            )
    training_range = TrainingRange(**manifest.training_range.model_dump())
    return Version(manifest, predictor, training_range)


_UNREADABLE = (ValueError, KeyError, OSError, EOFError, RuntimeError, OverflowError, struct.error, zipfile.BadZipFile)
"""What zipfile and numpy raise for bytes that are not what they should be."""


class _Member(NamedTuple):
    name: str
    shape: tuple[int, ...]


def _decode_layers(weights: bytes, sizes: tuple[int, ...]) -> list[tuple[Array, Array]]:
    """The arrays, each checked by its header before any number is read: `np.load` alone believes too much."""
    expected = [
        member
        for layer, (inputs, neurons) in enumerate(pairwise(sizes), start=1)
        for member in (_Member(f"weights_{layer}", (neurons, inputs)), _Member(f"biases_{layer}", (neurons,)))
    ]
    with zipfile.ZipFile(io.BytesIO(weights)) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if names != [f"{member.name}.npy" for member in expected]:
            raise ValueError(f"the members {', '.join(m.name for m in expected)} are expected, not {names!r:.200}")
        arrays = [_decode_array(archive, *pair) for pair in zip(entries, expected, strict=True)]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def _decode_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, member: _Member) -> Array:
    numbers = int(np.prod(member.shape))
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.file_size != entry.compress_size:
        raise ValueError(f"{member.name} is compressed or encrypted, and must be stored as it is")
    if entry.file_size > 8 * numbers + 1024:
        raise ValueError(f"{member.name} has {entry.file_size:,} bytes, too many for {numbers} numbers")
    with archive.open(entry) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{member.name} is not in version 1.0 of the .npy format")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=1000)
        if shape != member.shape or fortran_order or dtype.str != "<f8":
            raise ValueError(f"{member.name} must be {member.shape} of '<f8' by rows, not {shape} of {dtype.str!r:.50}")
        content = file.read(8 * numbers + 1)
    if len(content) != 8 * numbers:
        raise ValueError(f"{member.name} must hold {numbers} numbers of 8 bytes")
    array: Array = np.frombuffer(content, dtype="<f8").reshape(member.shape).astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{member.name} holds a number that is not finite")
    return array
