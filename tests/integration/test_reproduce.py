"""A version is trained again from its manifest: to the same bits, or what differs is said. Nothing is published."""

from __future__ import annotations

import csv
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from model.cli.group import main
from model.errors import DataError, SettingsError
from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from model.training import job
from model.training.people import SHIPPED
from model.training.reproduce import reproduce, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLE = Path(job.__file__).parents[1] / "data" / SHIPPED["nhanes"]

SETTINGS = {
    "gauss_newton": job.Settings(),
    "another seed and shape": job.Settings(seed=7, hidden=(4, 3), restarts=2, l2=0.5),
    "no hidden layer": job.Settings(hidden=()),
    "sgd": job.Settings(trainer="sgd", epochs=2, learning_rate=0.05),
    "sgd, shuffled, slowing down": job.Settings(
        trainer="sgd", epochs=2, learning_rate=0.5, learning_rate_decay=0.5, shuffle=True, seed=3
    ),
    "the tutorial": job.Settings(data="tutorial"),
    "the tutorial, otherwise": job.Settings(data="tutorial", epochs=50, learning_rate=1.0, hidden=(3,), shuffle=True),
    "the tutorial by gauss_newton": job.Settings(data="tutorial", trainer="gauss_newton"),
}


def files(registry: Registry) -> dict[str, bytes]:
    root = Path(str(registry.storage))
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def stature(registry: Registry, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--registry", str(registry.storage), "--model", registry.model])


def tamper(registry: Registry, number: int, change: Callable[[dict[str, Any]], object]) -> None:
    """A manifest that says something else than what was done."""
    path = Path(str(registry.storage)) / registry.model / "versions" / f"{number:010}.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.chmod(0o644)
    path.write_text(json.dumps(manifest))


def sample_rows() -> list[list[str]]:
    with SAMPLE.open(newline="") as file:
        return list(csv.reader(file))


def write_rows(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture
def trained_on_file(registry: Registry, tmp_path: Path) -> Registry:
    """Version 1, of a file of one's own, by gauss_newton; version 2, of the same, by sgd."""
    path = write_rows(tmp_path / "people.csv", sample_rows()[:2001])
    job.run(job.Settings(data=str(path)), registry, by="a test")
    job.run(job.Settings(data=str(path), trainer="sgd", epochs=1, promote="never"), registry, by="a test")
    return registry


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_version_comes_out_bit_for_bit(tmp_path: Path, name: str) -> None:
    settings = SETTINGS[name]
    registry = Registry(LocalStorage(tmp_path), "tutorial" if settings.is_tutorial else "gender")
    job.run(settings, registry, by="a test")
    before = files(registry)

    again = reproduce(registry, 1)

    assert again.is_same
    assert again.digest == registry.load(1).predictor.digest
    assert (again.differences, again.gap) == ({}, None)
    assert files(registry) == before


@pytest.mark.parametrize("name", SETTINGS)
def test_the_settings_are_read_back_from_the_manifest(tmp_path: Path, name: str) -> None:
    asked = SETTINGS[name]
    registry = Registry(LocalStorage(tmp_path), "tutorial" if asked.is_tutorial else "gender")
    version = job.run(asked, registry, by="a test").version
    assert version is not None
    read = settings_of(version.manifest)
    for member in ("data", "hidden", "uses_sgd", "seed", "restarts", "l2", "shuffle"):
        assert getattr(read, member) == getattr(asked, member)
    assert job.epochs_of(read) == job.epochs_of(asked)


def test_a_file_is_asked_for_and_then_gives_the_same_bits(trained_on_file: Registry, tmp_path: Path) -> None:
    for number in (1, 2):
        with pytest.raises(SettingsError, match=r"was trained on people\.csv: .* --data FILE"):
            reproduce(trained_on_file, number)
        again = reproduce(trained_on_file, number, data=str(tmp_path / "people.csv"))
        assert again.is_same
        assert again.differences == {}


def test_a_file_with_bad_rows_and_coded_genders_is_read_as_it_was(registry: Registry, tmp_path: Path) -> None:
    header, *rows = sample_rows()
    position = header.index("gender")
    for row in rows:
        row[position] = {"female": "2", "male": "1"}[row[position]]
    rows[5][header.index("weight_kg")] = "heavy"
    path = write_rows(tmp_path / "coded.csv", [header, *rows])
    job.run(job.Settings(data=str(path), female_code="2", skip_bad_rows=True), registry, by="a test")
    again = reproduce(registry, 1, data=str(path), female_code="2")
    assert again.is_same
    assert again.differences == {}
    with pytest.raises(DataError, match="--female-code"):
        reproduce(registry, 1, data=str(path))


def test_the_same_people_under_another_name_are_the_same_bits_and_the_name_is_said(
    trained_on_file: Registry, tmp_path: Path
) -> None:
    (tmp_path / "people.csv").rename(tmp_path / "renamed.csv")
    again = reproduce(trained_on_file, 1, data=str(tmp_path / "renamed.csv"))
    assert again.is_same
    assert again.differences == {"data.source": ("people.csv", "renamed.csv")}


def test_other_people_are_said_and_how_far_they_lead(trained_on_file: Registry, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "other.csv", sample_rows()[:1901])
    again = reproduce(trained_on_file, 1, data=str(path))
    assert not again.is_same
    assert again.reason == "The people are not those that it was trained on."
    assert again.differences["data.people"] == (2000, 1900)
    assert {"data.fingerprint", "trainer.final_loss"} <= set(again.differences)
    assert again.gap is not None
    assert 0.0 < again.gap.mean < again.gap.largest < 0.5


def test_one_person_more_is_said(trained_on_file: Registry, tmp_path: Path) -> None:
    rows = sample_rows()
    path = write_rows(tmp_path / "people.csv", [*rows[:2001], rows[2500]])
    again = reproduce(trained_on_file, 1, data=str(path))
    assert again.differences["data.fingerprint"][0] == trained_on_file.manifest(1).data.fingerprint
    assert again.differences["data.people"] == (2000, 2001)


def test_a_bad_row_that_was_not_there_is_said(trained_on_file: Registry, tmp_path: Path) -> None:
    header, *rows = sample_rows()[:2001]
    rows[7][header.index("height_cm")] = ""
    path = write_rows(tmp_path / "people.csv", [header, *rows])
    again = reproduce(trained_on_file, 1, data=str(path))
    assert not again.is_same
    assert again.differences["data.left_out.height_cm is missing or not a number"] == (None, 1)
    said = stature(trained_on_file, "reproduce", "1", "--data", str(path)).stdout
    assert ["height_cm", "is", "missing", "or", "not", "a", "number", "-", "1"] in [
        line.removeprefix("data.left_out.").split() for line in said.splitlines()
    ]


def test_another_order_matters_to_sgd_and_to_nobody_else(trained_on_file: Registry, tmp_path: Path) -> None:
    header, *rows = sample_rows()[:2001]
    path = str(write_rows(tmp_path / "people.csv", [header, *rows[::-1]]))
    assert reproduce(trained_on_file, 1, data=path).is_same

    again = reproduce(trained_on_file, 2, data=path)

    assert not again.is_same
    assert again.reason == "The people are the same in another order, and sgd takes them one by one."
    assert set(again.differences) == {"data.order_fingerprint", "trainer.final_loss"}


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest["trainer"].update(seed=99),
        lambda manifest: manifest["trainer"]["hyperparameters"].update(l2=0.2),
        lambda manifest: manifest["trainer"]["hyperparameters"].update(restarts=5),
    ],
    ids=["the seed", "the penalty", "the restarts"],
)
def test_a_manifest_that_says_other_settings_than_it_was_trained_with_does_not_reproduce(
    trained: Registry, change: Callable[[dict[str, Any]], object]
) -> None:
    tamper(trained, 1, change)
    again = reproduce(trained, 1)
    assert not again.is_same
    assert "the settings in the manifest are not those" in again.reason
    assert not any(name.startswith(("data.", "software.")) for name in again.differences)
    assert again.gap is not None
    assert again.gap.largest > 0.0


