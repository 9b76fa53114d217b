"""A version is data: what was encoded decodes, np.load opens it alone, and nothing crafted gets through."""

from __future__ import annotations

import io
import json
import math
import re
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.errors import CorruptionError
from model.network.network import Network
from model.predictor import Predictor
from model.registry.manifest import File, Files, Manifest, Probe, decode, encode
from model.registry.version import encode_weights, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.registry.registry import Registry

SIZES = st.lists(st.integers(1, 9), max_size=3).map(lambda hidden: (2, *hidden, 1))
finite = st.floats(allow_nan=False, allow_infinity=False, width=64)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """A real one, of a 2-2-1 network."""
    from model.registry.registry import Registry
    from model.registry.storage import LocalStorage
    from model.training import job

    registry = Registry(LocalStorage(tmp_path_factory.mktemp("version")), "tutorial")
    return job.run(job.Settings(data="tutorial", epochs=1), registry, by="a test").version.manifest


def manifest_of(manifest: Manifest, predictor: Predictor, weights: bytes) -> Manifest:
    """The manifest, rewritten to be that of this predictor and these bytes."""
    file = File(key=manifest.files.weights.key, sha256=sha256(weights).hexdigest(), size=len(weights))
    probability = predictor.probability_female(150.0, 66.0)
    return manifest.model_copy(
        update={
            "files": Files(weights=file),
            "digest": predictor.digest,
            "layer_sizes": predictor.network.sizes,
            "shift": predictor.shift,
            "scale": predictor.scale,
            "probes": (Probe(weight_lb=150.0, height_in=66.0, probability_female=probability),),
        }
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=SIZES, data=st.data())
def test_any_network_survives_encoding_and_decoding_to_the_bit(
    manifest: Manifest, sizes: tuple[int, ...], data: st.DataObject
) -> None:
    count = Network.count_parameters(sizes)
    parameters = np.array(data.draw(st.lists(st.floats(-1e6, 1e6), min_size=count, max_size=count)))
    predictor = Predictor(Network(sizes, parameters), (150.0, 66.0), (30.0, 4.0))
    weights = encode_weights(predictor)

    version = verify(manifest_of(manifest, predictor, weights), weights)

    assert version.predictor.network.parameters.tobytes() == parameters.tobytes()
    assert version.predictor.digest == predictor.digest


def test_np_load_opens_the_file_alone_and_finds_the_named_arrays() -> None:
    predictor = _predictor()
    with np.load(io.BytesIO(encode_weights(predictor)), allow_pickle=False) as arrays:
        assert {name: array.shape for name, array in arrays.items()} == {
            "weights_1": (2, 2),
            "biases_1": (2,),
            "weights_2": (1, 2),
            "biases_2": (1,),
        }
        assert all((arrays[name] == array).all() for name, array in predictor.arrays.items())


def test_the_same_network_gives_the_same_bytes() -> None:
    assert encode_weights(_predictor()) == encode_weights(_predictor())


def test_a_manifest_survives_encoding_and_decoding(manifest: Manifest) -> None:
    assert decode(Manifest, encode(manifest), "it") == manifest


def test_members_that_a_later_release_added_are_left_alone(manifest: Manifest) -> None:
    document = json.loads(encode(manifest)) | {"added_later": {"anything": [1, 2]}}
    assert decode(Manifest, json.dumps(document).encode(), "it") == manifest


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("format_version", 2),
        ("number", 0),
        ("number", "1"),
        ("digest", "x"),
        ("layer_sizes", [2, 1_000_000, 1]),
        ("layer_sizes", [3, 1]),
        ("layer_sizes", [2]),
        ("layer_sizes", [2, *[2] * 100, 1]),
        ("scale", [0.0, 1.0]),
        ("shift", [1.0, None]),
        ("probes", []),
        ("files", {"weights": {"key": "../../etc/passwd", "sha256": "0" * 64, "size": 1}}),
        ("files", {"weights": {"key": "artifacts/../x.npz", "sha256": "0" * 64, "size": 1}}),
        ("files", {"weights": {"key": "/artifacts/" + "0" * 32 + ".npz", "sha256": "0" * 64, "size": 1}}),
        ("files", {"weights": {"key": "artifacts/" + "0" * 32 + ".npz\n", "sha256": "0" * 64, "size": 1}}),
        ("model", "../gender"),
    ],
)
def test_a_manifest_with_a_bad_member_is_refused_by_its_name(manifest: Manifest, member: str, value: object) -> None:
    document = json.loads(encode(manifest)) | {member: value}
    with pytest.raises(CorruptionError, match=f"the manifest is not a manifest: {member}"):
        decode(Manifest, json.dumps(document).encode(), "the manifest")


