"""What the tests of exported versions share: versions of any network, people anywhere, and how near is near enough."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from model import units
from model.network.network import Network
from model.predictor import Predictor
from model.registry.version import Version

EPSILON = float(np.finfo(float).eps)

weights_lb = st.floats(units.WEIGHT_LB.minimum, units.WEIGHT_LB.maximum)
heights_in = st.floats(units.HEIGHT_IN.minimum, units.HEIGHT_IN.maximum)
weights_kg = st.floats(units.WEIGHT_KG.minimum, units.WEIGHT_KG.maximum)
heights_cm = st.floats(units.HEIGHT_CM.minimum, units.HEIGHT_CM.maximum)


@st.composite
def predictors(draw: st.DrawFn) -> Predictor:
    """Of any shape; with ordinary weights, or with those that saturate every neuron, or vanish."""
    sizes = (2, *draw(st.lists(st.integers(1, 4), max_size=3)), 1)
    number = (
        st.floats(-10.0, 10.0)
        | st.floats(-1000.0, 1000.0)
        | st.sampled_from([1000.0, -1000.0, 1e100, -1e100, 0.0, -0.0, 1e-100, -1e-149, 1e-200, 1e-310, 5e-324])
    )
    count = Network.count_parameters(sizes)
    parameters = np.array(draw(st.lists(number, min_size=count, max_size=count)))
    shift = draw(st.tuples(weights_lb, heights_in) | st.sampled_from([(0.0, -0.0), (-5.0, 1e-300), (135.0, 66.0)]))
    scale = draw(st.tuples(*[st.floats(0.5, 100.0) | st.sampled_from([1e-50, 1e50, 1.0])] * 2))
    return Predictor(Network(sizes, parameters), shift, scale)


def version_of(predictor: Predictor, like: Version) -> Version:
    """A version of this network that is otherwise like another."""
    of_the_network = {
        "digest": predictor.digest,
        "layer_sizes": predictor.network.sizes,
        "shift": predictor.shift,
        "scale": predictor.scale,
    }
    return Version(like.manifest.model_copy(update=of_the_network), predictor, like.training_range)


def tolerance(predictor: Predictor, weight_lb: float, height_in: float) -> float:
    """1e-12; and of weights so large that adding the same sums in two ways differs by more, as much as that.

    An error of a total becomes one of the activation by the slope of the sigmoid, which is at most ¼; a tanh is exact
    to a few parts in 2⁵².
    """
    activations = np.abs((np.array([weight_lb, height_in]) - predictor.shift) / predictor.scale)
    error = 2.0 * EPSILON * activations
    for weights, biases in predictor.network.layers:
        terms = np.abs(weights) @ activations + np.abs(biases)
        error = np.abs(weights) @ error + 2 * (len(activations) + 1) * EPSILON * terms
        error, activations = np.minimum(0.25 * error, 1.0) + 4 * EPSILON, np.ones_like(biases)
    return max(1e-12, float(error[0]))
