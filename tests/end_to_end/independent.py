"""A version's probabilities, computed from its files by numpy alone: what every served number is compared with."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import numpy as np
from end_to_end.running_service import STATURE

if TYPE_CHECKING:
    from pathlib import Path


def stature(*arguments: str) -> str:
    return subprocess.run([str(STATURE), *arguments], check=True, capture_output=True, text=True).stdout


class Independent:
    """A version's network, computed from what `stature show --json` says and from its npz file, and nothing of ours."""

    def __init__(self, registry: Path, number: int) -> None:
        shown = json.loads(stature("show", str(number), "--registry", str(registry), "--json"))
        self.shift, self.scale = np.array(shown["shift"]), np.array(shown["scale"])
        with np.load(shown["weights_path"]) as arrays:
            count = len(arrays.files) // 2
            self.layers = [(arrays[f"weights_{n}"], arrays[f"biases_{n}"]) for n in range(1, count + 1)]

    def __call__(self, weight_lb: float, height_in: float) -> float:
        values = (np.array([weight_lb, height_in]) - self.shift) / self.scale
        for weights, biases in self.layers:
            values = 1.0 / (1.0 + np.exp(-(weights @ values + biases)))
        return float(values[0])
