"""How long a training takes until it is as good as scikit-learn's, beside scikit-learn and PyTorch, on the same people.

    python benchmarks/training.py [--people 6000 50000 20000000] [--hidden 2 8] [--repeats 5] [--write]

Prints a section in Markdown, which --write puts into docs/benchmarks.md. The others live in a virtual environment of
their own, `.benchmarks/training`, which is made when it is first needed. `--quick` is for a test: of the others only
scikit-learn's lbfgs, as it is installed here.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import numpy as np
from page import write_section
from training_fits import ADAM, ADAM_EPOCHS, LBFGS_ROUNDS, ON_ITS_WAY

from model.network.losses import MEAN_SQUARED_ERROR
from model.network.network import Network, sigmoid
from model.network.trainers import sgd
from model.training.people import read_people

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
FOLDER = HERE.parent / ".benchmarks"
PEERS = FOLDER / "training"
PACKAGES = ["torch==2.13.0", "scikit-learn", "pyarrow", "duckdb", "numpy"]
SHIPPED = 6_000
MOST_IN_MEMORY = 1_000_000
"""More people than these are read from the file by the clock."""
MARGIN = 0.001
LBFGS, REGRESSION = "scikit-learn, lbfgs", "scikit-learn, logistic regression"


class Asked(NamedTuple):
    people: list[int]
    hidden: list[int]
    repeats: int
    peer_seconds: int
    quick: bool

    @property
    def trainers(self) -> list[str]:
        return ["Stature", LBFGS] if self.quick else ["Stature", LBFGS, *ON_ITS_WAY]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--people", nargs="+", type=int, default=[6_000, 50_000, 20_000_000], metavar="NUMBER")
    parser.add_argument("--hidden", nargs="+", type=int, default=[2, 8], metavar="NEURONS")
    parser.add_argument("--repeats", type=int, default=5, help="each with another seed, the same for all")
    parser.add_argument("--peer-seconds", type=int, default=240, help="one fit of the others is given up after these")
    parser.add_argument("--quick", action="store_true", help="few of the others")
    parser.add_argument("--write", action="store_true", help="put the section into docs/benchmarks.md")
    arguments = vars(parser.parse_args())
    write = arguments.pop("write")
    lines = []
    for line in section(Asked(**arguments)):
        print(line, flush=True)
        lines.append(line)
    if write:
        write_section("training", "\n".join(lines))


def section(asked: Asked) -> Iterator[str]:
    python = peers_python(quick=asked.quick)
    yield "## Training\n\n`python benchmarks/training.py`\n"
    yield f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {version('numpy')}."
    yield f"Beside it: {', '.join(versions(python))}, with all cores; Stature trains on one.\n"
    yield f"""The target is the held-out log-loss that scikit-learn's `MLPClassifier` with lbfgs ends at (median of all
seeds), plus {MARGIN}. All have one hidden layer of the same size, sigmoid neurons, and standardised inputs, and learn
from the same people. Seconds until the target: each trainer is stopped where it has first reached it, after an epoch
(Adam, in batches of {ADAM["batch_size"]}, at a learning rate of {ADAM["learning_rate"]}, {ADAM_EPOCHS} epochs at most),
five iterations (PyTorch's LBFGS, {LBFGS_ROUNDS} times at most), or as many iterations as it takes (lbfgs of
scikit-learn, and Stature from one start). The whole fit is what each does by default, to its own end: Stature with
four starts. Medians, and ranges in brackets, of {asked.repeats} rounds in which all take turns, each with another seed.

