"""The `stature` command as its users run it: a process, its exit code, what it prints and where."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from end_to_end.running_service import RunningService, free_port, wait_for
from people_files import people, text, write

from model.cli import EXIT_CODES
from model.cli.group import SECTIONS, TRAINING_ONLY, main
from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from model.tokens import find, parse_tokens
from model.training.job import Settings, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _paths(group: click.Group) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield from ((name, *more) for more in _paths(command)) if isinstance(command, click.Group) else [(name,)]


COMMANDS = list(_paths(main))
"""Every command, by the words that call it."""
SERVING = ("up", "serve")
WITHOUT_JSON = ("stature completion",)
STATURE = Path(sys.executable).with_name("stature")
STEVE = ("--weight-kg", "73", "--height-cm", "182")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    exit_code: int
    said: str
    complained: str

    @property
    def document(self) -> Any:
        """What was printed, which must be one JSON document and nothing else; NaN is none."""
        assert (self.exit_code, self.complained) == (0, "")
        return json.loads(self.said, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))


def stature(*arguments: str, directory: Path | None = None, **environment: str) -> Done:
    """The command, as a process."""
    done = subprocess.run(
        [STATURE, *arguments],
        cwd=directory,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def in_this_process(*arguments: str, environment: dict[str, str] | None = None) -> Done:
    """The same without a process of its own, for tables of many cases."""
    result = CliRunner().invoke(main, arguments, prog_name="stature", env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return Done(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="module")
def _two_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 was champion and is previous, version 2 is champion, version 3 was never promoted."""
    folder = tmp_path_factory.mktemp("command")
    data = write(folder / "people.csv", text(people(200)))
    registry = Registry(LocalStorage(folder / "registry"), "gender")
    for seed, promote in ((1, "auto"), (2, "always"), (3, "never")):
        run(Settings(data=data, seed=seed, promote=promote), registry, by="a test")
    return folder / "registry"


@pytest.fixture
def root(_two_versions: Path, tmp_path: Path) -> str:
    shutil.copytree(_two_versions, tmp_path / "own")
    return str(tmp_path / "own")


@pytest.fixture
def data(tmp_path: Path) -> str:
    return write(tmp_path / "people.csv", text(people(200)))


def command_at(names: tuple[str, ...]) -> click.Command:
    command: click.Command = main
    for name in names:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    return command


def _parameters(name: str) -> list[click.Parameter]:
    command = command_at((name,))
    return next(iter(command.commands.values())).params if isinstance(command, click.Group) else command.params


def is_alive(service: RunningService) -> bool:
    try:
        return service.request("GET", "/livez")[0] == 200
    except OSError:
        return False


def refused(done: Done, exit_code: int = 1) -> str:
    """What standard error says: one sentence, no stack trace, and nothing on standard output."""
    assert done.exit_code == exit_code
    assert done.said == ""
    assert "Traceback" not in done.complained
    assert "Error: " in done.complained
    return done.complained


def test_what_cannot_be_printed_is_said(root: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [STATURE, "models", "--registry", root], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: what was to be printed cannot be written: No space left on device\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["models", "verify", "train --data tutorial"])
def test_what_nobody_can_read_is_printed_nowhere(root: str, command: str, closed: str, tmp_path: Path) -> None:
    line = f'"{STATURE}" {command} --registry "{root}" {closed}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert done.stderr == ""
    assert bool(done.stdout) == (">&-" not in closed.split())


# Help


def test_the_version_is_that_of_the_package() -> None:
    done = stature("--version")
    assert (done.exit_code, done.said) == (0, f"stature {installed_version('stature')}\n")


def test_the_command_is_also_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "model.cli", "--help"], capture_output=True, text=True, check=True)
    assert "Train and judge:" in done.stdout


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command_in_its_section_and_the_three_to_try_first(flag: str) -> None:
    done = stature(flag, COLUMNS="80")
    titles = re.findall(r"^([A-Z][a-z ]+):$", done.said, re.MULTILINE)
    listed = re.findall(r"^  ([a-z]+)  +(.+)$", done.said, re.MULTILINE)
    assert done.exit_code == 0
    assert titles == ["Options", *SECTIONS]
    assert [name for name, _ in listed] == [name for section in SECTIONS.values() for name in section]
    assert all(description.endswith(".") and not description.endswith("...") for _, description in listed)
    assert done.said.partition("first three to try:\n")[2].count("    stature ") == 3


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_each_of_its_options_and_how_it_is_used(command: tuple[str, ...]) -> None:
    done = in_this_process(*command, "--help")
    assert done.exit_code == 0
    assert done.said.startswith(f"Usage: stature {' '.join(command)} ")
    assert "  Examples:\n    stature " in done.said
    found = command_at(command)
    assert found.help
    for option in (parameter for parameter in found.params if isinstance(parameter, click.Option)):
        assert option.help, option.name
        assert option.help.endswith((".", "]")), option.help
        has_default = option.to_info_dict()["default"] not in (None, False, "", ())
        assert option.show_default or not has_default, option.name


