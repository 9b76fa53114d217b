"""A file becomes a version: what is promoted and what is not, that a training can be repeated to the bit, and what a
manifest gives away of the people it was trained on.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from people_files import people, text, write

from model.errors import DataError, SettingsError, StorageError, TrainingError
from model.registry.audit import problems
from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from model.training import job
from model.training.job import Settings
from model.training.people import People, read_people

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model.registry.manifest import Manifest
    from model.training.publication import Outcome

WORST, MIDDLE, BEST = {"hidden": (), "l2": 3000.0}, {"hidden": (), "l2": 1000.0}, {"seed": 1}
"""Settings for the shipped sample in the order of what they reach on its held-out people, apart by more than noise."""
FIRST = "it is the first, and better than the base rate"


def train(registry: Registry, **settings: object) -> Outcome:
    return job.run(Settings(**settings), registry, by="a test")


@pytest.fixture
def tutorial(tmp_path: Path) -> Registry:
    return Registry(LocalStorage(tmp_path / "registry"), "tutorial")


@pytest.fixture
def small(tmp_path: Path) -> str:
    """Two hundred people, of whom a training takes no time."""
    return write(tmp_path / "small.csv", text(people(200)))


def path_of(registry: Registry, key: str) -> Path:
    assert isinstance(registry.storage, LocalStorage)
    return registry.storage.root / registry.model / key


# The gate


def test_the_first_version_is_promoted(registry: Registry) -> None:
    outcome = train(registry)
    assert outcome.promoted
    assert outcome.version.manifest.number == registry.head().champion == 1
    assert outcome.verdict.reason == FIRST
    assert (outcome.verdict.champion, outcome.verdict.log_number) == (None, 0)


def test_a_better_version_is_promoted_with_both_figures(registry: Registry) -> None:
    first = train(registry, **WORST)
    outcome = train(registry, **BEST)
    assert outcome.promoted
    assert registry.head().state.aliases == {"champion": 2, "previous": 1}
    verdict = outcome.version.manifest.verdict
    assert verdict.promote
    assert verdict.candidate_log_loss == outcome.evaluation.metrics.log_loss
    assert verdict.champion_log_loss == first.evaluation.metrics.log_loss
    assert verdict.candidate_log_loss < verdict.champion_log_loss
    assert (verdict.champion, verdict.log_number, verdict.people, verdict.same_data) == (1, 1, 1222, True)
    assert registry.head().record.reason == verdict.reason


def test_a_worse_version_is_published_and_not_promoted_and_its_manifest_says_why(registry: Registry) -> None:
    train(registry, **BEST)
    outcome = train(registry, **WORST)
    assert not outcome.promoted
    assert registry.numbers() == [1, 2]
    assert registry.head().state.aliases == {"champion": 1}
    manifest = registry.manifest(2)
    assert not manifest.verdict.promote
    assert "is not lower than the 0.40685 of version 1" in manifest.verdict.reason
    assert registry.record_numbers() == [1]


def test_always_promotes_what_the_gate_would_not(registry: Registry) -> None:
    train(registry, **BEST)
    outcome = train(registry, **WORST, promote="always")
    assert outcome.promoted
    assert registry.head().champion == 2
    assert outcome.verdict.reason.startswith("told to; log-loss ")
    assert "is not lower than" in outcome.verdict.reason


def test_never_promotes_not_even_the_first(registry: Registry) -> None:
    outcome = train(registry, promote="never")
    assert not outcome.promoted
    assert (registry.numbers(), registry.head().champion) == ([1], None)
    assert outcome.verdict.reason == f"told not to; {FIRST}"


def test_what_is_identical_to_the_champion_is_not_published_again(registry: Registry) -> None:
    first = train(registry)
    outcome = train(registry)
    assert (outcome.version, outcome.identical_to, outcome.promoted) == (None, 1, False)
    assert outcome.digest == first.digest
    assert registry.numbers() == [1]


def test_what_is_identical_is_published_where_that_is_asked_for(registry: Registry) -> None:
    train(registry)
    outcome = train(registry, publish_identical=True)
    assert outcome.version.manifest.number == 2
    assert outcome.version.manifest.digest == registry.manifest(1).digest
    assert not outcome.promoted
    assert "is not lower than" in outcome.verdict.reason


def test_a_champion_of_other_data_is_judged_on_these_held_out_people(registry: Registry, small: str) -> None:
    train(registry)
    outcome = train(registry, data=small)
    found = read_people(small)
    assert outcome.verdict.same_data is False
    assert outcome.verdict.people == int(found.counts[found.held_out].sum())


# A champion that is broken


def damage_artifact(registry: Registry) -> None:
    path = path_of(registry, registry.manifest(1).files.weights.key)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def remove_artifact(registry: Registry) -> None:
    path_of(registry, registry.manifest(1).files.weights.key).unlink()


def cut_manifest(registry: Registry) -> None:
    path = path_of(registry, "versions/0000000001.json")
    path.write_bytes(path.read_bytes()[:1000])


def empty_manifest(registry: Registry) -> None:
    path_of(registry, "versions/0000000001.json").write_bytes(b"")


def swell_manifest(registry: Registry) -> None:
    path = path_of(registry, "versions/0000000001.json")
    path.write_bytes(path.read_bytes() + b" " * (2 << 20))


def remove_manifest(registry: Registry) -> None:
    path_of(registry, "versions/0000000001.json").unlink()


DAMAGES = [damage_artifact, remove_artifact, cut_manifest, empty_manifest, swell_manifest]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("seed", [2, 1], ids=["another network", "the same network"])
def test_a_broken_champion_neither_stops_publishing_nor_is_replaced_silently(
    registry: Registry, small: str, damage: Callable[[Registry], None], seed: int
) -> None:
    train(registry, data=small, seed=1)
    damage(registry)

    outcome = train(registry, data=small, seed=seed)

    assert outcome.version is not None
    assert registry.load(2).manifest == outcome.version.manifest
    assert not outcome.promoted
    assert registry.head().champion == 1
    assert outcome.verdict.reason.startswith("the champion cannot be judged: ")


@pytest.mark.parametrize("damage", [*DAMAGES, remove_manifest], ids=lambda damage: damage.__name__)
def test_a_broken_champion_is_replaced_where_that_is_asked_for(
    registry: Registry, small: str, damage: Callable[[Registry], None]
) -> None:
    train(registry, data=small, seed=1)
    train(registry, data=small, seed=2, promote="never")
    damage(registry)
    outcome = train(registry, data=small, seed=3, promote="always")
    assert outcome.promoted
    assert registry.head().champion == outcome.version.manifest.number == 3
    assert outcome.verdict.reason.startswith("told to; the champion cannot be judged: ")


# Two trainings at once


class Overtaken(Registry):
    """A registry in which someone else promotes a version just before our own promotion, once or always anew."""

    def __init__(self, registry: Registry, *rivals: int) -> None:
        super().__init__(registry.storage, registry.model)
        self.rivals = list(rivals)

    def promote(self, number: int, **options: object) -> object:
        if self.rivals:
            super().promote(self.rivals.pop(0), by="a rival", reason="faster")
        return super().promote(number, **options)


def test_who_is_overtaken_by_a_better_version_is_judged_again_and_not_promoted(registry: Registry) -> None:
    train(registry, **WORST)
    train(registry, **BEST, promote="never")

    outcome = train(Overtaken(registry, 2), **MIDDLE)

    assert not outcome.promoted
    assert registry.head().champion == 2
    manifest = registry.manifest(3)
    assert (manifest.verdict.promote, manifest.verdict.champion) == (True, 1)
    record = registry.head().record
    assert (record.operation.name, record.operation.version) == ("judge", 3)
    assert (record.verdict.promote, record.verdict.champion, record.verdict.log_number) == (False, 2, 2)
    assert record.verdict == outcome.verdict
    assert record.reason == record.verdict.reason
    assert list(problems(registry)) == []


def test_who_is_overtaken_by_a_worse_version_is_judged_again_and_promoted(registry: Registry) -> None:
    train(registry, **WORST)
    train(registry, **MIDDLE, promote="never")

    outcome = train(Overtaken(registry, 2), **BEST)

    assert outcome.promoted
    assert registry.head().state.aliases == {"champion": 3, "previous": 2}
    assert registry.manifest(3).verdict.champion == 1
    record = registry.head().record
    assert (record.operation.name, record.operation.version, record.operation.expect) == ("promote", 3, 2)
    assert (record.verdict.promote, record.verdict.champion) == (True, 2)
    assert list(problems(registry)) == []


def test_who_would_have_been_the_first_is_judged_where_another_was_faster(registry: Registry) -> None:
    train(registry, **BEST, promote="never")

    outcome = train(Overtaken(registry, 1), **MIDDLE)

    assert not outcome.promoted
    assert registry.manifest(2).verdict.reason == FIRST
    assert registry.head().record.verdict.champion == 1
    assert registry.head().champion == 1


def test_whoever_is_overtaken_twice_is_judged_against_the_last(registry: Registry) -> None:
    train(registry, **WORST)
    train(registry, **WORST, publish_identical=True)
    train(registry, **MIDDLE, promote="never")

    outcome = train(Overtaken(registry, 2, 3), **BEST)

    assert outcome.promoted
    assert [record.operation.version for record in registry.log()] == [1, 2, 3, 4]
    assert registry.head().record.verdict.champion == 3


def test_an_undisturbed_promotion_has_its_verdict_in_the_manifest_alone(registry: Registry) -> None:
    train(registry)
    assert registry.head().record.verdict is None


# Repeated to the bit

DIGEST = """
import pathlib, sys
from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from model.training import job
for hidden in ((2,), (4,)):
    registry = Registry(LocalStorage(pathlib.Path(sys.argv[1])), "gender")
    print(job.run(job.Settings(data=sys.argv[2], hidden=hidden, promote="never"), registry, by="a test").digest)