@pytest.mark.parametrize("missing", ["digest", "probes", "files", "training_range", "verdict"])
def test_a_manifest_that_lacks_a_member_is_refused_by_its_name(manifest: Manifest, missing: str) -> None:
    document = json.loads(encode(manifest))
    del document[missing]
    with pytest.raises(CorruptionError, match=missing):
        decode(Manifest, json.dumps(document).encode(), "the manifest")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a":' * 50_000])
def test_bytes_that_are_no_manifest_are_refused(content: bytes) -> None:
    with pytest.raises(CorruptionError, match=r"^the file is not a manifest: (Invalid JSON|Input should be an object)"):
        decode(Manifest, content, "the file")


def _npz(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _zip(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive, pytest.MonkeyPatch.context():
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _members(**changed: bytes) -> list[tuple[str, bytes]]:
    arrays = {name: _npy(array) for name, array in _predictor().arrays.items()}
    return [(f"{name}.npy", content) for name, content in (arrays | changed).items()]


def _claiming(shape: str, dtype: str = "<f8") -> bytes:
    """An .npy header that claims more than there is."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0" * 32


def _pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no archive": lambda: b"x" * 1000,
    "a bare array": lambda: _npy(np.zeros((2, 2))),
    "compressed": lambda: _zip(_members(), zipfile.ZIP_DEFLATED),
    "a bomb": lambda: _zip(_members(weights_1=_npy(np.zeros((2, 2))) + b"\0" * 50_000_000), zipfile.ZIP_DEFLATED),
    "sixteen gigabytes claimed": lambda: _zip(_members(weights_1=_claiming("(2000000000,)"))),
    "a negative size": lambda: _zip(_members(weights_1=_claiming("(-2, -2)"))),
    "another shape": lambda: _zip(_members(weights_1=_npy(np.zeros((4, 1))))),
    "transposed": lambda: _zip(_members(weights_1=_npy(np.asfortranarray(np.arange(4.0).reshape(2, 2))))),
    "a number too few": lambda: _zip(_members(biases_1=_npy(np.zeros(2))[:-8])),
    "a number too many": lambda: _zip(_members(biases_1=_npy(np.zeros(2)) + b"\0" * 8)),
    "single precision": lambda: _zip(_members(biases_1=_npy(np.zeros(2, "<f4")))),
    "big-endian": lambda: _zip(_members(biases_1=_npy(np.zeros(2, ">f8")))),
    "texts": lambda: _zip(_members(biases_1=_npy(np.array(["a", "b"])))),
    "a structured type": lambda: _zip(_members(biases_1=_npy(np.zeros(2, [("a", "<f8")])))),
    "an object, pickled": lambda: _zip(_members(biases_1=_pickled())),
    "not a number": lambda: _zip(_members(biases_1=_npy(np.array([np.nan, 0.0])))),
    "infinity": lambda: _zip(_members(biases_1=_npy(np.array([np.inf, 0.0])))),
    "a foreign member": lambda: _zip([*_members(), ("more.npy", _npy(np.zeros(1)))]),
    "a path as a name": lambda: _zip([("../" + name, content) for name, content in _members()]),
    "a member missing": lambda: _zip(_members()[:-1]),
    "another order": lambda: _zip(_members()[::-1]),
    "a header that is code": lambda: _zip(_members(biases_1=_claiming("__import__('os').system('true')"))),
    "a header without end": lambda: _zip(_members(biases_1=b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65_535)),
    "a later .npy format": lambda: _zip(_members(biases_1=b"\x93NUMPY\x03\x00" + _npy(np.zeros(2))[8:])),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_weights_are_refused_even_with_a_manifest_that_agrees(manifest: Manifest, name: str) -> None:
    weights = HOSTILE[name]()
    agreeing = manifest_of(manifest, _predictor(), weights) if weights else manifest
    with pytest.raises(CorruptionError, match=re.escape(manifest.files.weights.key)):
        verify(agreeing, weights)


@pytest.mark.parametrize("name", HOSTILE)
def test_refusing_hostile_weights_takes_no_more_memory_than_good_ones_may(manifest: Manifest, name: str) -> None:
    weights = HOSTILE[name]()
    agreeing = manifest_of(manifest, _predictor(), weights) if weights else manifest
    tracemalloc.start()
    try:
        with pytest.raises(CorruptionError):
            verify(agreeing, weights)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1 << 20


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("9" * 5000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=500)
@given(data=st.data(), value=_JSON)
def test_a_manifest_with_anything_anywhere_is_refused_as_corrupt_or_answers_as_its_probes_say(
    manifest: Manifest, data: st.DataObject, value: object
) -> None:
    weights = encode_weights(_predictor())
    document = json.loads(encode(manifest_of(manifest, _predictor(), weights)))
    place: Any = document
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    try:
        version = verify(decode(Manifest, json.dumps(document).encode(), "it"), weights)
    except CorruptionError:
        return
    assert version.predictor.digest == _predictor().digest
    assert math.isfinite(version.predict(150.0, 66.0)["probability_female"])


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_duplicate_member_is_refused(manifest: Manifest) -> None:
    weights = _zip([*_members(), _members()[0]])
    with pytest.raises(CorruptionError, match="members"):
        verify(manifest_of(manifest, _predictor(), weights), weights)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(position=st.integers(0, 1 << 16), bits=st.integers(1, 255))
def test_any_flipped_bit_is_found_even_with_a_manifest_that_agrees_on_the_bytes(
    manifest: Manifest, position: int, bits: int
) -> None:
    """What still loads (a date in the archive, say) has the same numbers in it."""
    weights = bytearray(encode_weights(_predictor()))
    weights[position % len(weights)] ^= bits
    try:
        version = verify(manifest_of(manifest, _predictor(), bytes(weights)), bytes(weights))
    except CorruptionError:
        return
    assert version.predictor.digest == _predictor().digest


def test_bytes_other_than_the_manifests_are_refused(manifest: Manifest) -> None:
    weights = encode_weights(_predictor())
    agreeing = manifest_of(manifest, _predictor(), weights)
    with pytest.raises(CorruptionError, match=r"bytes, its manifest says"):
        verify(agreeing, weights + b"\0")
    with pytest.raises(CorruptionError, match="sha256"):
        verify(agreeing, weights[:-1] + bytes([weights[-1] ^ 1]))


def test_a_network_whose_probes_come_out_otherwise_is_refused(manifest: Manifest) -> None:
    weights = encode_weights(_predictor())
    wrong = Probe(weight_lb=150.0, height_in=66.0, probability_female=0.123)
    disagreeing = manifest_of(manifest, _predictor(), weights).model_copy(update={"probes": (wrong,)})
    with pytest.raises(CorruptionError, match=r"its training computed 0\.123"):
        verify(disagreeing, weights)


def test_another_shift_than_the_one_trained_with_is_refused(manifest: Manifest) -> None:
    weights = encode_weights(_predictor())
    shifted = manifest_of(manifest, _predictor(), weights).model_copy(update={"shift": (0.0, 0.0)})
    with pytest.raises(CorruptionError, match="digest"):
        verify(shifted, weights)


def test_oversized_files_are_refused_before_they_are_read(trained: Registry) -> None:
    key = trained.manifest(1).files.weights.key
    path = trained.storage.root / "gender" / key
    with path.open("ab") as file:
        file.truncate(1 << 40)  # sparse: a terabyte that takes no room
    with pytest.raises(CorruptionError, match="larger than"):
        trained.load(1)


def _predictor() -> Predictor:
    return Predictor(Network((2, 2, 1), np.arange(9.0) / 10.0), (150.0, 66.0), (30.0, 4.0))


def test_versions_can_be_verified_in_many_threads_at_once(manifest: Manifest) -> None:
    weights = encode_weights(_predictor())
    agreeing = manifest_of(manifest, _predictor(), weights)
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda _: verify(agreeing, weights), range(2000)))
    assert {version.predictor.digest for version in versions} == {_predictor().digest}