def examples_of(*names: str) -> list[str]:
    """The examples in the help of these commands, or of all others."""
    return [
        line.strip()
        for command in COMMANDS
        if (command[0] in names if names else command[0] not in SERVING)
        for line in (command_at(command).epilog or "").splitlines()[2:]
    ]


@pytest.mark.parametrize("example", examples_of())
def test_each_example_in_the_help_can_be_copied(
    root: str, data: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(example)
    done = in_this_process(*arguments, environment={"STATURE_REGISTRY": root})
    assert program == "stature"
    assert (done.exit_code, done.complained) == (0, "")
    assert done.said


@pytest.mark.parametrize("example", [line for line in examples_of() if not line.startswith(WITHOUT_JSON)])
def test_each_command_prints_one_json_document_if_asked(
    root: str, data: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = in_this_process(*shlex.split(example)[1:], "--json", environment={"STATURE_REGISTRY": root})
    assert done.document is not None


def test_what_serves_or_prints_a_script_has_no_json_to_print() -> None:
    without = [name for name, *_ in COMMANDS if not any(option.name == "as_json" for option in _parameters(name))]
    assert without == ["serve", "completion"]


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [(("verify",), 0), (("show", "9"), 1), (("verify", "--expect-head", "0" * 64), 1), (("show",), 2)],
)
def test_each_documented_exit_code_is_given(root: str, arguments: tuple[str, ...], exit_code: int) -> None:
    # 130 is what a shell makes of the signal that test_interrupting.py gives.
    assert set(EXIT_CODES) == {0, 1, 2, 130}
    assert stature(*arguments, STATURE_REGISTRY=root).exit_code == exit_code


@pytest.mark.parametrize(
    ("arguments", "then"),
    [
        (("show", "9"), "`stature models` lists what there is."),
        (("promote", "1", "--expect", "7"), "`stature log` tells who moved it, and when."),
        (("show", "3"), "`stature verify` says all that is wrong in a registry."),
        (("predict", *STEVE, "--registry", "/nowhere"), "`stature train` makes the first"),
    ],
)
def test_what_fails_says_what_to_do_next(root: str, arguments: tuple[str, ...], then: str) -> None:
    flip(artifact(Path(root), 3), b"NUMPY")
    assert then in refused(in_this_process(*arguments, environment={"STATURE_REGISTRY": root}))


@pytest.mark.parametrize("example", examples_of(*SERVING))
def test_each_example_of_what_serves_can_be_copied(root: str, example: str, tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {"STATURE_PORT": str(port), "STATURE_REGISTRY": root}
    arguments = shlex.split(re.sub(r"--port \d+", f"--port {port}", example))
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([STATURE, *arguments[1:]], cwd=tmp_path, env=environment, stdout=log, stderr=log) as process,
    ):
        service = RunningService(process, port, tmp_path / "log")
        try:
            wait_for(lambda: is_alive(service), (tmp_path / "log").read_text)
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=15) == 0  # before gunicorn's patience with its workers ends


def test_an_installation_that_only_serves_says_which_one_trains() -> None:
    without = "import sys; sys.modules['threadpoolctl'] = None; from model.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", without, "train"], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr == (
        "Error: `stature train` needs the package threadpoolctl, which is not installed here. The image that serves "
        "leaves out what only training uses: use the one that trains, target `train`.\n"
    )


def test_what_only_training_uses_is_what_the_serving_image_leaves_out() -> None:
    lines = Path(__file__).parents[2].joinpath("requirements", "training-only.in").read_text().splitlines()

    assert {line for line in lines if not line.startswith("#")} == TRAINING_ONLY


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("predict", "--frobnicate"),
        ("show",),
        ("show", "1", "2"),
        ("train", "--promote", "perhaps"),
        ("train", "--bad-rows", "mend"),
        ("train", "--hidden", "two"),
        ("train", "--hidden", "2,"),
        ("train", "--seed", "x"),
        ("train", "--threshold", "log_loss"),
        ("train", "--threshold", "log_loss=low"),
        ("train", "--threshold", "log_loss=nan"),
        ("train", "--threshold", "f1=0.5"),
        ("verify", "--expect-head", "0" * 63),
        ("verify", "--expect-head", "X" * 64),
        ("train", "--otherwise", "perhaps"),
        ("evaluate", "1"),
        ("recalibrate", "1"),
        ("promote", "1", "--expect", "some"),
        ("predict", "--weight-kg", "heavy", "--height-cm", "170"),
        ("serve", "--port", "65536"),
        ("serve", "--workers", "0"),
    ],
    ids=" ".join,
)
def test_what_is_not_understood_exits_with_2_and_shows_the_usage(arguments: tuple[str, ...]) -> None:
    complaint = refused(in_this_process(*arguments), exit_code=2)
    assert complaint.startswith("Usage: ")