def test_a_manifest_with_another_digest_does_not_reproduce(trained: Registry) -> None:
    tamper(trained, 1, lambda manifest: manifest.update(digest="0" * 64))
    again = reproduce(trained, 1)
    assert not again.is_same
    assert again.gap is None


def test_other_software_is_said_though_the_bits_are_the_same(trained: Registry) -> None:
    tamper(trained, 1, lambda manifest: manifest["software"].update(numpy="1.0", platform="VAX"))
    again = reproduce(trained, 1)
    assert again.is_same
    assert again.differences == {
        "software.numpy": ("1.0", np.__version__),
        "software.platform": ("VAX", f"{platform.system()} {platform.machine()}"),
    }


def test_other_software_is_the_likeliest_reason_where_the_people_are_the_same(trained: Registry) -> None:
    tamper(trained, 1, lambda manifest: (manifest["software"].update(python="2.7"), manifest["trainer"].update(seed=9)))
    assert "other software, or another kind of machine" in reproduce(trained, 1).reason


def test_hyperparameters_of_another_release_are_refused_by_name(trained: Registry) -> None:
    tamper(trained, 1, lambda manifest: manifest["trainer"]["hyperparameters"].update(momentum=0.9))
    with pytest.raises(SettingsError, match=r"another release of Stature, .*: gauss_newton, restarts, l2, momentum"):
        reproduce(trained, 1)