"""


def test_the_same_settings_give_the_same_bits_in_another_process_on_any_number_of_threads(
    tmp_path: Path, small: str, registry: Registry
) -> None:
    expected = [train(registry, data=small, hidden=hidden, promote="never").digest for hidden in ((2,), (4,))]
    for threads in ("1", "2"):
        command = [sys.executable, "-c", DIGEST, str(tmp_path / threads), small]
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == expected


def test_the_shipped_sample_gives_the_same_bits_again(tmp_path: Path, trained: Registry) -> None:
    command = [sys.executable, "-c", DIGEST.replace("((2,), (4,))", "((2,),)"), str(tmp_path / "again"), "nhanes"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [trained.manifest(1).digest]


def test_one_by_one_training_gives_the_same_bits_again_and_depends_on_order_and_seed(
    registry: Registry, tmp_path: Path
) -> None:
    rows = people(100)
    forwards, backwards = (
        write(tmp_path / name, text(ordered)) for name, ordered in (("f.csv", rows), ("b.csv", rows[::-1]))
    )
    settings = {"trainer": "sgd", "epochs": 2, "promote": "never"}
    digests = [
        train(registry, data=data, seed=seed, shuffle=shuffle, **settings).digest
        for data, seed, shuffle in (
            (forwards, 1, False),
            (forwards, 1, False),
            (forwards, 1, True),
            (forwards, 1, True),
            (forwards, 2, False),
            (backwards, 1, False),
        )
    ]
    assert digests[0] == digests[1]
    assert digests[2] == digests[3]
    assert len(set(digests)) == 4


def test_the_order_of_the_file_and_its_units_do_not_matter_to_gauss_newton(registry: Registry, tmp_path: Path) -> None:
    rows = people(200)
    digests = {
        train(registry, data=write(tmp_path / "people.csv", text(ordered)), promote="never").digest
        for ordered in (rows, rows[::-1])
    }
    assert len(digests) == 1


# How good it is


@pytest.mark.slow
def test_over_twenty_seeds_the_network_is_never_worse_than_logistic_regression_and_mostly_better(
    registry: Registry,
) -> None:
    gains = []
    for seed in range(20):
        evaluation = train(registry, seed=seed, promote="never").evaluation
        gains.append(evaluation.logistic_regression.log_loss - evaluation.metrics.log_loss)
    assert min(gains) > -0.001
    assert sum(gain > 0.0 for gain in gains) > 10


def test_both_models_beat_the_base_rate_by_far(trained: Registry) -> None:
    evaluation = trained.manifest(1).evaluation
    assert evaluation.population == "held_out"
    assert evaluation.base_rate.log_loss == pytest.approx(math.log(2), abs=0.01)
    assert max(evaluation.metrics.log_loss, evaluation.logistic_regression.log_loss) < 0.45
    assert evaluation.metrics.accuracy > 0.75


def test_the_manifest_counts_its_people(trained: Registry) -> None:
    found, data = read_people("nhanes"), trained.manifest(1).data
    assert (data.source, data.people, data.distinct_rows) == ("nhanes", 6000, len(found.counts))
    assert data.held_out_people == int(found.counts[found.held_out].sum()) == trained.manifest(1).evaluation.people
    assert data.trained_people + data.held_out_people == data.people
    assert data.fingerprint == found.fingerprint
    assert (data.left_out, data.order_fingerprint) == ({}, None)


def test_left_out_rows_are_on_record(registry: Registry, tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", text([*people(200), ("70", "72", "male"), ("70", "170", "x")]))
    with pytest.raises(DataError, match="2 bad rows"):
        train(registry, data=path)
    assert registry.numbers() == []
    manifest = train(registry, data=path, skip_bad_rows=True).version.manifest
    assert manifest.data.left_out == {"gender is unknown": 1, "height_cm is outside the domain (100 to 250 cm)": 1}


def test_one_by_one_training_has_the_order_of_its_file_on_record(registry: Registry, small: str) -> None:
    manifest = train(registry, data=small, trainer="sgd", epochs=1, learning_rate=0.05, shuffle=True).version.manifest
    found = read_people(small, in_file_order=True)
    assert manifest.data.order_fingerprint == found.order_fingerprint
    assert manifest.trainer.name == "sgd"
    assert manifest.trainer.hyperparameters == {"learning_rate": 0.05, "learning_rate_decay": 0.0, "shuffle": True}


# Privacy


def shown_and_counted(manifest: Manifest, found: People) -> list[tuple[str, list[int]]]:
    """Every figure of the manifest's histograms and percentiles with how many of the people trained on it shows."""
    trained = found.where(~found.held_out)
    shown: list[tuple[str, list[int]]] = []
    for female, described in enumerate((manifest.inputs.male, manifest.inputs.female)):
        who = trained.where(trained.female == female)
        assert described.people == len(who)
        for name, column in zip(("weight", "height"), who.measurements.T, strict=True):
            values = np.repeat(column, who.counts.astype(int))
            histogram = described.histograms[name]
            edges = list(histogram.edges)
            bins = [
                int(((values >= low) & ((values < high) | (high == edges[-1]))).sum())
                for low, high in itertools.pairwise(edges)
            ]
            assert list(histogram.people) == bins
            assert not bins or sum(bins) == len(values)
            shown.append((f"{name} histogram", bins))
            for percent, value in described.percentiles[name].items():
                beyond = (values <= value).sum() if int(percent) <= 50 else (values >= value).sum()
                shown.append((f"{name} percentile {percent}", [int(beyond)]))
                rank = math.ceil(int(percent) * len(values) / 100)
                apart = [abs(rank - below) for below in itertools.accumulate(bins, initial=0)]
                shown.append((f"{name} percentile {percent} and an edge", [people for people in apart if people]))
                below = (values < value).mean() * 100
                assert below <= int(percent) + 1e-9
                assert (values <= value).mean() * 100 >= int(percent) - 1e-9
    return shown


