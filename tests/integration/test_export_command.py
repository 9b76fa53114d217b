"""`stature export`: what goes where, what is refused, and that nothing is ever overwritten."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner, Result

from model import export
from model.cli.group import main

if TYPE_CHECKING:
    from model.registry.registry import Registry

STATURE = Path(sys.executable).parent / "stature"


def stature(registry: Registry, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--registry", str(registry.storage)])


def artifact(registry: Registry, number: int) -> Path:
    return Path(str(registry.storage)) / "gender" / registry.manifest(number).files.weights.key


@pytest.mark.parametrize("form", ["json", "python", "sql"])
def test_a_form_is_printed_as_it_is(trained: Registry, form: str) -> None:
    write = {
        "json": export.as_json,
        "python": lambda version: export.as_python(version, export.PAIRS["metric"]),
        "sql": lambda version: export.as_sql(version, export.PAIRS["metric"]),
    }[form]
    result = stature(trained, "export", "2", "--to", form)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == write(trained.load(2))


def test_an_alias_names_the_version_that_it_points_at(trained: Registry) -> None:
    by_alias = stature(trained, "export", "champion", "--to", "json").stdout
    assert by_alias == stature(trained, "export", "1", "--to", "json").stdout
    assert json.loads(by_alias)["model_version"] == 1


@pytest.mark.parametrize(
    ("units", "names"), [("metric", ("weight_kg", "height_cm")), ("imperial", ("weight_lb", "height_in"))]
)
@pytest.mark.parametrize("form", ["python", "sql"])
def test_the_units_choose_the_names(trained: Registry, form: str, units: str, names: tuple[str, str]) -> None:
    text = stature(trained, "export", "1", "--to", form, "--units", units).stdout
    others = {"weight_kg", "height_cm", "weight_lb", "height_in"} - set(names)
    assert all(name in text for name in names)
    assert not any(name in text for name in others)


def test_npz_is_the_very_file_that_was_published(trained: Registry, tmp_path: Path) -> None:
    output = tmp_path / "weights.npz"
    result = stature(trained, "export", "1", "--to", "npz", "--output", str(output))
    assert result.exit_code == 0
    assert output.read_bytes() == artifact(trained, 1).read_bytes()
    with np.load(output) as arrays:
        assert list(arrays) == ["weights_1", "biases_1", "weights_2", "biases_2"]


def test_npz_may_be_piped(trained: Registry) -> None:
    command = [STATURE, "export", "1", "--to", "npz", "--registry", str(trained.storage)]
    piped = subprocess.run(command, capture_output=True, check=True)
    assert piped.stdout == artifact(trained, 1).read_bytes()


def test_npz_is_not_written_to_a_terminal(trained: Registry) -> None:
    ours, theirs = pty.openpty()
    try:
        command = [STATURE, "export", "1", "--to", "npz", "--registry", str(trained.storage)]
        refused = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(ours)
        os.close(theirs)
    assert refused.returncode == 2
    assert "say where it goes with --output FILE" in refused.stderr


def test_weights_that_are_not_those_published_are_not_exported(trained: Registry, tmp_path: Path) -> None:
    path = artifact(trained, 1)
    path.chmod(0o644)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for form in ("npz", "json", "python", "sql"):
        result = stature(trained, "export", "1", "--to", form, "--output", str(tmp_path / form))
        assert result.exit_code == 1
        assert "sha256" in result.stderr
        assert not (tmp_path / form).exists()


@pytest.mark.parametrize("form", ["json", "python", "sql", "npz"])
def test_an_existing_file_is_not_overwritten(trained: Registry, tmp_path: Path, form: str) -> None:
    output = tmp_path / "mine"
    output.write_text("mine")
    result = stature(trained, "export", "1", "--to", form, "--output", str(output))
    assert result.exit_code == 1
    assert result.stderr == f"Error: {output} exists already, and is not overwritten: name another, or remove it\n"
    assert output.read_text() == "mine"


@pytest.mark.parametrize("output", [".", "/"])
def test_a_folder_is_no_file_to_write(trained: Registry, output: str) -> None:
    result = stature(trained, "export", "1", "--to", "json", "--output", output)
    assert (result.exit_code, result.stderr) == (1, f"Error: {output} is a folder: name a file in it\n")


def test_where_nothing_can_be_written_is_said(trained: Registry, tmp_path: Path) -> None:
    output = tmp_path / "no such folder" / "people.sql"
    result = stature(trained, "export", "1", "--to", "sql", "--output", str(output))
    assert result.exit_code == 1
    assert result.stderr == f"Error: {output} cannot be written: No such file or directory\n"


def test_a_written_file_is_told_in_words_and_in_json(trained: Registry, tmp_path: Path) -> None:
    said = stature(trained, "export", "1", "--to", "sql", "--output", str(tmp_path / "a"))
    assert said.stdout == f"Wrote version 1 of {trained} to {tmp_path / 'a'}.\n"
    told = json.loads(stature(trained, "export", "1", "--to", "sql", "--output", str(tmp_path / "b"), "--json").stdout)
    assert told == {
        "model": "gender",
        "model_version": 1,
        "digest": trained.manifest(1).digest,
        "to": "sql",
        "units": "metric",
        "output": str(tmp_path / "b"),
    }
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()


def test_json_without_a_file_holds_the_form_as_a_text(trained: Registry) -> None:
    told = json.loads(stature(trained, "export", "1", "--to", "python", "--json").stdout)
    assert told["content"] == export.as_python(trained.load(1), export.PAIRS["metric"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["1"], "Missing option '--to'"),
        (["1", "--to", "pickle"], "'pickle' is not one of"),
        (["1", "--to", "json", "--units", "metric"], "--units belongs to --to python and --to sql"),
        (["1", "--to", "npz", "--json"], "say where it goes with --output FILE"),
    ],
)
def test_what_cannot_be_meant_is_refused(trained: Registry, arguments: list[str], message: str) -> None:
    result = stature(trained, "export", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_version_that_is_not_there_is_said(trained: Registry) -> None:
    result = stature(trained, "export", "9", "--to", "sql")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: model gender has no version 9; the newest is 2\n")
