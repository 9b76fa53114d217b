"""The network as scikit-learn has it: a scaler and an `MLPClassifier`, whose probabilities are those of numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from network import Network

EXAMPLE = pd.DataFrame({"weight_kg": [73.0], "height_cm": [182.0]})


def as_scikit_learn(network: Network) -> Pipeline:
    """Fitted to two people, so that all is there that a fit leaves; then with the trained weights in their places."""
    hidden = [len(biases) for _, biases in network.layers[:-1]]
    fitted = make_pipeline(StandardScaler(), MLPClassifier(hidden, activation="logistic", solver="lbfgs", max_iter=1))
    fitted.fit(pd.concat([EXAMPLE, 0.9 * EXAMPLE]), np.array([0, 1]))
    scaler, classifier = fitted[0], fitted[1]
    scaler.mean_, scaler.scale_ = network.shift * network.units, network.scale * network.units
    classifier.coefs_ = [weights.T.copy() for weights, _ in network.layers]
    classifier.intercepts_ = [biases for _, biases in network.layers]
    return fitted
