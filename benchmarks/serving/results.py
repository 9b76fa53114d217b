"""What was measured, a list of values for each quantity of each server: one a round."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass
class Results:
    """All that was measured, by server and quantity; and why a server could not be measured."""

    values: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, **quantities: float) -> None:
        for quantity, value in quantities.items():
            self.values[name, quantity].append(value)

    def all(self, name: str, quantity: str) -> list[float]:
        return self.values.get((name, quantity), [])

    def median(self, name: str, quantity: str) -> float:
        """NaN where it was not measured."""
        values = self.all(name, quantity)
        return statistics.median(values) if values else float("nan")