def test_a_command_that_is_mistyped_is_named_as_it_is_written() -> None:
    complaint = refused(in_this_process("trian"), exit_code=2)
    assert complaint.endswith("No such command 'trian'. Did you mean 'train'?\n")


# Which registry, which model


@pytest.mark.parametrize(
    ("environment", "flags", "expected"),
    [
        ({}, (), "registry"),
        ({"STATURE_REGISTRY": "from the environment"}, (), "from the environment"),
        ({"STATURE_REGISTRY": "from the environment"}, ("--registry", "from the flag"), "from the flag"),
    ],
    ids=["the default", "the environment", "the flag"],
)
def test_a_flag_beats_the_environment_and_the_environment_the_default(
    tmp_path: Path, data: str, environment: dict[str, str], flags: tuple[str, ...], expected: str
) -> None:
    done = stature("train", "--data", data, "--json", *flags, directory=tmp_path, **environment)
    assert done.document["model_version"] == 1
    assert (tmp_path / expected / "gender" / "versions" / "0000000001.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([expected, "people.csv"])


def test_the_model_too_is_named_by_flag_or_environment(tmp_path: Path, data: str) -> None:
    environment = {"STATURE_MODEL": "from_environment"}
    first = stature("train", "--data", data, "--json", directory=tmp_path, **environment)
    second = stature("train", "--data", data, "--json", "--model", "from-flag", directory=tmp_path, **environment)
    assert [done.document["model"] for done in (first, second)] == ["from_environment", "from-flag"]


@pytest.mark.parametrize("model", ["", "Gender", "../elsewhere", "a/b", "1st", "a" * 64])
def test_a_name_that_no_model_can_have_is_refused(root: str, model: str) -> None:
    assert "cannot name a model" in refused(in_this_process("models", "--registry", root, "--model", model))


@pytest.mark.parametrize("command", SERVING)
def test_what_serves_refuses_such_a_name_before_it_looks_for_a_champion(command: str, tmp_path: Path) -> None:
    complaint = refused(stature(command, "--model", "Gender", "--port", str(free_port()), directory=tmp_path))
    assert complaint.startswith("Error: 'Gender' cannot name a model: lower-case letters")


def test_the_tutorial_trains_its_own_model_unless_another_is_demanded(tmp_path: Path) -> None:
    tutorial = ("train", "--data", "tutorial", "--epochs", "20", "--registry", str(tmp_path / "r"))
    assert stature(*tutorial, "--json", STATURE_MODEL="gender").document["model"] == "tutorial"
    assert "do not go together" in refused(stature(*tutorial, "--model", "gender"))


# Train


def test_training_prints_progress_metrics_and_what_became_of_the_version(tmp_path: Path, data: str) -> None:
    root = str(tmp_path / "the registry")
    first = stature("train", "--data", data, "--registry", root)
    second = stature("train", "--data", data, "--registry", root, "--seed", "2", "--promote", "never")
    again = stature("train", "--data", data, "--registry", root)
    assert [done.exit_code for done in (first, second, again)] == [0, 0, 0]
    assert re.search(r"^epoch +\d+  loss 0\.\d{6}$", first.said, re.MULTILINE)
    assert "200 people of people.csv: " in first.said
    assert "logistic regression" in first.said
    assert first.said.endswith("Promoted: it is the first, and better than the base rate.\n")
    _, _, to_promote_it = second.said.partition("To promote it: stature ")
    assert shlex.split(to_promote_it) == ["promote", "2", "--registry", root, "--model", "gender"]
    assert "Identical to version 1, the champion: nothing was published." in again.said


def test_training_says_all_of_it_as_json(tmp_path: Path, data: str) -> None:
    arguments = ("train", "--data", data, "--registry", str(tmp_path / "registry"), "--json")
    first, again = stature(*arguments).document, stature(*arguments).document
    assert (first["model"], first["model_version"], first["promoted"], first["trained"]) == ("gender", 1, True, True)
    assert (first["people"], first["left_out"]) == (200, {})
    assert set(first["evaluation"]["metrics"]) == {
        "log_loss",
        "brier_score",
        "accuracy",
        "roc_auc",
        "calibration_error",
    }
    assert first["verdict"]["reason"] == "it is the first, and better than the base rate"
    assert (again["model_version"], again["identical_to"], again["promoted"]) == (None, 1, False)
    assert again["digest"] == first["digest"]


def test_training_tells_of_saturated_neurons(tmp_path: Path) -> None:
    done = stature(
        "train", "--trainer", "sgd", "--hidden", "4", "--learning-rate", "30", "--epochs", "2", directory=tmp_path
    )
    assert "saturated: neuron 4 of hidden layer 1 answers nearly the same for everybody" in done.said


def test_training_if_empty_trains_once(tmp_path: Path, data: str) -> None:
    arguments = ("train", "--data", data, "--registry", str(tmp_path / "registry"), "--if-empty", "--json")
    assert stature(*arguments).document["trained"] is True
    assert stature(*arguments, "--seed", "2").document == {"model": "gender", "model_version": 1, "trained": False}


def test_training_if_empty_goes_on_where_versions_are_but_no_champion(tmp_path: Path, data: str) -> None:
    arguments = ("train", "--data", data, "--registry", str(tmp_path / "registry"), "--json")
    stature(*arguments, "--promote", "never")
    assert stature(*arguments, "--if-empty", "--seed", "2").document["promoted"] is True


def test_the_flags_of_training_reach_the_manifest(tmp_path: Path) -> None:
    rows = [(a, b, "2" if c == "female" else "1") for a, b, c in people(200)]
    data = write(tmp_path / "coded.csv", text([*rows, ("70", "72", "1")]))
    root = str(tmp_path / "registry")
    flags = ("--female-code", "2", "--bad-rows", "skip", "--hidden", "3,2", "--trainer", "sgd", "--epochs", "2")
    more = ("--learning-rate", "0.05", "--learning-rate-decay", "0.5", "--shuffle", "--seed", "7")

    document = stature("train", "--data", data, "--registry", root, *flags, *more, "--json").document

    manifest = stature("show", "1", "--registry", root, "--json").document
    assert manifest["layer_sizes"] == [2, 3, 2, 1]
    assert manifest["trainer"] == document["trainer"]
    assert {name: manifest["trainer"][name] for name in ("name", "seed", "epochs")} == {
        "name": "sgd",
        "seed": 7,
        "epochs": 2,
    }
    assert manifest["trainer"]["hyperparameters"] == {
        "learning_rate": 0.05,
        "learning_rate_decay": 0.5,
        "shuffle": True,
    }
    assert manifest["data"]["left_out"] == {"height_cm is outside the domain (100 to 250 cm)": 1}


def test_no_hidden_layer_is_logistic_regression(tmp_path: Path, data: str) -> None:
    arguments = ("train", "--data", data, "--registry", str(tmp_path / "registry"), "--hidden", "none", "--json")
    evaluation = stature(*arguments).document["evaluation"]
    assert evaluation["metrics"] == pytest.approx(evaluation["logistic_regression"])


def test_a_file_with_bad_rows_is_refused_with_its_lines(tmp_path: Path) -> None:
    data = write(tmp_path / "people.csv", text([*people(100), ("182", "73", "male")]))
    complaint = refused(stature("train", "--data", data, "--registry", str(tmp_path / "registry")))
    assert "\n  line 102: 182 kg and 73 cm look swapped\n" in complaint
    assert not (tmp_path / "registry").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--data", "nowhere.csv"),
        ("--epochs", "3"),
        ("--learning-rate", "0", "--trainer", "sgd"),
        ("--hidden", "0"),
        ("--seed", "-1"),
        ("--female-code", "female"),
        ("--registry", "/dev/null"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_trained_exits_with_1_and_a_sentence(
    tmp_path: Path, data: str, arguments: tuple[str, ...]
) -> None:
    everything = ("train", "--data", data, "--registry", "registry", "--json", *arguments)
    refused(stature(*everything, directory=tmp_path))


# Predict


def test_one_person_is_answered_in_words(root: str) -> None:
    done = stature("predict", *STEVE, "--registry", root)
    assert done.exit_code == 0
    assert re.fullmatch(
        r"male: the probability of female is 0\.\d{4} \(version 2 of gender(, outside [a-z ]+)?\)\n", done.said
    )


def test_one_person_is_answered_as_json_with_the_version_that_answered(root: str) -> None:
    answer = stature("predict", *STEVE, "--registry", root, "--json").document
    assert list(answer) == ["probability_female", "likelier", "in_training_range", "model", "model_version"]
    version = Registry(LocalStorage(Path(root)), "gender").load(2)
    assert answer == version.predict(73 / 0.45359237, 182 / 2.54) | {"model": "gender", "model_version": 2}


def test_both_pairs_of_units_answer_alike(root: str) -> None:
    imperial = ("--weight-lb", repr(73 / 0.45359237), "--height-in", repr(182 / 2.54))
    answers = [stature("predict", *pair, "--registry", root, "--json").document for pair in (STEVE, imperial)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--weight-kg", "73"),
        ("--height-in", "70"),
        ("--weight-kg", "73", "--height-in", "70"),
        ("--weight-lb", "160", "--height-cm", "182"),
        ("--weight-kg", "73", "--weight-lb", "160"),
        (*STEVE, "--weight-lb", "160"),
        (*STEVE, "--weight-lb", "160", "--height-in", "72"),
    ],
    ids=" ".join,
)
def test_half_a_pair_a_mixed_one_or_two_are_not_understood(root: str, arguments: tuple[str, ...]) -> None:
    complaint = refused(in_this_process("predict", *arguments, "--registry", root), exit_code=2)
    assert "give --weight-kg with --height-cm, or --weight-lb with --height-in" in complaint


@pytest.mark.parametrize(
    ("weight", "height", "said"),
    [
        ("182", "73", "182 kg and 73 cm look swapped"),
        ("73", "72", "72 cm looks like inches"),
        ("nan", "182", "nan kg is outside the domain"),
        ("73", "inf", "inf cm is outside the domain"),
        ("-73", "182", "-73 kg is outside the domain"),
    ],
)
def test_measurements_that_no_adult_has_are_refused_in_words(root: str, weight: str, height: str, said: str) -> None:
    arguments = ("--weight-kg", weight, "--height-cm", height, "--registry", root, "--json")
    assert said in refused(in_this_process("predict", *arguments))


@pytest.mark.parametrize(("name", "number"), [("champion", 2), ("previous", 1), ("3", 3)])
def test_any_version_answers_by_number_or_alias(root: str, name: str, number: int) -> None:
    answer = stature("predict", *STEVE, "--version", name, "--registry", root, "--json").document
    assert answer["model_version"] == number


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("4", "has no version 4; the newest is 3"),
        ("challenger", "the aliases are: champion, previous"),
        ("0", "has no alias '0'"),
        ("-1", "has no alias '-1'"),
        ("../1", "has no alias '../1'"),
        ("9999999999", "has no version 9999999999"),
        ("99999999999999999999", "has no alias"),
    ],
)
def test_a_version_that_is_not_there_is_refused_with_those_that_are(root: str, name: str, said: str) -> None:
    assert said in refused(in_this_process("predict", *STEVE, f"--version={name}", "--registry", root))


