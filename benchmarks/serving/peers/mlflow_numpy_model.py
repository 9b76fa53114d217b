"""MLflow, the fastest that it can be made: `python mlflow_numpy_model.py FOLDER` saves a function of numpy alone."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from network import Network


class Gender(mlflow.pyfunc.PythonModel):
    def load_context(self, context: Any) -> None:  # noqa: ANN401 - as MLflow calls it
        self.network = Network(json.loads(Path(context.artifacts["network"]).read_bytes()))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[float]:  # noqa: ANN401
        del context, params
        return self.network.probabilities_female(model_input[["weight_kg", "height_cm"]].to_numpy()).tolist()


if __name__ == "__main__":
    example = pd.DataFrame({"weight_kg": [73.0], "height_cm": [182.0]})
    mlflow.pyfunc.save_model(
        sys.argv[1],
        python_model=Gender(),
        artifacts={"network": os.environ["BENCHMARK_NETWORK"]},
        code_paths=[str(Path(__file__).with_name("network.py"))],
        signature=mlflow.models.infer_signature(example, [0.5]),
        pip_requirements=["mlflow", "numpy"],
    )