The 6,000 people are the shipped sample: 4,778 to learn from, and 1,222 held out, who are the judges everywhere. More
people are drawn, with replacement, from the 4,778: to each draw a normal error of 2 kg and one of 1 cm are added, and
both are rounded to a tenth. Up to a million people, the clock runs from arrays in memory; beyond, from a Parquet file,
which the others read with pyarrow. Who takes a sample of so many people has less to do; this is about using all."""
    target_of: dict[int, float] = {}
    iterations_of: dict[int, int | None] = {}
    held_out = write_people(None)
    for number in asked.people:
        people = write_people(number)
        for hidden in asked.hidden:
            fits = Fits(asked, python, people, held_out, hidden, from_file=number > MOST_IN_MEMORY)
            yield from comparison(fits, number, target_of, iterations_of)
    yield from one_by_one(asked)


class Fits(NamedTuple):
    """Fits on the same people, of the same hidden size."""

    asked: Asked
    python: Path
    people: Path
    held_out: Path
    hidden: int
    from_file: bool

    def fit(
        self, trainer: str, seed: int, target: float | None = None, iterations: int | None = None
    ) -> dict[str, Any]:
        job = {
            "trainer": trainer,
            "people": str(self.people),
            "held_out": str(self.held_out),
            "hidden": self.hidden,
            "seed": seed,
            "target": target,
            "iterations": iterations,
            "from_file": self.from_file,
        }
        python = sys.executable if trainer == "Stature" else self.python
        try:
            done = subprocess.run(  # noqa: S603 - our own script
                [python, HERE / "training_fits.py", json.dumps(job)],
                capture_output=True,
                check=True,
                text=True,
                timeout=None if trainer == "Stature" or target is None else self.asked.peer_seconds,
            )
        except subprocess.TimeoutExpired:
            return {"seconds": None, "reached": False, "log_loss": None, "iterations": None, "peak_bytes": None}
        except subprocess.CalledProcessError as error:
            sys.exit(f"{trainer} failed:\n{error.stderr}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def comparison(
    fits: Fits, number: int, target_of: dict[int, float], iterations_of: dict[int, int | None]
) -> Iterator[str]:
    """A table. Where lbfgs would take too long to end, its end is that among fewer people, in this same run."""
    hidden, seeds = fits.hidden, range(1, 1 + (1 if fits.from_file else fits.asked.repeats))
    whole: dict[str, list[dict[str, Any]]] = {"Stature": [fits.fit("Stature", seed) for seed in seeds]}
    if not fits.from_file or hidden not in target_of:
        whole[LBFGS] = [fits.fit(LBFGS, seed) for seed in seeds]
        whole[REGRESSION] = [fits.fit(REGRESSION, seed) for seed in seeds]
        target_of[hidden] = statistics.median(fit["log_loss"] for fit in whole[LBFGS]) + MARGIN
    target = target_of[hidden]
    shortest: dict[str, list[dict[str, Any]]] = {name: [] for name in fits.asked.trainers}
    for seed in seeds:
        for name, found in shortest.items():
            known = iterations_of.get(hidden) if fits.from_file and name == LBFGS else None
            found.append(fits.fit(name, seed, target, known))
    # With so many iterations it is run once where it would take too long to try fewer first.
    iterations_of[hidden] = max((fit["iterations"] or 0 for fit in shortest[LBFGS]), default=0) or None
    if REGRESSION in whole:
        shortest[REGRESSION] = [fit | {"reached": fit["log_loss"] <= target} for fit in whole[REGRESSION]]

    yield f"\n### {number:,} people, {hidden} hidden neurons\n"
    if fits.from_file:
        peak = max(fit["peak_bytes"] for fit in (*whole["Stature"], *shortest["Stature"]))
        yield "From the file, one round. The target is that of fewer people, above. Others are given up after"
        yield f"{fits.asked.peer_seconds} s. Stature's process took {peak / 1e9:.2f} GB of memory at its peak.\n"
    yield f"Target: {target:.4f}.\n"
    yield "| | seconds to the target | times Stature's | whole fit, seconds | its held-out log-loss |"
    yield "|---|---|---|---|---|"
    own = median_seconds(shortest["Stature"])
    for name, rounds in shortest.items():
        seconds = median_seconds(rounds)
        times = "" if seconds is None or own is None else f"{seconds / own:.1f}"
        if own and all(fit["seconds"] is None for fit in rounds):
            times = f"more than {fits.asked.peer_seconds / own:.0f}"
        ends = whole.get(name, [])
        whole_fit = "" if median_seconds(ends) is None else spread([fit["seconds"] for fit in ends])
        end = "" if not whole_fit else f"{statistics.median(fit['log_loss'] for fit in ends):.4f}"
        yield f"| {name} | {to_target(rounds, fits)} | {times} | {whole_fit} | {end} |"


def to_target(rounds: list[dict[str, Any]], fits: Fits) -> str:
    """The seconds of the rounds that got there; how many did, where not all."""
    got_there = [fit["seconds"] for fit in rounds if fit["reached"]]
    given_up = sum(fit["seconds"] is None for fit in rounds)
    missed = [fit["log_loss"] for fit in rounds if not fit["reached"] and fit["seconds"] is not None]
    said = [spread(got_there)] if got_there else []
    if given_up:
        said.append(f"more than {fits.asked.peer_seconds}" + f" ({given_up} of {len(rounds)})" * (len(rounds) > 1))
    if missed:
        of_rounds = f" in {len(missed)} of {len(rounds)}" * (len(rounds) > 1)
        said.append(f"never{of_rounds} (ends at {statistics.median(missed):.4f})")
    return "; ".join(said)


def median_seconds(rounds: list[dict[str, Any]]) -> float | None:
    """Of all rounds, if most of them got there; one that did not counts as longer than all that did."""
    seconds = sorted(fit["seconds"] if fit["reached"] else np.inf for fit in rounds)
    middle = statistics.median_low(seconds) if seconds else np.inf
    return middle if np.isfinite(middle) else None


def spread(seconds: list[float]) -> str:
    middle, low, high = (f"{value:.3g}" for value in (statistics.median_low(seconds), min(seconds), max(seconds)))
    return middle if len(seconds) == 1 else f"{middle} ({low} to {high})"


def one_by_one(asked: Asked) -> Iterator[str]:
    """Our `sgd` against the tutorial's loop, which is written out for two hidden neurons, on the same people."""
    people = read_people("nhanes", in_file_order=True)
    people = people.where(~people.held_out)
    inputs = (people.measurements - people.measurements.mean(axis=0)) / people.measurements.std(axis=0)
    targets = people.female[:, None]
    start = Network.random((2, 2, 1), np.random.default_rng(1))
    loops = {
        "the tutorial's loop": lambda: tutorial_loop(start.parameters, inputs, targets),
        "`sgd`": lambda: sgd(start, inputs, targets, loss=MEAN_SQUARED_ERROR, learning_rate=0.1, epochs=1),
    }
    microseconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(asked.repeats):
        for name, loop in loops.items():
            started = time.perf_counter()
            loop()
            microseconds[name].append(1e6 * (time.perf_counter() - started) / len(inputs))
    slower = statistics.median_low(microseconds["the tutorial's loop"])
    yield "\n### One person at a time\n"
    yield f"One epoch over {len(inputs):,} people, 2-2-1. The tutorial's loop is that of its sections 6 and 7, for this"
    yield "one shape; `sgd` takes any.\n"
    yield "| | microseconds a person | times the tutorial's |\n|---|---|---|"
    for name, taken in microseconds.items():
        yield f"| {name} | {spread(taken)} | {statistics.median_low(taken) / slower:.2f} |"