def test_the_manifest_of_the_shipped_sample_shows_nobody(trained: Registry) -> None:
    shown = shown_and_counted(trained.manifest(1), read_people("nhanes"))
    assert len(shown) == 4 + 2 * 31  # five of the 36 percentiles have almost the rank of an edge
    assert min(min(counts) for _, counts in shown) >= 5


@pytest.mark.parametrize("count", [50, 60, 100, 200, 600])
def test_the_manifest_of_few_people_shows_none_of_them(registry: Registry, tmp_path: Path, count: int) -> None:
    path = write(tmp_path / "people.csv", text(people(count, seed=count)))
    shown = shown_and_counted(train(registry, data=path).version.manifest, read_people(path))
    assert [figure for figure, counts in shown if counts and min(counts) < 5] == []


def test_nobody_who_is_almost_alone_with_a_gender_can_be_read_off_the_manifest(
    registry: Registry, tmp_path: Path
) -> None:
    """The mean of one person is that person: such a file is refused, or the mean is not shown."""
    men = [row for row in people(400) if row[2] == "male"]
    women = [("61.7", f"{150 + number / 10:.1f}", "female") for number in range(200)]
    everyone = read_people(write(tmp_path / "all.csv", text([*men, *women])), in_file_order=True)
    held_out = everyone.held_out[len(men) :].tolist()
    alone, judge = women[held_out.index(False)], women[held_out.index(True)]
    path = write(tmp_path / "people.csv", text([*men, alone, judge]))
    try:
        manifest = train(registry, data=path).version.manifest
    except DataError:
        assert registry.numbers() == []
        return
    weight_lb, height_in = float(alone[0]) / 0.45359237, float(alone[1]) / 2.54
    shown = [
        manifest.inputs.female.mean,
        *manifest.training_range.means,
        *((probe.weight_lb, probe.height_in) for probe in manifest.probes),
    ]
    assert [pair for pair in shown if pair == pytest.approx((weight_lb, height_in))] == []


