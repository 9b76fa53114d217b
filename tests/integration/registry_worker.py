"""A process that publishes, promotes and rolls back for as long as it lives, and says what was acknowledged.

    python registry_worker.py ROOT NAME [ROUNDS]

Each acknowledged operation is a line on standard output. It is meant to be killed at any moment.
"""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path

import numpy as np

from model.errors import ExpectationError, RefusedError
from model.network.network import Network
from model.predictor import Predictor
from model.registry.manifest import Draft, Probe
from model.registry.registry import Registry
from model.registry.storage import LocalStorage


def main(root: str, name: str, rounds: int | None = None) -> None:
    registry = Registry(LocalStorage(Path(root)), "gender")
    draft = registry.manifest(1)
    chance = random.Random(name)
    for round_number in itertools.count() if rounds is None else range(rounds):
        predictor = Predictor(
            Network((2, 2, 1), np.random.default_rng([*name.encode(), round_number]).standard_normal(9)),
            draft.shift,
            draft.scale,
        )
        number = registry.publish(draft_of(draft, predictor), predictor, by=name).manifest.number
        print("published", number, predictor.digest, flush=True)
        before = registry.head()
        try:
            if chance.random() < 0.25:
                head = registry.rollback(by=name, expect=before.champion)
            else:
                head = registry.promote(number, by=name, expect=before.champion)
        except (ExpectationError, RefusedError):
            continue
        print("moved", head.number, head.champion, flush=True)


def another(draft: Draft, *seed: int) -> tuple[Draft, Predictor]:
    """A network of random weights, and the same things said of it."""
    weights = np.random.default_rng(seed).standard_normal(9)
    predictor = Predictor(Network((2, 2, 1), weights), draft.shift, draft.scale)
    return draft_of(draft, predictor), predictor


def draft_of(draft: Draft, predictor: Predictor) -> Draft:
    """The same things said of another network."""
    probe = Probe(weight_lb=150.0, height_in=66.0, probability_female=predictor.probability_female(150.0, 66.0))
    said = {name: getattr(draft, name) for name in Draft.model_fields}
    return Draft(**said | {"digest": predictor.digest, "layer_sizes": predictor.network.sizes, "probes": (probe,)})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None)
