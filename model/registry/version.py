"""One published version: its weights as an .npz file, encoded and, with its manifest, decoded and verified.

A version is data, never code, and nothing of it is believed: sizes before contents, the sha256 before the archive,
names, types and shapes before the numbers, and at last the probes, whose probabilities must come out again.
`docs/registry.md` describes both files field by field.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from model.errors import CorruptionError
from model.network.network import Array, Network
from model.predictor import Predictor, TrainingRange, likelier

if TYPE_CHECKING:
    from model.registry.manifest import File, Manifest

PROBE_TOLERANCE = 1e-9


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


def encode_weights(predictor: Predictor) -> bytes:
    """The arrays as an .npz file, stored without compression, that `np.load` opens."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: array.astype("<f8") for name, array in predictor.arrays.items()})
    return buffer.getvalue()


def verify(manifest: Manifest, weights: bytes) -> Version:
    """The version of this manifest and these weights. CorruptionError where anything is not as the manifest says."""
    name = f"version {manifest.number} of {manifest.model}: {manifest.files.weights.key}"
    check_file(manifest.files.weights, weights, name)
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


def check_file(file: File, content: bytes, name: str) -> None:
    """Raises CorruptionError where this is not the content that the manifest speaks of."""
    if len(content) != file.size:
        raise CorruptionError(f"{name} has {len(content):,} bytes, its manifest says {file.size:,}")
    if sha256(content).hexdigest() != file.sha256:
        raise CorruptionError(f"{name} does not have the sha256 that its manifest says")


_UNREADABLE = (ValueError, KeyError, OSError, EOFError, RuntimeError, OverflowError, struct.error, zipfile.BadZipFile)
"""What zipfile and numpy raise for bytes that are not what they should be."""


_MAGIC = b"\x93NUMPY\x01\x00"
_MAXIMUM_HEADER_BYTES = 1000
_HEADER = re.compile(
    rb"\{'descr': '<f8', 'fortran_order': False, 'shape': \(([0-9]{1,9}(?:, ?[0-9]{1,9})*),?\),? ?\} *\n"
)


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
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError(f"{member.name} is not in version 1.0 of the .npy format")
        header = file.read(min(int.from_bytes(file.read(2), "little"), _MAXIMUM_HEADER_BYTES))
        # Matched and not evaluated, as numpy does: text from a file is not for a parser of Python (which, moreover, two
        # threads cannot share before Python 3.12).
        found = _HEADER.fullmatch(header)
        if found is None or tuple(map(int, found[1].replace(b",", b" ").split())) != member.shape:
            raise ValueError(f"{member.name} must be {member.shape} of '<f8' by rows; its header is {header!r:.100}")
        content = file.read(8 * numbers + 1)
    if len(content) != 8 * numbers:
        raise ValueError(f"{member.name} must hold {numbers} numbers of 8 bytes")
    array: Array = np.frombuffer(content, dtype="<f8").reshape(member.shape).astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{member.name} holds a number that is not finite")
    return array
