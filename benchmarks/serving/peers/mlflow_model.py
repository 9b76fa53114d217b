"""MLflow: `python mlflow_model.py FOLDER` saves the network of scikit-learn, for `mlflow models serve` to start."""

from __future__ import annotations

import sys

import mlflow
from network import Network
from scikit_learn_network import EXAMPLE, as_scikit_learn

if __name__ == "__main__":
    network = as_scikit_learn(Network.load())
    mlflow.sklearn.save_model(
        network,
        sys.argv[1],
        signature=mlflow.models.infer_signature(EXAMPLE, network.predict_proba(EXAMPLE)),
        pyfunc_predict_fn="predict_proba",
        pip_requirements=["mlflow", "scikit-learn"],
    )