@pytest.mark.parametrize("command", [("predict", *STEVE), ("show", "champion"), ("promote", "champion")])
def test_without_a_champion_the_way_to_one_is_told(tmp_path: Path, command: tuple[str, ...]) -> None:
    complaint = refused(stature(*command, "--registry", str(tmp_path / "empty")))
    assert "has no champion yet: `stature train` makes the first" in complaint
    assert not (tmp_path / "empty").exists()


# Models, show, log


def test_models_are_listed_the_newest_first(root: str) -> None:
    found = stature("models", "--registry", root, "--json").document
    assert [(model["model_version"], model["aliases"]) for model in found] == [
        (3, []),
        (2, ["champion"]),
        (1, ["previous"]),
    ]
    lines = stature("models", "--registry", root).said.splitlines()
    assert lines[0].split()[:2] == ["version", "aliases"]
    assert [line.split()[0] for line in lines[1:]] == ["3", "2", "1"]


def test_a_registry_that_is_not_there_is_not_called_whole(tmp_path: Path) -> None:
    done = in_this_process("verify", "--registry", str(tmp_path / "misspelled"))
    assert done.exit_code == 1
    assert "holds nothing to verify" in done.complained


def test_an_empty_registry_has_no_models_and_no_log(tmp_path: Path) -> None:
    empty = ("--registry", str(tmp_path / "empty"))
    assert in_this_process("models", *empty, "--json").document == []
    assert in_this_process("log", *empty, "--json").document == []
    assert "No version of model gender in " in in_this_process("models", *empty).said
    assert "Nothing has been promoted yet" in in_this_process("log", *empty).said
    assert not (tmp_path / "empty").exists()