def test_a_version_whose_weights_are_lost_can_still_be_trained_again(trained: Registry) -> None:
    (Path(str(trained.storage)) / "gender" / trained.manifest(2).files.weights.key).unlink()
    assert reproduce(trained, 2).is_same


def test_the_tutorial_has_its_own_people_and_no_others(registry: Registry) -> None:
    tutorial = Registry(registry.storage, "tutorial")
    job.run(job.Settings(data="tutorial"), tutorial, by="a test")
    with pytest.raises(SettingsError, match="the tutorial's four people train the model 'tutorial' and nothing else"):
        reproduce(tutorial, 1, data=str(SAMPLE))


# The command


def test_the_command_says_the_same_bits_and_ends_with_0(trained: Registry) -> None:
    digest = trained.manifest(1).digest
    before = files(trained)
    result = stature(trained, "reproduce", "champion")
    assert result.exit_code == 0
    assert result.stdout == (
        f"Version 1 of {trained}, trained again, is the same network, bit for bit.\ndigest  {digest}\n"
    )
    assert files(trained) == before


def test_the_command_says_what_differs_and_ends_with_1(trained_on_file: Registry, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "other.csv", sample_rows()[:1901])
    result = stature(trained_on_file, "reproduce", "1", "--data", str(path))
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == f"Version 1 of {trained_on_file}, trained again, is not the same network."
    assert "The people are not those that it was trained on." in lines
    assert ["data.source", "people.csv", "other.csv"] in [line.split() for line in lines]
    assert any(line.startswith("  largest difference") for line in lines)


def test_the_command_says_both_in_json(trained: Registry) -> None:
    same = stature(trained, "reproduce", "1", "--json")
    digest = trained.manifest(1).digest
    assert same.exit_code == 0
    assert json.loads(same.stdout) == {
        "model": "gender",
        "model_version": 1,
        "reproduced": True,
        "digests": [digest, digest],
        "differences": {},
        "predictions": None,
    }
    tamper(trained, 1, lambda manifest: manifest["trainer"].update(seed=99))
    other = stature(trained, "reproduce", "1", "--json")
    document = json.loads(other.stdout)
    assert other.exit_code == 1
    assert document["reproduced"] is False
    assert document["predictions"]["largest_difference"] > 0.0


def test_the_command_asks_for_the_file_in_words(trained_on_file: Registry) -> None:
    result = stature(trained_on_file, "reproduce", "1")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: version 1 of gender was trained on people.csv: say where that file is now, with --data FILE\n"
    )