def tutorial_loop(parameters: np.ndarray, inputs: np.ndarray, female: np.ndarray) -> np.ndarray:
    """docs/tutorial.md, section 7, for one epoch."""
    for (x1, x2), (y,) in zip(inputs, female, strict=True):
        parameters = parameters - 0.1 * nine_derivatives(parameters, x1, x2, y)
    return parameters


def nine_derivatives(parameters: np.ndarray, x1: float, x2: float, y: float) -> np.ndarray:
    """docs/tutorial.md, section 6."""
    w1, w2, w3, w4, b1, b2, w5, w6, b3 = parameters
    h1 = sigmoid(w1 * x1 + w2 * x2 + b1)
    h2 = sigmoid(w3 * x1 + w4 * x2 + b2)
    o1 = sigmoid(w5 * h1 + w6 * h2 + b3)
    d3 = -2 * (y - o1) * o1 * (1 - o1)
    d1 = d3 * w5 * h1 * (1 - h1)
    d2 = d3 * w6 * h2 * (1 - h2)
    return np.array([d1 * x1, d1 * x2, d2 * x1, d2 * x2, d1, d2, d3 * h1, d3 * h2, d3])


def write_people(number: int | None) -> Path:
    """So many people to learn from, as a Parquet file; the judges where no number is given. Made once."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"people_{number or 'held_out'}.parquet"
    if path.exists():
        return path
    people = read_people("nhanes")
    people = people.where(people.held_out if number is None else ~people.held_out)
    repeated = np.repeat(np.arange(len(people.counts)), people.counts.astype(int))
    columns = {
        "weight_kg": (people.measurements[repeated, 0] * 0.45359237).round(1).tolist(),
        "height_cm": (people.measurements[repeated, 1] * 2.54).round(1).tolist(),
        "gender": np.where(people.female[repeated] == 1.0, "female", "male").tolist(),
        "row": list(range(len(repeated))),
    }
    with duckdb.connect(config={"threads": 1}) as database:  # one thread, so that the same seed gives the same people
        database.execute(
            "CREATE TABLE source AS SELECT unnest($weight_kg) AS weight_kg, unnest($height_cm) AS height_cm, "
            "unnest($gender) AS gender, unnest($row) AS row",
            columns,
        )
        database.execute("SET enable_progress_bar = false")
        if number is None or number == SHIPPED:
            drawn = "SELECT weight_kg, height_cm, gender FROM source"
        else:
            database.execute("SELECT setseed(0.5)")
            # Two numbers from 0 to 1 make two normal ones (Box and Muller 1958).
            drawn = f"""
                SELECT round(greatest(20, least(400, weight_kg + 2 * far * cos(2 * pi() * angle))), 1) AS weight_kg,
                    round(greatest(100, least(250, height_cm + far * sin(2 * pi() * angle))), 1) AS height_cm, gender
                FROM (SELECT floor(random() * {len(repeated)})::INTEGER AS row, sqrt(-2 * ln(1 - random())) AS far,
                    random() AS angle FROM range({number})) JOIN source USING (row)"""
        database.execute(f"COPY ({drawn}) TO '{path}' (FORMAT parquet)")
    return path


def peers_python(*, quick: bool) -> Path:
    if quick:
        return Path(sys.executable)
    python = PEERS / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)  # noqa: S603 - constants
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)  # noqa: S603 - constants
    return python


def versions(python: Path) -> list[str]:
    script = """if True:
        from importlib.metadata import PackageNotFoundError, version
        for name, package in (("scikit-learn", "scikit-learn"), ("PyTorch", "torch"), ("numpy", "numpy")):
            try:
                print(name, version(package))
            except PackageNotFoundError:
                pass"""
    done = subprocess.run([python, "-c", script], capture_output=True, check=True, text=True)  # noqa: S603 - a constant
    return done.stdout.splitlines()


if __name__ == "__main__":
    main()