def test_what_others_wrote_is_shown_and_not_obeyed_by_the_terminal(trained: Registry) -> None:
    trained.promote(2, by="someone", reason="red \x1b[31m and\na line \x9b2J more")

    shown = stature("log", "--registry", str(trained.storage)).said.splitlines()

    assert len(shown) == 3
    assert shown[2].endswith("  red \N{REPLACEMENT CHARACTER}[31m and a line \N{REPLACEMENT CHARACTER}2J more")


def test_show_tells_a_version_by_number_and_by_alias_alike(root: str) -> None:
    by_alias = stature("show", "champion", "--registry", root, "--json").document
    assert by_alias == stature("show", "2", "--registry", root, "--json").document
    assert (by_alias["number"], by_alias["aliases"]) == (2, ["champion"])
    in_words = stature("show", "champion", "--registry", root).said
    assert by_alias["digest"] in in_words
    assert by_alias["weights_path"] in in_words


def test_the_weights_that_show_names_are_opened_by_numpy_and_give_what_predict_gives(root: str) -> None:
    shown = stature("show", "champion", "--registry", root, "--json").document
    answer = stature("predict", *STEVE, "--registry", root, "--json").document

    activations = [
        (canonical - shift) / scale
        for canonical, shift, scale in zip((73 / 0.45359237, 182 / 2.54), shown["shift"], shown["scale"], strict=True)
    ]
    with np.load(shown["weights_path"], allow_pickle=False) as arrays:
        for layer in range(1, len(shown["layer_sizes"])):
            totals = arrays[f"weights_{layer}"] @ np.array(activations) + arrays[f"biases_{layer}"]
            activations = [1 / (1 + math.exp(-total)) for total in totals]

    assert answer["probability_female"] == pytest.approx(activations[0], rel=0, abs=1e-14)