# Settings that do not go together


def test_the_tutorial_trains_its_own_model_measured_on_its_own_four_people(tutorial: Registry) -> None:
    outcome = train(tutorial, data="tutorial")
    evaluation = outcome.evaluation
    assert outcome.promoted
    assert (evaluation.population, evaluation.people, evaluation.logistic_regression) == ("trained_on", 4, None)
    manifest = outcome.version.manifest
    assert (manifest.shift, manifest.scale) == ((135.0, 66.0), (1.0, 1.0))
    assert (manifest.trainer.name, manifest.trainer.loss, manifest.trainer.epochs) == (
        "sgd",
        "mean_squared_error",
        1000,
    )


def test_another_training_of_the_tutorial_is_not_promoted_by_itself(tutorial: Registry) -> None:
    train(tutorial, data="tutorial")
    outcome = train(tutorial, data="tutorial", seed=2)
    assert not outcome.promoted
    assert outcome.verdict.reason == "the tutorial holds nobody out to judge by"


def test_the_tutorial_can_be_trained_by_gauss_newton(tutorial: Registry) -> None:
    outcome = train(tutorial, data="tutorial", trainer="gauss_newton")
    assert (outcome.trainer.name, outcome.trainer.loss) == ("gauss_newton", "log_loss")


def test_the_tutorial_trains_no_other_model(registry: Registry) -> None:
    with pytest.raises(SettingsError, match="--data tutorial and --model gender do not go together"):
        train(registry, data="tutorial")
    assert registry.numbers() == []


