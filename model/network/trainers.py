"""How a network learns: stochastic gradient descent, as the tutorial teaches it, and Gauss-Newton for real data.

Both take arrays and a generator, report their loss as they go, and return a `Fit`.

Shapes: inputs (people, inputs), targets (people, 1), counts (people,): how many people each row stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model.errors import TrainingError
from model.network.descent import Descent, Rows, descend
from model.network.network import Array, Network
from model.network.plain import PlainNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model.network.losses import Loss

    OnEpoch = Callable[[int, float], None]
    """Told the epoch and the loss over all people after it."""

Unit = tuple[int, int]
"""A hidden neuron: the number of its layer, as in `weights_1`, and its own number there, both counted from 1."""


@dataclass(frozen=True)
class Fit:
    """A trained network, its loss over the people it was trained on, and after how many epochs."""

    network: Network
    loss: float
    epochs: int
    """Of `gauss_newton`, the steps of all starts."""
    history: tuple[tuple[int, float], ...]
    """(epoch, loss) along the way, for a loss curve. Of `gauss_newton`, the steps of the best start, counted from 1."""
    saturated_units: tuple[Unit, ...]
    """Hidden neurons that no longer tell people apart: see `saturated_units`."""


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
    `report_every`-th epoch, beginning with the first. Raises TrainingError instead of telling it where a weight has
    grown beyond a million: a difference too small to be measured would then turn an answer from 0 to 1.
    """
    network = Network(start.sizes, start.parameters.copy())
    plain = PlainNetwork(network) if len(network.parameters) <= _FEW_PARAMETERS else None
    order = np.arange(len(inputs))
    history = []
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is beyond all bounds, and is said in words
        for epoch in range(epochs):
            if shuffle is not None:
                shuffle.shuffle(order)
            step = learning_rate / (1.0 + learning_rate_decay * epoch)
            for some in np.split(order, range(_PEOPLE_AT_ONCE, len(order), _PEOPLE_AT_ONCE)):
                if plain:
                    for person in zip(inputs[some].tolist(), targets[some].tolist(), strict=True):
                        plain.learn(*person, loss, step)
                else:
                    for one in some[:, None]:  # one row, kept as a table of one person
                        forward = network.forward(inputs[one])
                        # The whole gradient is taken before any weight moves.
                        gradient = network.gradient(forward, loss.slopes(targets[one], forward.totals))
                        network.parameters -= step * gradient
            if epoch % report_every == 0 or epoch == epochs - 1:
                network = plain.network() if plain else network
                if not np.abs(network.parameters).max() <= _LARGEST_WEIGHT:  # nor is what is not a number
                    raise TrainingError("the weights grew beyond all bounds: a smaller learning rate is needed")
                history.append((epoch, _mean_loss(network, inputs, targets, loss)))
                if epoch % report_every == 0:
                    on_epoch(*history[-1])
        return _finished(network, inputs, np.ones(len(inputs)), epochs, history)


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

    Coarse to fine: people who are nearly alike are merged into one row first, which leaves about a thousand, however
    many people there are. There the `restarts` random starts find their ends roughly, and the best goes on; then among
    people merged less; and the last steps take their loss and slope from every single row, so that the end is that of
    all people as they are. The curvature stays that of the merged rows: a bowl that is drawn a little wrong may cost a
    step, and changes nothing about where its bottom is.

    `l2` is added, times half the sum of the squared weights (biases are free) and divided by the number of people: as
    much as it takes to keep a few people from being learned by heart, and ever less as there are more. `on_epoch` is
    told of the end of each start, and of the last. From a start to its end there are no more than `maximum_epochs`
    steps. Raises TrainingError where no start ended in finite numbers.
    """
    if restarts < 1:
        raise TrainingError("at least one start is needed: restarts must be 1 or more")
    zero = Network(sizes, np.zeros(Network.count_parameters(sizes)))
    is_weight = [np.repeat([1.0, 0.0], [layer.weights.size, layer.biases.size]) for layer in zero.layers]
    penalty = l2 * np.concatenate(is_weight) / counts.sum()
    everyone = Rows(inputs, targets, counts[:, None] / counts.sum())
    narrow = everyone.merged(_NARROW)
    wide = narrow.merged(_WIDE)

    epochs, ends = 0, []
    for _ in range(restarts if len(sizes) > _LAYERS_OF_LOGISTIC_REGRESSION else 1):
        end = descend(
            Descent(Network.random(sizes, generator)), wide, wide, penalty, _ROUGHLY, maximum_epochs=maximum_epochs
        )
        epochs += len(end.losses)
        on_epoch(epochs, end.losses[-1])
        ends.append(end)
    best = min(ends, key=lambda end: end.objective)
    epochs -= len(best.losses)
    for rows in (wide, narrow, everyone):
        left = maximum_epochs - len(best.losses)
        best = descend(best, rows, wide, penalty, _FINELY, maximum_epochs=left)
    epochs += len(best.losses)
    on_epoch(epochs, best.loss)
    history = list(enumerate((*best.losses[:-1], best.loss), start=1))
    return _finished(best.network, narrow.inputs, narrow.share[:, 0], epochs, history)


_LAYERS_OF_LOGISTIC_REGRESSION = 2
"""Without a hidden layer there is one bowl with one bottom, wherever one starts."""
_WIDE, _NARROW = 0.2, 0.05
"""Of the cells in which people are merged, in standard deviations: 4 kg by 2 cm, and 1 kg by half a centimetre."""
_ROUGHLY, _FINELY = 1e-3, 1e-6
"""A descent has ended where a step lowers the objective by less than this part of it."""
_FEW_PARAMETERS = 128
"""Up to so many, plain floats are quicker than matrices for one person."""
_LARGEST_WEIGHT = 1e6
_PEOPLE_AT_ONCE = 4096
"""So many are lists of floats at a time, which take ten times the room of an array."""
_SATURATED_SHARE, _SATURATED_WITHIN = 0.99, 0.01


def saturated_units(network: Network, inputs: Array, counts: Array) -> tuple[Unit, ...]:
    """The hidden neurons whose activation is within .01 of 0, or of 1, for 99 of 100 people, counted from 1.

    There the sigmoid is flat: its derivative, activation · (1 - activation), is below .01, a twenty-fifth of what it
    is in the middle. So the neuron says hardly more than a bias does, and gradient descent hardly moves it again (LeCun
    and others 1998, "Efficient BackProp"; Glorot and Bengio 2010, "Understanding the difficulty of training deep
    feedforward neural networks", who tell saturation by the distribution of the activations, as is done here).
    """
    found = []
    for layer, activations in enumerate(network.forward(inputs).entering[1:], start=1):
        for end in (activations < _SATURATED_WITHIN, activations > 1.0 - _SATURATED_WITHIN):
            share = counts @ end / counts.sum()
            found += [(layer, int(neuron) + 1) for neuron in np.flatnonzero(share >= _SATURATED_SHARE)]
    return tuple(sorted(found))


def _mean_loss(network: Network, inputs: Array, targets: Array, loss: Loss) -> float:
    return float(loss.of_each(targets, network.forward(inputs).totals).mean())


def _finished(network: Network, inputs: Array, counts: Array, epochs: int, history: list[tuple[int, float]]) -> Fit:
    loss = history[-1][1]
    if not (np.isfinite(loss) and np.isfinite(network.parameters).all()):
        raise TrainingError("the training ended in what is not a finite number")
    return Fit(network, loss, epochs, tuple(history), saturated_units(network, inputs, counts))