def test_the_weights_path_is_where_one_stands(root: str) -> None:
    folder = Path(root).parent
    shown = stature("show", "1", "--registry", "own", "--json", directory=folder).document
    assert (folder / shown["weights_path"]).is_file()


def test_the_log_tells_who_moved_what_when_and_why(root: str) -> None:
    stature("rollback", "--reason", "worse for the short", "--registry", root)
    records = stature("log", "--registry", root, "--json").document
    assert [record["number"] for record in records] == [1, 2, 3]
    assert [record["operation"]["name"] for record in records] == ["promote", "promote", "rollback"]
    assert records[2]["reason"] == "worse for the short"
    assert records[2]["state"]["aliases"] == {"champion": 1, "previous": 2}
    assert "@" in records[2]["by"]
    lines = stature("log", "--registry", root).said.splitlines()
    assert len(lines) == 4
    assert "rollback 1" in lines[3]
    assert lines[3].endswith("worse for the short")


# Promote, roll back


@pytest.mark.parametrize("expect", [(), ("--expect", "2")], ids=["whatever", "right"])
def test_a_version_is_promoted(root: str, expect: tuple[str, ...]) -> None:
    done = stature("promote", "3", *expect, "--reason", "a try", "--registry", root, "--json")
    assert done.document == {"model": "gender", "log_number": 3, "aliases": {"champion": 3, "previous": 2}}
    assert stature("predict", *STEVE, "--registry", root, "--json").document["model_version"] == 3


def test_a_version_is_given_another_alias_and_answers_by_it(root: str) -> None:
    done = stature("promote", "3", "--alias", "challenger", "--registry", root, "--json")
    aliases = {"challenger": 3, "champion": 2, "previous": 1}
    assert done.document == {"model": "gender", "log_number": 3, "aliases": aliases}
    asked = in_this_process("predict", *STEVE, "--version", "challenger", "--registry", root, "--json")
    assert asked.document["model_version"] == 3
    assert "set_alias challenger 3" in in_this_process("log", "--registry", root).said
    assert "moves by promoting" in refused(in_this_process("promote", "3", "--alias", "previous", "--registry", root))


@pytest.mark.parametrize(
    ("expect", "said"),
    [("1", "not version 1 as expected"), ("none", "not no version as expected"), ("7", "not version 7 as expected")],
)
@pytest.mark.parametrize("command", [("promote", "3"), ("rollback",)], ids=" ".join)
def test_a_wrong_expectation_moves_nothing(root: str, command: tuple[str, ...], expect: str, said: str) -> None:
    complaint = refused(in_this_process(*command, "--expect", expect, "--registry", root))
    assert "the champion of model gender is version 2, " in complaint
    assert said in complaint
    assert len(in_this_process("log", "--registry", root, "--json").document) == 2