@pytest.mark.parametrize("data", ["nhanes", "people.csv"])
def test_nothing_else_trains_the_model_of_the_tutorial(tutorial: Registry, data: str) -> None:
    with pytest.raises(SettingsError, match=f"--data {data} and --model tutorial do not go together"):
        train(tutorial, data=data)
    assert tutorial.numbers() == []


@pytest.mark.parametrize(
    ("setting", "flag"),
    [
        ({"epochs": 5}, "--epochs"),
        ({"learning_rate": 0.1}, "--learning-rate"),
        ({"learning_rate_decay": 0.1}, "--learning-rate-decay"),
        ({"shuffle": True}, "--shuffle"),
    ],
)
@pytest.mark.parametrize("trainer", [None, "gauss_newton"])
def test_options_of_sgd_are_refused_for_gauss_newton(
    registry: Registry, setting: dict[str, object], flag: str, trainer: str | None
) -> None:
    with pytest.raises(SettingsError, match=f"^{flag} belongs to --trainer sgd"):
        train(registry, trainer=trainer, **setting)


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"epochs": -1},
        {"learning_rate": 0.0},
        {"learning_rate": -0.1},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"learning_rate_decay": -1.0},
        {"learning_rate_decay": math.nan},
        {"seed": -1},
        {"hidden": (0,)},
        {"hidden": (-2,)},
        {"hidden": (257,)},
        {"hidden": (2,) * 8},
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_is_refused_by_its_flag(tutorial: Registry, settings: dict[str, object]) -> None:
    flag = "--" + next(iter(settings)).replace("_", "-")
    with pytest.raises(SettingsError, match=f"^{flag} "):
        train(tutorial, data="tutorial", **settings)
    assert tutorial.numbers() == []


