"""How often drift is found where there is none, and how often where there is: windows drawn from the shipped sample.

python benchmarks/drift.py [windows]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model import units
from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from model.training import job
from service.drift import Drift, compare
from service.slots import Slots
from service.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.network.network import Array
    from model.registry.version import Version

_WINDOWS = 5_000
_PEOPLE = (200, 500, 2_000)
_KG_AND_CM = np.array([units.WEIGHT_KG.per_canonical, units.HEIGHT_CM.per_canonical])

# What clients send in place of (kilograms, centimetres).
_POPULATIONS: dict[str, Callable[[Array], Array]] = {
    "the same": lambda people: people,
    "the same, in whole kg and cm": np.round,
    "5 cm shorter": lambda people: people - np.array([0.0, 5.0]),
    "8 cm shorter": lambda people: people - np.array([0.0, 8.0]),
    "10 kg heavier": lambda people: people + np.array([10.0, 0.0]),
    "pounds for kilograms": lambda people: people / np.array([units.KILOGRAMS_PER_POUND, 1.0]),
    "children's sizes": lambda people: people * np.array([0.42, 0.78]),
    "rounded to 5 kg, taller by 1.5 cm": lambda people: np.round((people + _VAIN) / _FIVES) * _FIVES,
}
_VAIN, _FIVES = np.array([-1.0, 1.5]), np.array([5.0, 1.0])
"""What people tell of themselves."""


def look(version: Version, kg_and_cm: Array) -> Drift:
    """What is found in a window of these people, those outside the domain refused."""
    window = Window(slots := Slots(), 3600.0, clock=lambda: 0.0)
    low, high = np.array([units.WEIGHT_DOMAIN_KG, units.HEIGHT_DOMAIN_CM]).T
    answered = ((kg_and_cm >= low) & (kg_and_cm <= high)).all(axis=1)
    canonical = kg_and_cm[answered] / _KG_AND_CM
    window.add_many(*canonical.T, version.training_range.contains(canonical))
    window.add_refused(int((~answered).sum()), ["weight_outside_domain"] * int((~answered).sum()))
    return compare(window.observed(slots.read()), version.manifest.inputs, window.seconds)


def main() -> None:
    """One row a population and number of people."""
    windows = int(sys.argv[1]) if len(sys.argv) > 1 else _WINDOWS
    generator = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        registry = Registry(LocalStorage(Path(folder)), "gender")
        job.run(job.Settings(), registry, by="a benchmark")
        version = registry.load(1)
    everyone = job.people_of(job.Settings())
    people = np.round(np.repeat(everyone.measurements, everyone.counts.astype(int), axis=0) * _KG_AND_CM, 1)
    print("| people asked about | in a window | drift found | largest index: weight | height | said most |")
    print("|---|---|---|---|---|---|")
    for name, send in _POPULATIONS.items():
        for count in _PEOPLE:
            found, indices, said = 0, [[0.0, 0.0]], dict[str, int]()
            for _ in range(windows):
                drift = look(version, send(people[generator.integers(0, len(people), count)]))
                found += drift.detected
                indices.append([one.population_stability_index for one in drift.inputs.values()] or [0.0, 0.0])
                for finding in drift.findings:
                    said[finding.code] = said.get(finding.code, 0) + 1
            weight, height = np.max(indices, axis=0)
            most = max(said, key=said.__getitem__) if said else ""
            share = f"{100 * found / windows:.4g} %"
            print(f"| {name} | {count:,} | {share} | {weight:.3f} | {height:.3f} | {most} |")


if __name__ == "__main__":
    main()
