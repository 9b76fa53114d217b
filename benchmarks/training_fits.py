"""One fit, clocked: run by `training.py`, in a process of its own, with the Python that has what the trainer needs.

    python benchmarks/training_fits.py '{"trainer": "Stature", "people": "people.parquet", …}'   ──► one line of JSON

The clock runs from the arrays, or with `from_file` from the file, and stands still while the network is held against
the held-out people. A trainer that can be looked at on its way is looked at after each of its rounds: an epoch of Adam,
five iterations of PyTorch's LBFGS. One that cannot is run again and again with more iterations, each time from the
beginning, and the first run that reaches the target counts, alone.
"""

from __future__ import annotations

import itertools
import json
import resource
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Predict = Callable[[np.ndarray], np.ndarray]
    """Standardised measurements -> probabilities of female."""
    Table = tuple[np.ndarray, np.ndarray, np.ndarray]
    """Weight and height (people, 2); female, 1 or 0 (people,); how many people each row stands for (people,)."""

ADAM_EPOCHS, LBFGS_ROUNDS = 200, 100
ADAM = {"batch_size": 200, "learning_rate": 0.01}
"""scikit-learn's own batch; ten times its learning rate, which is better here."""


class Clock:
    """Seconds spent inside `with`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self.started


def stature(table: Table, hidden: int, seed: int, iterations: int | None) -> Predict:
    """With all that a training does by default; or from one start, with so many steps in all."""
    from model.network.trainers import gauss_newton
    from model.training.job import Settings

    inputs, female, counts = table
    shortened = {} if iterations is None else {"restarts": 1, "maximum_epochs": iterations}
    settings = {"restarts": Settings.restarts, "l2": Settings.l2} | shortened
    generator = np.random.default_rng(seed)
    fit = gauss_newton((2, hidden, 1), inputs, female[:, None], counts, generator=generator, **settings)
    return lambda x: fit.network.feedforward(x)[:, 0]


def scikit_learn_lbfgs(table: Table, hidden: int, seed: int, iterations: int | None) -> Predict:
    from sklearn.neural_network import MLPClassifier

    often = {} if iterations is None else {"max_iter": iterations}
    network = MLPClassifier((hidden,), activation="logistic", solver="lbfgs", random_state=seed, **often)
    network.fit(table[0], table[1])
    return lambda x: network.predict_proba(x)[:, 1]


def scikit_learn_logistic_regression(table: Table, _hidden: int, _seed: int, _iterations: int | None) -> Predict:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression().fit(table[0], table[1])
    return lambda x: fitted.predict_proba(x)[:, 1]


def scikit_learn_adam(table: Table, hidden: int, seed: int) -> Iterator[Predict]:
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(
        (hidden,),
        activation="logistic",
        random_state=seed,
        batch_size=ADAM["batch_size"],
        learning_rate_init=ADAM["learning_rate"],
    )
    for _ in range(ADAM_EPOCHS):
        network.partial_fit(table[0], table[1], classes=[0.0, 1.0])
        yield lambda x: network.predict_proba(x)[:, 1]


def torch_network(table: Table, hidden: int, seed: int) -> Any:  # noqa: ANN401 - torch has its own types
    import torch

    torch.manual_seed(seed)
    layers = torch.nn.Linear(2, hidden), torch.nn.Sigmoid(), torch.nn.Linear(hidden, 1)
    network = torch.nn.Sequential(*layers)
    inputs, female = (torch.as_tensor(column, dtype=torch.float32) for column in table[:2])

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return torch.sigmoid(network(torch.as_tensor(x, dtype=torch.float32)).double())[:, 0].numpy()

    return network, torch.nn.BCEWithLogitsLoss(), inputs, female[:, None], predict


def torch_lbfgs(table: Table, hidden: int, seed: int) -> Iterator[Predict]:
    import torch

    network, loss, inputs, female, predict = torch_network(table, hidden, seed)
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=5, line_search_fn="strong_wolfe")

    def closure() -> Any:  # noqa: ANN401
        optimizer.zero_grad()
        value = loss(network(inputs), female)
        value.backward()
        return value

    for _ in range(LBFGS_ROUNDS):
        optimizer.step(closure)
        yield predict


def torch_adam(table: Table, hidden: int, seed: int) -> Iterator[Predict]:
    import torch

    network, loss, inputs, female, predict = torch_network(table, hidden, seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=ADAM["learning_rate"])
    for _ in range(ADAM_EPOCHS):
        for batch in torch.randperm(len(inputs)).split(ADAM["batch_size"]):
            optimizer.zero_grad()
            loss(network(inputs[batch]), female[batch]).backward()
            optimizer.step()
        yield predict


AGAIN = {
    "Stature": stature,
    "scikit-learn, lbfgs": scikit_learn_lbfgs,
    "scikit-learn, logistic regression": scikit_learn_logistic_regression,
}
ON_ITS_WAY = {
    "scikit-learn, Adam": scikit_learn_adam,
    "PyTorch, LBFGS": torch_lbfgs,
    "PyTorch, Adam": torch_adam,
}


def main(asked: dict[str, Any]) -> dict[str, Any]:
    warnings.simplefilter("ignore")  # lbfgs says that it did not converge in the iterations that it was given
    import_what_is_needed(asked["trainer"])
    held_out = read_with_duckdb(asked["held_out"])
    read = read_as_stature_does if asked["trainer"] == "Stature" else read_with_pyarrow
    preparing = Clock()
    table = None if asked["from_file"] else read_with_duckdb(asked["people"])
    with preparing:
        measurements, female, counts = table if table is not None else read(asked["people"])
        mean = np.average(measurements, axis=0, weights=counts)
        deviation = np.sqrt(np.average((measurements - mean) ** 2, axis=0, weights=counts))
        prepared = (measurements - mean) / deviation, female, counts
    judges = (held_out[0] - mean) / deviation

    def log_loss(predict: Predict) -> float:
        probabilities = np.clip(predict(judges), 1e-15, 1.0 - 1e-15)
        return float(-np.log(np.where(held_out[1] == 1.0, probabilities, 1.0 - probabilities)).mean())

    if asked["trainer"] in AGAIN:
        found = again(AGAIN[asked["trainer"]], prepared, asked, log_loss)
    else:
        found = on_its_way(ON_ITS_WAY[asked["trainer"]], prepared, asked, log_loss)
    found["seconds"] += preparing.seconds
    return found | {"peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def again(trainer: Any, table: Table, asked: dict[str, Any], log_loss: Any) -> dict[str, Any]:  # noqa: ANN401
    """Without a target the whole fit; with one, the shortest that reaches it."""
    for iterations in attempts(asked):
        fitting = Clock()
        with fitting:
            predict = trainer(table, asked["hidden"], asked["seed"], iterations)
        found = log_loss(predict)
        if asked["target"] is None or found <= asked["target"]:
            break
    reached = asked["target"] is None or found <= asked["target"]
    return {"seconds": fitting.seconds, "log_loss": found, "reached": reached, "iterations": iterations}


def attempts(asked: dict[str, Any]) -> list[int | None]:
    if asked["target"] is None:
        return [None]
    if asked["iterations"] is not None:
        return [asked["iterations"]]
    growing = itertools.accumulate(range(30), lambda so_far, _: max(so_far + 1, round(1.2 * so_far)), initial=1)
    return [*itertools.takewhile(lambda number: number < 200, growing), None]


def on_its_way(trainer: Any, table: Table, asked: dict[str, Any], log_loss: Any) -> dict[str, Any]:  # noqa: ANN401
    fitting, found, rounds = Clock(), np.inf, 0
    steps = trainer(table, asked["hidden"], asked["seed"])
    while found > asked["target"]:
        with fitting:
            predict = next(steps, None)
        if predict is None:
            break
        found, rounds = log_loss(predict), rounds + 1
    return {
        "seconds": fitting.seconds,
        "log_loss": found,
        "reached": found <= asked["target"],
        "iterations": rounds,
    }


def import_what_is_needed(trainer: str) -> None:
    """Before the clock starts."""
    if trainer.startswith("PyTorch"):
        import torch  # noqa: F401
    elif trainer.startswith("scikit"):
        import sklearn.linear_model
        import sklearn.neural_network  # noqa: F401
    else:
        from threadpoolctl import threadpool_limits

        import model.training.job  # noqa: F401

        threadpool_limits(1, user_api="blas")  # as the training job does


def read_with_duckdb(path: str) -> Table:
    import duckdb

    columns = duckdb.execute(
        "SELECT weight_kg, height_cm, (gender = 'female')::DOUBLE AS female FROM read_parquet($path)", {"path": path}
    ).fetchnumpy()
    return (
        np.column_stack([columns["weight_kg"], columns["height_cm"]]),
        columns["female"],
        np.ones(len(columns["female"])),
    )


def read_with_pyarrow(path: str) -> Table:
    import pyarrow.compute
    import pyarrow.parquet

    people = pyarrow.parquet.read_table(path)
    female = pyarrow.compute.equal(people["gender"], "female").to_numpy().astype(np.float64)
    measurements = np.column_stack([people["weight_kg"].to_numpy(), people["height_cm"].to_numpy()])
    return measurements, female, np.ones(len(female))


def read_as_stature_does(path: str) -> Table:
    """Checked, counted, and back in kilograms and centimetres, in which the held-out people are."""
    from model.training.people import read_people

    people = read_people(path, hold_out=False)
    return people.measurements * np.array([0.45359237, 2.54]), people.female, people.counts


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