def test_expecting_none_holds_before_the_first_champion_only(tmp_path: Path, data: str) -> None:
    registry = ("--registry", str(tmp_path / "registry"))
    stature("train", "--data", data, "--promote", "never", *registry)
    first = stature("promote", "1", "--expect", "none", *registry, "--json")
    assert first.document["aliases"] == {"champion": 1}
    refused(stature("promote", "1", "--expect", "none", *registry))


def test_promoting_the_champion_again_changes_nothing(root: str) -> None:
    done = stature("promote", "champion", "--registry", root, "--json")
    assert done.document == {"model": "gender", "log_number": 2, "aliases": {"champion": 2, "previous": 1}}


def test_a_version_can_be_promoted_by_alias(root: str) -> None:
    done = stature("promote", "previous", "--registry", root)
    assert (done.exit_code, done.complained) == (0, "")
    assert done.said.endswith(": champion is version 1, previous is version 2.\n")


def test_a_version_that_is_not_there_is_not_promoted(root: str) -> None:
    assert "has no version 9; the newest is 3" in refused(stature("promote", "9", "--registry", root))


def test_rolling_back_twice_is_as_before(root: str) -> None:
    documents = [stature("rollback", "--registry", root, "--json").document for _ in range(2)]
    assert [document["aliases"] for document in documents] == [
        {"champion": 1, "previous": 2},
        {"champion": 2, "previous": 1},
    ]


def test_rolling_back_without_a_previous_champion_is_refused(tmp_path: Path, data: str) -> None:
    registry = ("--registry", str(tmp_path / "registry"))
    assert "no previous champion to roll back to" in refused(stature("rollback", *registry))
    stature("train", "--data", data, *registry)
    assert "no previous champion to roll back to" in refused(stature("rollback", *registry))


# Verify


def flip(path: Path, at: bytes) -> None:
    """One bit of the byte after this text."""
    content = bytearray(path.read_bytes())
    content[content.index(at) + len(at)] ^= 1
    path.write_bytes(content)


