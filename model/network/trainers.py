"""How a network learns: stochastic gradient descent, as the tutorial teaches it, and Gauss-Newton for real data.

Both take arrays and a generator, report their loss as they go, and return a `Fit`.

Shapes: inputs (people, inputs), targets (people, 1), counts (people,): how many people each row stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model.errors import TrainingError
from model.network.losses import LOG_LOSS, Loss
from model.network.network import Array, Network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    OnEpoch = Callable[[int, float], None]
    """Told the epoch and the loss over all people after it."""


@dataclass(frozen=True)
class Fit:
    """A trained network, its loss over the people it was trained on, and after how many epochs."""

    network: Network
    loss: float
    epochs: int


def sgd(
    start: Network,
    inputs: Array,
    targets: Array,
    *,
    loss: Loss,
    learning_rate: float,
    epochs: int,
    learning_rate_decay: float = 0.0,
    shuffle: np.random.Generator | None = None,
    report_every: int = 10,
    on_epoch: OnEpoch = lambda _epoch, _loss: None,
) -> Fit:
    """Stochastic gradient descent: look at one person, move every weight a little downhill, go to the next person.

    An epoch is one pass over all people, in their order or, with `shuffle`, in a new order each time. In epoch e,
    counted from 0, the step is learning_rate / (1 + learning_rate_decay · e). `on_epoch` is told the loss after every
    `report_every`-th epoch, beginning with the first. Raises TrainingError where the weights grew beyond all bounds.
    """
    network = Network(start.sizes, start.parameters.copy())
    order = np.arange(len(inputs))
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found at the end, and said in words
        for epoch in range(epochs):
            if shuffle is not None:
                shuffle.shuffle(order)
            step = learning_rate / (1.0 + learning_rate_decay * epoch)
            for person in order:
                # One row, kept as a table of one person. The whole gradient is taken before any weight moves.
                forward = network.forward(inputs[person : person + 1])
                slopes = loss.slopes(targets[person : person + 1], forward.totals)
                network.parameters -= step * network.gradient(forward, slopes)
            if epoch % report_every == 0:
                on_epoch(epoch, _mean_loss(network, inputs, targets, loss))
        return _finished(network, _mean_loss(network, inputs, targets, loss), epochs)


def gauss_newton(
    sizes: Sequence[int],
    inputs: Array,
    targets: Array,
    counts: Array,
    *,
    generator: np.random.Generator,
    restarts: int,
    l2: float,
    maximum_epochs: int = 200,
    on_epoch: OnEpoch = lambda _epoch, _loss: None,
) -> Fit:
    """Damped generalised Gauss-Newton on the log-loss: all people and all parameters at once, in a few dozen steps.

    Near the best parameters the loss is a bowl. Its slope is g = Jᵀ(output - target), J being the derivatives of the
    output's total; its curvature is well described by H = Jᵀ diag(output · (1 - output)) J, which needs no second
    derivatives. A step solves (H + damping) · step = -g. Where that made things worse, the bowl was a bad description
    and the damping grows, which makes the step shorter and more like gradient descent; where it helped, it shrinks.
    (Levenberg 1944, Marquardt 1963; for networks Schraudolph 2002, "Fast curvature matrix-vector products".)

    `l2` is added, times half the sum of the squared weights (biases are free) and divided by the number of people: as
    much as it takes to keep a few people from being learned by heart, and ever less as there are more. Of `restarts`
    random starts the best end is returned; `on_epoch` is told of each end. Raises TrainingError where no start ended
    in finite numbers.
    """
    best: Fit | None = None
    epochs = 0
    is_weight = np.concatenate(
        [np.repeat([1.0, 0.0], [layer.weights.size, layer.biases.size]) for layer in _zero(sizes).layers]
    )
    penalty = l2 * is_weight / counts.sum()
    share = counts[:, None] / counts.sum()

    def objective(network: Network) -> float:
        return _mean_loss(network, inputs, targets, LOG_LOSS, share) + 0.5 * float(penalty @ network.parameters**2)

    for _ in range(restarts if len(sizes) > _LAYERS_OF_LOGISTIC_REGRESSION else 1):
        network = Network.random(sizes, generator)
        value, damping = objective(network), _FIRST_DAMPING
        for _ in range(maximum_epochs):
            epochs += 1
            slope, curvature = _bowl(network, inputs, targets, share)
            slope += penalty * network.parameters
            curvature += np.diag(penalty)
            improved = value
            while damping < _LAST_DAMPING:
                step = np.linalg.solve(curvature + damping * np.eye(len(slope)), -slope)
                candidate = Network(sizes, network.parameters + step)
                improved = objective(candidate)
                if improved < value:
                    network, damping = candidate, damping / _DAMPING_FACTOR
                    break
                damping *= _DAMPING_FACTOR
            if not value - improved > _SMALLEST_IMPROVEMENT * value:
                break
            value = improved
        fit = _finished(network, _mean_loss(network, inputs, targets, LOG_LOSS, share), epochs)
        on_epoch(epochs, fit.loss)
        if best is None or objective(fit.network) < objective(best.network):
            best = fit
    if best is None:
        raise TrainingError("at least one start is needed: restarts must be 1 or more")
    return best


_LAYERS_OF_LOGISTIC_REGRESSION = 2
"""Without a hidden layer there is one bowl with one bottom, wherever one starts."""
_FIRST_DAMPING, _LAST_DAMPING, _DAMPING_FACTOR = 1e-2, 1e8, 4.0
_SMALLEST_IMPROVEMENT = 1e-8
_ROWS_AT_ONCE = 1 << 18
"""How many numbers of the Jacobian are held at once, divided by the parameters: two megabytes, which fit in a cache."""


def _bowl(network: Network, inputs: Array, targets: Array, share: Array) -> tuple[Array, Array]:
    """The slope and the Gauss-Newton curvature of the log-loss, a slice of people at a time."""
    size = len(network.parameters)
    slope, curvature = np.zeros(size), np.zeros((size, size))
    rows = max(1, _ROWS_AT_ONCE // size)
    for start in range(0, len(inputs), rows):
        people = slice(start, start + rows)
        forward = network.forward(inputs[people])
        jacobian = network.jacobian(forward)
        slope += jacobian.T @ (LOG_LOSS.slopes(targets[people], forward.totals) * share[people])[:, 0]
        curvature += jacobian.T @ (jacobian * (LOG_LOSS.curvatures(forward.totals) * share[people]))
    return slope, curvature


def _mean_loss(network: Network, inputs: Array, targets: Array, loss: Loss, share: Array | None = None) -> float:
    losses = loss.of_each(targets, network.forward(inputs).totals)
    return float(losses.mean() if share is None else losses @ share[:, 0])


def _zero(sizes: Sequence[int]) -> Network:
    return Network(sizes, np.zeros(Network.count_parameters(sizes)))


def _finished(network: Network, loss: float, epochs: int) -> Fit:
    if not (np.isfinite(loss) and np.isfinite(network.parameters).all()):
        raise TrainingError("the weights grew beyond all bounds: a smaller learning rate is needed")
    return Fit(network, loss, epochs)