def test_a_training_that_diverged_publishes_nothing(tutorial: Registry) -> None:
    with pytest.raises(TrainingError, match="a smaller learning rate is needed"):
        train(tutorial, data="tutorial", learning_rate=1e300)
    assert tutorial.numbers() == []


@pytest.mark.parametrize(("column", "value"), [(0, "70"), (1, "170")], ids=["weight", "height"])
def test_people_who_share_one_measurement_teach_nothing_and_are_refused(
    registry: Registry, tmp_path: Path, column: int, value: str
) -> None:
    rows = [tuple(value if place == column else field for place, field in enumerate(row)) for row in people(400)]
    with pytest.raises(DataError, match="all people have the same weight or height"):
        train(registry, data=write(tmp_path / "people.csv", text(rows)))
    assert registry.numbers() == []


def test_a_refused_file_leaves_the_registry_as_it_was(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        train(registry, data=str(tmp_path / "nowhere.csv"))
    assert not path_of(registry, "").exists()


def test_a_registry_that_cannot_be_written_is_told_before_the_training(registry: Registry) -> None:
    registry.storage.put_if_absent("gender/versions", b"a file in place of a folder")
    before = sorted(registry.storage.root.rglob("*"))

    def on_epoch(epoch: int, loss: float) -> None:
        pytest.fail(f"epoch {epoch} was reached with a loss of {loss}")

    with pytest.raises(StorageError, match="cannot be written"):
        job.run(Settings(), registry, by="a test", on_epoch=on_epoch)
    assert sorted(registry.storage.root.rglob("*")) == before


def test_progress_is_told_with_epoch_and_loss(tutorial: Registry) -> None:
    told: list[tuple[int, float]] = []
    outcome = job.run(
        Settings(data="tutorial"), tutorial, by="a test", on_epoch=lambda epoch, loss: told.append((epoch, loss))
    )
    assert [epoch for epoch, _ in told] == list(range(0, 1000, 10))
    assert told[-1][1] == pytest.approx(outcome.trainer.final_loss, rel=0.05)


def test_a_manifest_is_json_that_any_reader_opens(trained: Registry) -> None:
    document = json.loads(path_of(trained, "versions/0000000001.json").read_text())
    assert document["evaluation"]["metrics"]["log_loss"] == trained.manifest(1).evaluation.metrics.log_loss
    assert document["created_by"] == "a test"


def test_saturated_neurons_are_in_the_manifest(registry: Registry) -> None:
    train(registry, trainer="sgd", learning_rate=30.0, epochs=2, hidden=(4,))
    assert registry.manifest(1).trainer.saturated_units == ((1, 4),)
    assert train(registry).version.manifest.trainer.saturated_units == ()