def artifact(root: Path, number: int) -> Path:
    manifest = json.loads((root / "gender/versions" / f"{number:010}.json").read_text())
    return root / "gender" / manifest["files"]["weights"]["key"]


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a number in an artifact": lambda root: flip(artifact(root, 2), b"NUMPY"),
    "a number in an artifact that was never promoted": lambda root: flip(artifact(root, 3), b"'<f8'"),
    "an artifact lost": lambda root: artifact(root, 3).unlink(),
    "an artifact cut": lambda root: artifact(root, 1).write_bytes(artifact(root, 1).read_bytes()[:-1]),
    "an artifact of another version": lambda root: shutil.copy(artifact(root, 1), artifact(root, 2)),
    "a metric in a manifest": lambda root: flip(root / "gender/versions/0000000002.json", b'"log_loss": 0.'),
    "a name in a manifest": lambda root: flip(root / "gender/versions/0000000001.json", b'"created_by": "'),
    "a brace of a manifest": lambda root: flip(root / "gender/versions/0000000003.json", b""),
    "a digest in a manifest": lambda root: flip(root / "gender/versions/0000000003.json", b'"digest": "'),
    "a manifest lost": lambda root: (root / "gender/versions/0000000001.json").unlink(),
    "a reason in the log": lambda root: flip(root / "gender/log/0000000001.json", b'"reason": "'),
    "an alias in the log": lambda root: flip(root / "gender/log/0000000002.json", b'"champion": '),
    "a transaction in the log": lambda root: flip(root / "gender/log/0000000001.json", b'"transaction": "'),
    "a chained hash in the log": lambda root: flip(root / "gender/log/0000000002.json", b'"previous_sha256": "'),
    "a record lost": lambda root: (root / "gender/log/0000000001.json").unlink(),
    "a record emptied": lambda root: (root / "gender/log/0000000001.json").write_bytes(b""),
    "a folder in place of a record": lambda root: (root / "gender/log/0000000003.json").mkdir(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_is_damaged_verify_says_so_and_exits_with_1(root: str, damage: str) -> None:
    DAMAGES[damage](Path(root))
    done = in_this_process("verify", "--registry", root, "--json")
    assert (done.exit_code, done.complained) == (1, "")
    assert json.loads(done.said)["problems"]


@pytest.mark.parametrize("command", ["verify", "log", "models"])
def test_a_file_in_place_of_the_log_is_not_taken_for_an_empty_log(root: str, command: str) -> None:
    shutil.rmtree(Path(root) / "gender/log")
    (Path(root) / "gender/log").touch()
    assert "Not a directory" in refused(in_this_process(command, "--registry", root))


def test_a_damaged_registry_is_told_in_sentences(root: str) -> None:
    artifact(Path(root), 3).unlink()
    done = stature("verify", "--registry", root)
    assert (done.exit_code, done.complained) == (1, "")
    assert done.said.startswith("version 3 of gender lacks its weights: ")


def test_a_whole_registry_is_said_to_be_whole(root: str) -> None:
    done = stature("verify", "--registry", root)
    assert done.exit_code == 0
    assert done.said.endswith(" is whole: 3 versions, 2 log records.\n")
    document = stature("verify", "--registry", root, "--json").document
    assert document.pop("head") == Registry(LocalStorage(Path(root)), "gender").head().sha256
    assert document == {
        "model": "gender",
        "versions": 3,
        "log_records": 2,
        "problems": [],
    }


@pytest.mark.parametrize("command", [("predict", *STEVE), ("show", "2"), ("promote", "previous"), ("rollback",)])
def test_a_damaged_version_is_neither_asked_nor_shown_nor_promoted(root: str, command: tuple[str, ...]) -> None:
    for number in (1, 2):
        flip(artifact(Path(root), number), b"NUMPY")
    complaint = refused(in_this_process(*command, "--registry", root))
    assert "does not have the sha256 that its manifest says" in complaint


@pytest.mark.parametrize("command", [("predict", *STEVE), ("models",), ("log",), ("promote", "1"), ("rollback",)])
def test_an_unreadable_log_is_said_in_a_sentence(root: str, command: tuple[str, ...]) -> None:
    (Path(root) / "gender/log/0000000002.json").write_bytes(b"{")
    assert "gender/log/0000000002.json is not a record" in refused(in_this_process(*command, "--registry", root))


# Serve


@pytest.mark.parametrize("command", ["serve", "up"])
def test_a_busy_port_is_said_at_once_and_nothing_is_trained(tmp_path: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        complaint = refused(stature(command, "--port", port, "--registry", str(tmp_path / "registry")))
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use." in complaint
    assert "STATURE_PORT" in complaint, "make run takes no option"
    assert not (tmp_path / "registry").exists()


def test_the_port_may_come_from_the_environment(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        complaint = refused(stature("serve", "--registry", str(tmp_path / "registry"), STATURE_PORT=port))
    assert f"127.0.0.1:{port}" in complaint


def test_an_address_of_another_machine_cannot_be_listened_on(tmp_path: Path) -> None:
    complaint = refused(stature("serve", "--host", "192.0.2.1", "--registry", str(tmp_path / "registry")))
    assert "cannot listen on 192.0.2.1:8000: Cannot assign requested address." in complaint


# Imports


def imported_by(code: str, *names: str) -> list[str]:
    """Which of these modules a fresh process holds after this code."""
    code = f"{code}\nimport sys\nprint('imported:', *(name for name in {names!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()[1:]


def test_the_service_imports_nothing_that_only_training_or_the_command_needs() -> None:
    names = ("duckdb", "rich", "model.training", "threadpoolctl", "model.cli", "click.testing")
    assert imported_by("import service.app", *names) == []


def test_predicting_does_not_import_what_training_needs(root: str) -> None:
    arguments = ["predict", *STEVE, "--registry", root, "--json"]
    code = f"from model.cli.group import main\nmain({arguments!r}, standalone_mode=False)"
    assert imported_by(code, "duckdb", "rich", "model.training", "threadpoolctl", "flask") == []


def test_help_imports_nothing_heavy() -> None:
    assert imported_by("import model.cli.group", "numpy", "duckdb", "rich", "flask", "pydantic") == []


def test_a_token_needs_no_registry_and_is_made_as_words_or_json() -> None:
    said = CliRunner().invoke(main, ["token", "new", "--holder", "ci", "--scope", "read", "--scope", "admin"]).output
    token, line = (text.split(maxsplit=1)[1] for text in said.splitlines())
    (known,) = parse_tokens(line, "what was said")
    assert find([known], token) == known
    assert (known.holder, known.scopes) == ("ci", {"read", "admin"})
    document = json.loads(CliRunner().invoke(main, ["token", "new", "--scope", "predict", "--json"]).output)
    (known,) = parse_tokens(document["line"], "what was said")
    assert find([known], document["token"]) == known
    for refused in (["--scope", "write"], [], ["--scope", "read", "--holder", "a b"]):
        done = CliRunner().invoke(main, ["token", "new", *refused])
        assert done.exit_code != 0
        assert "Error: " in done.output
